//! The catalogue as a file, page by page: a Lambda answers with at most 6 MB.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use orders::catalogue::{Category, CategoryId};
use serde::Deserialize;
use store::catalogue::Search;
use utoipa::IntoParams;

use super::table::{self, Columns};
use crate::{
    AppState, Failures,
    problem::{Problem, ProblemType},
    query::Query,
};

/// How many products are on a page: of the longest texts, some 2 MB.
const PAGE: usize = 250;

/// What is to be written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// Only products of this category.
    category: Option<CategoryId>,
    /// As in the `Link` header of the page before.
    cursor: Option<String>,
}

/// Products as CSV, to be imported again. Only the first page begins with the line that names the
/// columns, so that the pages after each other are one file; a `Link` header leads to the next one.
///
/// Text that begins as a formula does (`=`, `+`, `-`, `@`) has an apostrophe before it.
#[utoipa::path(get, path = "/v1/products/export", operation_id = "export_products", tag = "catalogue",
    params(ExportQuery), responses((status = 200, body = String, content_type = "text/csv", headers(("Link" = String))), Failures))]
pub(crate) async fn export(
    State(shop): State<Arc<AppState>>,
    Query(ExportQuery { category, cursor }): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let categories = shop.catalogue.categories().await?;
    let columns = columns(&categories, category.as_ref())?;
    let search = Search::new(category.clone(), "", BTreeMap::new());
    let from = cursor.map(|cursor| search.from(&cursor)).transpose()?;
    let with_header = from.is_none();
    let page = shop.catalogue.search_versioned(&search, from, PAGE).await?;
    let csv = table::write(&columns, with_header, &page.items).map_err(|error| {
        tracing::error!(%error, "export.failed");
        Problem::new(ProblemType::Internal, "It has been logged.")
    })?;
    let kind = if with_header { "present" } else { "absent" };
    let kind = [(
        header::CONTENT_TYPE,
        format!("text/csv; charset=utf-8; header={kind}"),
    )];
    Ok(match page.next_cursor {
        Some(cursor) => {
            let next = [(header::LINK, link(category.as_ref(), &cursor))];
            (kind, next, csv).into_response()
        }
        None => (kind, csv).into_response(),
    })
}

/// The same for each page of one file.
fn columns(categories: &[Category], wanted: Option<&CategoryId>) -> Result<Columns, Problem> {
    let Some(wanted) = wanted else {
        return Ok(Columns::of(categories));
    };
    let category = categories.iter().find(|it| it.id == *wanted);
    let unknown =
        || Problem::new(ProblemType::Validation, "there is no such category").at("category");
    Ok(Columns::of([category.ok_or_else(unknown)?]))
}

fn link(category: Option<&CategoryId>, cursor: &str) -> String {
    let category = category.map_or_else(String::new, |id| format!("category={id}&"));
    format!("</v1/products/export?{category}cursor={cursor}>; rel=\"next\"")
}
