//! Exports the catalogue as CSV, page by page, because a Lambda's response has at most 6 MB.

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

/// The products of a page. With the longest texts they take about 2 MB.
const PAGE: usize = 250;

/// The parameters of an export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// Only products of this category.
    category: Option<CategoryId>,
    /// The cursor in the `Link` header of the previous page.
    cursor: Option<String>,
}

/// Exports products as CSV, which can be imported again.
///
/// The `Link` header has the URL of the next page. Only the first page has the header row, so that
/// the concatenated pages are one file. Text that begins like a formula (`=`, `+`, `-`, `@`) has an
/// apostrophe before it.
#[utoipa::path(get, path = "/v1/products/export", operation_id = "export_products", tag = "catalogue",
    params(ExportQuery), responses((status = 200, body = String, content_type = "text/csv", headers(("Link" = String))), Failures))]
pub(crate) async fn export(
    State(state): State<Arc<AppState>>,
    Query(ExportQuery { category, cursor }): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let categories = state.catalogue.categories().await?;
    let columns = columns(&categories, category.as_ref())?;
    let search = Search::new(category.clone(), "", BTreeMap::new());
    let from = cursor.map(|cursor| search.from(&cursor)).transpose()?;
    let with_header = from.is_none();
    let page = state
        .catalogue
        .search_versioned(&search, from, PAGE)
        .await?;
    let csv = table::write(&columns, with_header, &page.items).map_err(|error| {
        tracing::error!(%error, "export.failed");
        Problem::internal()
    })?;
    let header_row = if with_header { "present" } else { "absent" };
    let content_type = [(
        header::CONTENT_TYPE,
        format!("text/csv; charset=utf-8; header={header_row}"),
    )];
    Ok(match page.next_cursor {
        Some(cursor) => {
            let next = [(header::LINK, link(category.as_ref(), &cursor))];
            (content_type, next, csv).into_response()
        }
        None => (content_type, csv).into_response(),
    })
}

/// The columns of the file, which are the same for all of its pages.
fn columns(categories: &[Category], id: Option<&CategoryId>) -> Result<Columns, Problem> {
    let Some(id) = id else {
        return Ok(Columns::of(categories));
    };
    let category = categories.iter().find(|it| it.id == *id);
    let unknown =
        || Problem::new(ProblemType::Validation, "there is no such category").at("category");
    Ok(Columns::of([category.ok_or_else(unknown)?]))
}

fn link(category: Option<&CategoryId>, cursor: &str) -> String {
    let category = category.map_or_else(String::new, |id| format!("category={id}&"));
    format!("</v1/products/export?{category}cursor={cursor}>; rel=\"next\"")
}
