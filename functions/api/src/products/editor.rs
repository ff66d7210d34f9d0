//! The catalogue editor: reads and writes products as whole documents, with optimistic locking.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use orders::{
    Sku,
    catalogue::{Category, Fault, Product, ProductDraft},
};
use store::catalogue::{Catalogue, EditError, MAX_TERMS, VersionedProduct, is_findable};

use crate::{
    AppState, Failures,
    audit::Changed,
    precondition::{Precondition, etag_header, stale},
    problem::{Problem, ProblemType},
    request::Body,
};

/// A product's document in all languages, with the `ETag` that a change needs.
#[utoipa::path(get, path = "/v1/products/{sku}/document", operation_id = "get_product_document", tag = "catalogue",
    params(("sku" = String, Path)),
    responses((status = 200, body = ProductDraft, headers(("ETag" = String))), Failures))]
pub(crate) async fn document(
    State(state): State<Arc<AppState>>,
    Path(sku): Path<String>,
) -> Result<Response, Problem> {
    let versioned = versioned_product(&state.catalogue, &sku).await?;
    Ok((
        etag_header(&versioned),
        Json(ProductDraft::from(&versioned.product)),
    )
        .into_response())
}

/// Creates or changes a product.
///
/// `412 precondition-failed`, with the present `ETag`, if the product has changed since it was
/// read. `422 validation` lists all faults of the document.
#[utoipa::path(put, path = "/v1/products/{sku}", operation_id = "put_product", tag = "catalogue", request_body = ProductDraft,
    params(
        ("sku" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to change"),
        ("If-None-Match" = Option<String>, Header, description = "`*` to create the product"),
    ), responses(
        (status = 200, body = ProductDraft, headers(("ETag" = String)), description = "Changed"),
        (status = 201, body = ProductDraft, headers(("ETag" = String)), description = "Created"),
        Failures,
    ))]
pub(crate) async fn put(
    State(state): State<Arc<AppState>>,
    Path(sku): Path<String>,
    precondition: Precondition,
    Body(draft): Body<ProductDraft>,
) -> Result<(Extension<Changed>, Response), Problem> {
    let sku = parse_new_sku(&sku)?;
    let product = check_product(&draft, &sku, &state.catalogue.categories().await?)?;
    let stored = state.catalogue.versioned(&sku).await?;
    let versioned = put_product(&state.catalogue, precondition, stored.as_ref(), product).await?;
    let before = stored.as_ref().map(|it| ProductDraft::from(&it.product));
    let after = ProductDraft::from(&versioned.product);
    let changed = Extension(Changed::new(&before, &after));
    let document = (etag_header(&versioned), Json(after));
    let response = if stored.is_some() {
        document.into_response()
    } else {
        let location = [(header::LOCATION, format!("/v1/products/{sku}/document"))];
        (StatusCode::CREATED, location, document).into_response()
    };
    Ok((changed, response))
}

/// Deletes a product from the catalogue.
///
/// Orders keep their copy of its data, and its stock record stays.
///
/// `412 precondition-failed`, with the present `ETag`, if the product has changed since it was
/// read.
#[utoipa::path(delete, path = "/v1/products/{sku}", operation_id = "delete_product", tag = "catalogue",
    params(
        ("sku" = String, Path),
        ("If-Match" = String, Header, description = "The `ETag` of the version to delete"),
    ), responses((status = 204), Failures))]
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    Path(sku): Path<String>,
    precondition: Precondition,
) -> Result<(Extension<Changed>, StatusCode), Problem> {
    let stored = versioned_product(&state.catalogue, &sku).await?;
    precondition.check(Some(&stored))?;
    let removed = state.catalogue.remove(&stored).await;
    map_edit_error(&state.catalogue, removed, &stored.product.sku).await?;
    let changed = Changed::new(&ProductDraft::from(&stored.product), &());
    Ok((Extension(changed), StatusCode::NO_CONTENT))
}

/// The stored product with its version.
async fn versioned_product(catalogue: &Catalogue, sku: &str) -> Result<VersionedProduct, Problem> {
    let unknown = || Problem::not_found("product");
    let sku: Sku = sku.parse().map_err(|_| unknown())?;
    catalogue.versioned(&sku).await?.ok_or_else(unknown)
}

/// Replaces the `stored` version with the product, if the precondition holds.
async fn put_product(
    catalogue: &Catalogue,
    precondition: Precondition,
    stored: Option<&VersionedProduct>,
    product: Product,
) -> Result<VersionedProduct, Problem> {
    // An equal product may be this very change, made by a call whose response was lost.
    if let Some(same) = stored.filter(|stored| stored.product == product) {
        return Ok(same.clone());
    }
    precondition.check(stored)?;
    let sku = product.sku.clone();
    let replaced = catalogue.replace(stored, product).await;
    map_edit_error(catalogue, replaced, &sku).await
}

/// Turns the error of an edit into a problem. A stale edit reads the present `ETag` for it.
async fn map_edit_error<T>(
    catalogue: &Catalogue,
    edited: Result<T, EditError>,
    sku: &Sku,
) -> Result<T, Problem> {
    match edited {
        Ok(edited) => Ok(edited),
        Err(EditError::Stale) => Err(stale(catalogue.versioned(sku).await?.as_ref())),
        Err(EditError::TooManyTerms) => Err(vec![too_many_terms()].into()),
        Err(EditError::Store(error)) => Err(error.into()),
    }
}

/// Parses the SKU of a product that may not exist yet: 422 and not 404 if it is not valid.
fn parse_new_sku(sku: &str) -> Result<Sku, Problem> {
    sku.parse().map_err(|rule: orders::Invalid| {
        Problem::new(ProblemType::Validation, rule.to_string()).at("sku")
    })
}

/// Validates the draft against all rules, and returns the product or all faults.
pub(super) fn check_product(
    draft: &ProductDraft,
    sku: &Sku,
    categories: &[Category],
) -> Result<Product, Vec<Fault>> {
    let product = draft.check(sku, categories)?;
    if is_findable(&product) {
        Ok(product)
    } else {
        Err(vec![too_many_terms()])
    }
}

pub(super) fn too_many_terms() -> Fault {
    let rule = format!(
        "has too many different words: a product can have at most {MAX_TERMS} search terms, \
         including its attributes"
    );
    Fault::new("title.en", rule)
}
