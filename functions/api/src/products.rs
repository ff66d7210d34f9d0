//! The catalogue.

pub(crate) mod editor;
pub(crate) mod export;
pub(crate) mod import;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use orders::{
    MAX_LINES, Sku,
    catalogue::{CategoryId, Product},
};
use store::{
    Page, StoreError,
    catalogue::{Catalogue, Search, SearchFrom},
};

use crate::{
    Failures, Shop, page,
    problem::{Kind, Problem},
    request::Speaks,
    views::{CategoryView, ProductList, ProductView},
};

/// The parameter that names products. An order's worth of them is read at once.
const SKU: &str = "sku";

/// The longest text to search for, in words or of an attribute, in bytes.
const MAX_TEXT: usize = 200;

/// The longest name of a parameter, in bytes: those of attributes are shorter.
const MAX_NAME: usize = 100;

/// Products by category, attributes and words, or by their SKUs.
#[utoipa::path(get, path = "/v1/products", operation_id = "list_products", tag = "catalogue", params(
    ("sku" = Option<Vec<String>>, Query, description = "Only products of these SKUs, 1 to 100 of them, in \
        this order; without any other parameter. A SKU of no product is left out"),
    ("category" = Option<String>, Query, description = "Only products of this category"),
    ("q" = Option<String>, Query, description = "Only products with words that begin so"),
    ("attr.<name>" = Option<String>, Query, description = "Only products with this value of the attribute"),
    ("limit" = Option<u8>, Query, description = "1 to 100 products, 24 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses((status = 200, body = ProductList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<Shop>>,
    Speaks(language): Speaks,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<ProductList>, Problem> {
    let query = parse_list_query(parameters)?;
    let (Page { items, next_cursor }, categories) = tokio::try_join!(
        find_products(&shop.catalogue, query),
        shop.catalogue.categories(),
    )?;
    let skus: Vec<Sku> = items.iter().map(|product| product.sku.clone()).collect();
    let stock = shop.database.available(&skus).await?;
    let view = |product: Product| {
        let stock = stock.get(product.sku.as_str()).copied().unwrap_or_default();
        ProductView::new(product, stock, language)
    };
    Ok(Json(ProductList {
        items: items.into_iter().map(view).collect(),
        next_cursor,
        categories: categories
            .into_iter()
            .map(|it| CategoryView::new(it, language))
            .collect(),
    }))
}

/// One product.
#[utoipa::path(get, path = "/v1/products/{sku}", operation_id = "get_product", tag = "catalogue",
    params(("sku" = String, Path)), responses((status = 200, body = ProductView), Failures))]
pub(crate) async fn get(
    State(shop): State<Arc<Shop>>,
    Speaks(language): Speaks,
    Path(sku): Path<String>,
) -> Result<Json<ProductView>, Problem> {
    let unknown = || Problem::not_found("product");
    let sku: Sku = sku.parse().map_err(|_| unknown())?;
    let product = shop.catalogue.product(&sku).await?.ok_or_else(unknown)?;
    let stock = shop.database.available(std::slice::from_ref(&sku)).await?;
    let stock = stock.get(sku.as_str()).copied().unwrap_or_default();
    Ok(Json(ProductView::new(product, stock, language)))
}

/// What the list is asked for.
enum ProductListQuery {
    Search {
        search: Search,
        from: Option<SearchFrom>,
        limit: u8,
    },
    /// Each SKU once.
    Skus(Vec<Sku>),
}

async fn find_products(
    catalogue: &Catalogue,
    query: ProductListQuery,
) -> Result<Page<Product>, StoreError> {
    match query {
        ProductListQuery::Search {
            search,
            from,
            limit,
        } => catalogue.search(&search, from, limit.into()).await,
        ProductListQuery::Skus(skus) => {
            let mut found = catalogue.editions(&skus).await?;
            let items = skus.iter().filter_map(|sku| found.remove(sku));
            Ok(Page {
                items: items.map(|edition| edition.product).collect(),
                next_cursor: None,
            })
        }
    }
}

