//! The catalogue's editor: products as whole documents, changed by one person at a time.

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
use store::catalogue::{EditError, MAX_TERMS, VersionedProduct, is_findable};

use crate::{
    AppState, Failures,
    audit::Changed,
    precondition::{Precondition, stale, tag},
    problem::{Problem, ProblemType},
    request::Body,
};

/// A product as it is written down, with the `ETag` that a change of it must name.
#[utoipa::path(get, path = "/v1/products/{sku}/document", operation_id = "get_product_document", tag = "catalogue",
    params(("sku" = String, Path)),
    responses((status = 200, body = ProductDraft, headers(("ETag" = String))), Failures))]
pub(crate) async fn document(
    State(shop): State<Arc<AppState>>,
    Path(sku): Path<String>,
) -> Result<Response, Problem> {
    let versioned = shop.versioned(&sku).await?;
    Ok((
        tag(&versioned),
        Json(ProductDraft::from(&versioned.product)),
    )
        .into_response())
}

/// Makes a product, or changes one: 412 if somebody was faster, with the `ETag` of what is there now.
/// All that is wrong with the document is told at once.
#[utoipa::path(put, path = "/v1/products/{sku}", operation_id = "put_product", tag = "catalogue", request_body = ProductDraft,
    params(
        ("sku" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what is to be changed"),
        ("If-None-Match" = Option<String>, Header, description = "`*`, if the product is to be made"),
    ), responses(
        (status = 200, body = ProductDraft, headers(("ETag" = String)), description = "Changed"),
        (status = 201, body = ProductDraft, headers(("ETag" = String)), description = "Made"),
        Failures,
    ))]
pub(crate) async fn put(
    State(shop): State<Arc<AppState>>,
    Path(sku): Path<String>,
    precondition: Precondition,
    Body(draft): Body<ProductDraft>,
) -> Result<(Extension<Changed>, Response), Problem> {
    let sku = named(&sku)?;
    let product = checked(&draft, &sku, &shop.catalogue.categories().await?)?;
    let seen = shop.catalogue.versioned(&sku).await?;
    let versioned = shop.put(precondition, seen.as_ref(), product).await?;
    let before = seen.as_ref().map(|it| ProductDraft::from(&it.product));
    let after = ProductDraft::from(&versioned.product);
    let changed = Extension(Changed::new(&before, &after));
    let answer = (tag(&versioned), Json(after));
    let response = if seen.is_some() {
        answer.into_response()
    } else {
        let location = [(header::LOCATION, format!("/v1/products/{sku}/document"))];
        (StatusCode::CREATED, location, answer).into_response()
    };
    Ok((changed, response))
}

/// Takes a product out of the catalogue. Orders keep what they were told of it; its stock stays on
/// record.
#[utoipa::path(delete, path = "/v1/products/{sku}", operation_id = "delete_product", tag = "catalogue",
    params(
        ("sku" = String, Path),
        ("If-Match" = String, Header, description = "The `ETag` of what is to be taken out"),
    ), responses((status = 204), Failures))]
pub(crate) async fn delete(
    State(shop): State<Arc<AppState>>,
    Path(sku): Path<String>,
    precondition: Precondition,
) -> Result<(Extension<Changed>, StatusCode), Problem> {
    let seen = shop.versioned(&sku).await?;
    precondition.check(Some(&seen))?;
    let removed = shop.catalogue.remove(&seen).await;
    shop.explained(removed, &seen.product.sku).await?;
    let changed = Changed::new(&ProductDraft::from(&seen.product), &());
    Ok((Extension(changed), StatusCode::NO_CONTENT))
}

impl AppState {
    /// The product of that name as it is now.
    async fn versioned(&self, sku: &str) -> Result<VersionedProduct, Problem> {
        let unknown = || Problem::not_found("product");
        let sku: Sku = sku.parse().map_err(|_| unknown())?;
        self.catalogue.versioned(&sku).await?.ok_or_else(unknown)
    }

    /// Puts the product in the place of what was `seen`, if that is what the change expects.
    async fn put(
        &self,
        precondition: Precondition,
        seen: Option<&VersionedProduct>,
        product: Product,
    ) -> Result<VersionedProduct, Problem> {
        // It may be this very change, made by a call whose answer was lost.
        if let Some(same) = seen.filter(|seen| seen.product == product) {
            return Ok(same.clone());
        }
        precondition.check(seen)?;
        let sku = product.sku.clone();
        let replaced = self.catalogue.replace(seen, product).await;
        self.explained(replaced, &sku).await
    }

    /// What came of a change; if it came too late, with the tag of what is there now.
    async fn explained<T>(&self, done: Result<T, EditError>, sku: &Sku) -> Result<T, Problem> {
        match done {
            Ok(done) => Ok(done),
            Err(EditError::Stale) => Err(stale(self.catalogue.versioned(sku).await?.as_ref())),
            Err(EditError::TooManyTerms) => Err(vec![too_many_terms()].into()),
            Err(EditError::Store(error)) => Err(error.into()),
        }
    }
}

/// The name in the path of a product that may not be there yet.
fn named(sku: &str) -> Result<Sku, Problem> {
    sku.parse().map_err(|rule: orders::Invalid| {
        Problem::new(ProblemType::Validation, rule.to_string()).at("sku")
    })
}

/// The product that the draft describes, if it keeps all rules.
pub(super) fn checked(
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
        "has too many different words: with the attributes, {MAX_TERMS} are the most that a \
         product can be found by"
    );
    Fault::new("title.en", rule)
}
