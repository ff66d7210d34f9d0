//! The catalogue.

pub(crate) mod editor;
pub(crate) mod export;
pub(crate) mod import;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
};
use orders::{
    Invalid, MAX_LINES, Sku,
    catalogue::{CategoryId, Product},
};
use serde::Deserialize;
use store::{
    BadCursor, Page, StoreError,
    catalogue::{Catalogue, Search, SearchFrom},
};
use utoipa::IntoParams;

use crate::{
    AppState, Failures,
    page::PageLimit,
    problem::Problem,
    query::Parameters,
    request::AcceptLanguage,
    views::{CategoryView, ProductList, ProductView},
};

/// The longest text to search for, in words or of an attribute, in bytes.
const MAX_TEXT: usize = 200;

/// What the list is asked for.
pub(crate) enum ProductListQuery {
    Search {
        search: Search,
        from: Option<SearchFrom>,
        limit: u8,
    },
    /// Each SKU once.
    Skus(Vec<Sku>),
}

/// Products by their SKUs: `sku` is combined with no other parameter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SkuQuery {
    /// Only products of these SKUs, 1 to 100 of them, in this order; without any other parameter. A SKU of no product
    /// is left out.
    #[param(value_type = Vec<String>, required = false)]
    sku: Skus,
}

/// Products by what they are.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Only products of this category.
    category: Option<CategoryId>,
    /// Only products with words that begin so.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    q: SearchText,
    /// Only products with this value of the attribute.
    #[serde(rename = "attr.<name>")]
    #[param(value_type = Option<String>)]
    attributes: BTreeMap<String, SearchText>,
    /// 1 to 100 products, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// An order's worth of SKUs, which are read at once. Each is there once.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Sku>")]
struct Skus(Vec<Sku>);

impl TryFrom<Vec<Sku>> for Skus {
    type Error = Invalid;

    fn try_from(named: Vec<Sku>) -> Result<Self, Invalid> {
        if named.len() > MAX_LINES {
            return Err(Invalid("must be at most 100"));
        }
        let mut skus = Vec::with_capacity(named.len());
        for sku in named {
            if !skus.contains(&sku) {
                skus.push(sku);
            }
        }
        Ok(Self(skus))
    }
}

/// A text to search for, in words or of an attribute.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct SearchText(String);

impl TryFrom<String> for SearchText {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.contains(char::REPLACEMENT_CHARACTER) {
            Err(Invalid("must be text in UTF-8"))
        } else if text.len() > MAX_TEXT {
            Err(Invalid("must be at most 200 bytes"))
        } else {
            Ok(Self(text))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ProductListQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl ProductListQuery {
    /// Where there is a `sku`, products by their SKUs; else a search.
    fn parse(query: &str) -> Result<Self, Problem> {
        let parameters = Parameters::of(query);
        if parameters.has("sku") {
            let SkuQuery { sku: Skus(skus) } = parameters.parse()?;
            Ok(Self::Skus(skus))
        } else {
            Ok(parameters.parse::<SearchQuery>()?.try_into()?)
        }
    }
}

impl TryFrom<SearchQuery> for ProductListQuery {
    type Error = BadCursor;

    fn try_from(query: SearchQuery) -> Result<Self, BadCursor> {
        let attributes = query.attributes.into_iter();
        let attributes = attributes.map(|(name, SearchText(value))| (name, value));
        let search = Search::new(query.category, &query.q.0, attributes.collect());
        let from = query.cursor.map(|cursor| search.from(&cursor));
        Ok(Self::Search {
            from: from.transpose()?,
            search,
            limit: query.limit.get(),
        })
    }
}

/// Products by category, attributes and words, or by their SKUs.
#[utoipa::path(get, path = "/v1/products", operation_id = "list_products", tag = "catalogue",
    params(SkuQuery, SearchQuery), responses((status = 200, body = ProductList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<AppState>>,
    AcceptLanguage(language): AcceptLanguage,
    query: ProductListQuery,
) -> Result<Json<ProductList>, Problem> {
    let (Page { items, next_cursor }, categories) = tokio::try_join!(
        find_products(&shop.catalogue, query),
        shop.catalogue.categories(),
    )?;
    let skus: Vec<Sku> = items.iter().map(|product| product.sku.clone()).collect();
    let stock = shop.database.stock().available(&skus).await?;
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
    State(shop): State<Arc<AppState>>,
    AcceptLanguage(language): AcceptLanguage,
    Path(sku): Path<String>,
) -> Result<Json<ProductView>, Problem> {
    let unknown = || Problem::not_found("product");
    let sku: Sku = sku.parse().map_err(|_| unknown())?;
    let product = shop.catalogue.product(&sku).await?.ok_or_else(unknown)?;
    let stock = shop
        .database
        .stock()
        .available(std::slice::from_ref(&sku))
        .await?;
    let stock = stock.get(sku.as_str()).copied().unwrap_or_default();
    Ok(Json(ProductView::new(product, stock, language)))
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
            let mut found = catalogue.versioned_products(&skus).await?;
            let items = skus.iter().filter_map(|sku| found.remove(sku));
            Ok(Page {
                items: items.map(|versioned| versioned.product).collect(),
                next_cursor: None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skus(values: &[&str]) -> Result<ProductListQuery, Problem> {
        let query = values.iter().map(|sku| format!("sku={sku}&"));
        ProductListQuery::parse(&query.collect::<String>())
    }

    #[test]
    fn products_are_asked_for_by_their_skus_each_once() {
        let Ok(ProductListQuery::Skus(parsed)) = skus(&["TEA-2", "TEA-1", "TEA-2"]) else {
            panic!("it is no list of SKUs");
        };
        let texts: Vec<&str> = parsed.iter().map(Sku::as_str).collect();
        assert_eq!(texts, ["TEA-2", "TEA-1"]);
    }

    #[test]
    fn as_many_as_an_order_has_lines() {
        let many = vec!["TEA-1"; MAX_LINES + 1];
        assert!(skus(&many[1..]).is_ok());
        assert!(skus(&many).is_err());
    }

    #[test]
    fn skus_are_not_combined_with_a_search() {
        assert!(ProductListQuery::parse("q=tea&sku=TEA-1").is_err());
        assert!(skus(&["tea-1"]).is_err());
    }
}