fn parse_list_query(parameters: Vec<(String, String)>) -> Result<ProductListQuery, Problem> {
    if parameters.iter().any(|(name, _)| name == SKU) {
        parse_skus(parameters).map(ProductListQuery::Skus)
    } else {
        parse_search(parameters)
    }
}

fn parse_skus(parameters: Vec<(String, String)>) -> Result<Vec<Sku>, Problem> {
    let invalid = |name: &str, rule: &str| Problem::new(Kind::Validation, rule).at(name);
    if let Some((name, _)) = parameters.iter().find(|(name, _)| name != SKU) {
        return Err(invalid(name, "cannot be combined with sku"));
    }
    if parameters.len() > MAX_LINES {
        return Err(invalid(SKU, "must be at most 100"));
    }
    let mut skus = Vec::with_capacity(parameters.len());
    for (_, value) in parameters {
        let sku: Sku = value
            .parse()
            .map_err(|rule: orders::Invalid| invalid(SKU, &rule.to_string()))?;
        if !skus.contains(&sku) {
            skus.push(sku);
        }
    }
    Ok(skus)
}

fn parse_search(parameters: Vec<(String, String)>) -> Result<ProductListQuery, Problem> {
    let mut category: Option<CategoryId> = None;
    let (mut text, mut cursor, mut limit) = (String::new(), None, page::DEFAULT_LIMIT);
    let mut attributes = BTreeMap::new();
    for (name, value) in parameters {
        let invalid = |rule: &str| Problem::new(Kind::Validation, rule).at(name.as_str());
        match name.as_str() {
            "category" => {
                let id = value
                    .parse()
                    .map_err(|rule: orders::Invalid| invalid(&rule.to_string()));
                category = Some(id?);
            }
            _ if value.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(invalid("must be text in UTF-8"));
            }
            _ if name.len() > MAX_NAME => return Err(invalid("is not a parameter of this list")),
            _ if value.len() > MAX_TEXT && name != "cursor" => {
                return Err(invalid("must be at most 200 bytes"));
            }
            "q" => text = value,
            "cursor" => cursor = Some(value),
            "limit" => limit = page::limit(&value)?,
            _ => match name.strip_prefix("attr.") {
                Some(attribute) if !attribute.is_empty() => {
                    attributes.insert(attribute.to_owned(), value);
                }
                _ => return Err(invalid("is not a parameter of this list")),
            },
        }
    }
    let search = Search::new(category, &text, attributes);
    let from = cursor.map(|cursor| search.from(&cursor)).transpose()?;
    Ok(ProductListQuery::Search {
        search,
        from,
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skus(values: &[&str]) -> Vec<(String, String)> {
        let named = |value: &&str| (SKU.to_owned(), (*value).to_owned());
        values.iter().map(named).collect()
    }

    #[test]
    fn products_are_asked_for_by_their_skus_each_once() {
        let parsed = parse_skus(skus(&["TEA-2", "TEA-1", "TEA-2"])).unwrap();
        let texts: Vec<&str> = parsed.iter().map(Sku::as_str).collect();
        assert_eq!(texts, ["TEA-2", "TEA-1"]);
    }

    #[test]
    fn as_many_as_an_order_has_lines() {
        let many = vec!["TEA-1"; MAX_LINES + 1];
        assert!(parse_list_query(skus(&many[1..])).is_ok());
        assert!(parse_list_query(skus(&many)).is_err());
    }

    #[test]
    fn skus_are_not_combined_with_a_search() {
        let mut both = skus(&["TEA-1"]);
        both.insert(0, ("q".to_owned(), "tea".to_owned()));
        assert!(parse_list_query(both).is_err());
        assert!(parse_list_query(skus(&["tea-1"])).is_err());
    }
}
