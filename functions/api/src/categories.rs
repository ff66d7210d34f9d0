//! The categories of the catalogue.

use std::sync::Arc;

use axum::{Json, extract::State};

use crate::{
    AppState, Failures,
    problem::Problem,
    request::AcceptLanguage,
    views::{CategoryList, CategoryView},
};

/// All categories, each with the attributes that its products can be filtered by.
#[utoipa::path(get, path = "/v1/categories", operation_id = "list_categories", tag = "catalogue",
    responses((status = 200, body = CategoryList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    AcceptLanguage(language): AcceptLanguage,
) -> Result<Json<CategoryList>, Problem> {
    let categories = state.catalogue.categories().await?.into_iter();
    let items = categories.map(|it| CategoryView::new(it, language));
    Ok(Json(CategoryList {
        items: items.collect(),
    }))
}
