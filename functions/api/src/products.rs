//! Lists and reads the products of the catalogue.

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
    catalogue::{Catalogue, Search, SearchCursor},
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

/// The longest search text or attribute value, in bytes.
const MAX_TEXT: usize = 200;

/// The query of the list: a search or a list of SKUs.
pub(crate) enum ProductListQuery {
    Search {
        search: Search,
        from: Option<SearchCursor>,
        limit: u8,
    },
    /// Each SKU once.
    Skus(Vec<Sku>),
}

/// Products by their SKUs. `sku` cannot be combined with other parameters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SkuQuery {
    /// The products with these 1 to 100 SKUs, in this order. SKUs without a product are left out.
    /// Cannot be combined with other parameters.
    #[param(value_type = Vec<String>, required = false)]
    sku: Skus,
}

/// Products by category, words and attributes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Only products of this category.
    category: Option<CategoryId>,
    /// Only products that contain words with these beginnings.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    q: SearchText,
    /// Only products whose attribute `<name>` has this value.
    #[serde(rename = "attr.<name>")]
    #[param(value_type = Option<String>)]
    attributes: BTreeMap<String, SearchText>,
    /// 1 to 100 products, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// SKUs without duplicates, at most as many as an order has lines. They are read in one batch.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Sku>")]
struct Skus(Vec<Sku>);

impl TryFrom<Vec<Sku>> for Skus {
    type Error = Invalid;

    fn try_from(given: Vec<Sku>) -> Result<Self, Invalid> {
        if given.len() > MAX_LINES {
            return Err(Invalid("must be at most 100"));
        }
        let mut skus = Vec::with_capacity(given.len());
        for sku in given {
            if !skus.contains(&sku) {
                skus.push(sku);
            }
        }
        Ok(Self(skus))
    }
}

/// A search text, or the value of an attribute.
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
    /// A list of SKUs if there is a `sku`, else a search.
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

/// Products by category, words and attributes, or by their SKUs.
///
/// The response has all categories, too.
#[utoipa::path(get, path = "/v1/products", operation_id = "list_products", tag = "catalogue",
    params(SkuQuery, SearchQuery), responses((status = 200, body = ProductList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    AcceptLanguage(language): AcceptLanguage,
    query: ProductListQuery,
) -> Result<Json<ProductList>, Problem> {
    let (Page { items, next_cursor }, categories) = tokio::try_join!(
        find_products(&state.catalogue, query),
        state.catalogue.categories(),
    )?;
    let skus: Vec<Sku> = items.iter().map(|product| product.sku.clone()).collect();
    let stock = state.database.stock().available(&skus).await?;
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

/// A product.
#[utoipa::path(get, path = "/v1/products/{sku}", operation_id = "get_product", tag = "catalogue",
    params(("sku" = String, Path)), responses((status = 200, body = ProductView), Failures))]
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    AcceptLanguage(language): AcceptLanguage,
    Path(sku): Path<String>,
) -> Result<Json<ProductView>, Problem> {
    let unknown = || Problem::not_found("product");
    let sku: Sku = sku.parse().map_err(|_| unknown())?;
    let product = state.catalogue.product(&sku).await?.ok_or_else(unknown)?;
    let stock = state
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
    fn repeated_skus_are_read_once() {
        let Ok(ProductListQuery::Skus(parsed)) = skus(&["TEA-2", "TEA-1", "TEA-2"]) else {
            panic!("it is not a list of SKUs");
        };
        let texts: Vec<&str> = parsed.iter().map(Sku::as_str).collect();
        assert_eq!(texts, ["TEA-2", "TEA-1"]);
    }

    #[test]
    fn a_list_has_as_many_skus_as_an_order_has_lines() {
        let many = vec!["TEA-1"; MAX_LINES + 1];
        assert!(skus(&many[1..]).is_ok());
        assert!(skus(&many).is_err());
    }

    #[test]
    fn skus_cannot_be_combined_with_a_search() {
        assert!(ProductListQuery::parse("q=tea&sku=TEA-1").is_err());
        assert!(skus(&["tea-1"]).is_err());
    }
}
