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
use orders::{Sku, catalogue::CategoryId};
use store::{
    Page,
    catalogue::{Search, SearchFrom},
};

use crate::{
    Failures, Shop, page,
    problem::{Kind, Problem},
    request::Speaks,
    views::{CategoryView, ProductList, ProductView},
};

/// The longest text to search for.
const MAX_TEXT: usize = 200;

/// Products by category, attributes and words.
#[utoipa::path(get, path = "/v1/products", operation_id = "list_products", tag = "catalogue", params(
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
    let Wanted {
        search,
        from,
        limit,
    } = wanted(parameters)?;
    let (Page { items, next_cursor }, categories) = tokio::try_join!(
        shop.catalogue.search(&search, from, limit.into()),
        shop.catalogue.categories(),
    )?;
    let skus: Vec<Sku> = items.iter().map(|product| product.sku.clone()).collect();
    let stock = shop.database.available(&skus).await?;
    let view = |product: orders::catalogue::Product| {
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

struct Wanted {
    search: Search,
    from: Option<SearchFrom>,
    limit: u8,
}

fn wanted(parameters: Vec<(String, String)>) -> Result<Wanted, Problem> {
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
            "q" if value.len() > MAX_TEXT => return Err(invalid("must be at most 200 bytes")),
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
    Ok(Wanted {
        search,
        from,
        limit,
    })
}
