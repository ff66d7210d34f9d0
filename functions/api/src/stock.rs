//! The stock of each product, and its adjustments by staff.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{Invalid, Sku};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    AdjustmentCursor, Database, NewStockAdjustment, StockAdjustment, StoredResponse,
    catalogue::Catalogue,
};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    orders::respond,
    page::PageQuery,
    problem::Problem,
    query::Query,
    request::{Body, Key, Reason},
};

/// The stock of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Stock")]
pub(crate) struct StockView {
    sku: Sku,
    /// The number of articles that can be ordered now.
    available: i64,
}

/// The number of articles to add. Negative to remove, never 0.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = i64, minimum = -1_000_000, maximum = 1_000_000)]
pub(crate) struct Delta(i64);

impl TryFrom<i64> for Delta {
    type Error = Invalid;

    fn try_from(delta: i64) -> Result<Self, Self::Error> {
        if delta != 0 && (-1_000_000..=1_000_000).contains(&delta) {
            Ok(Self(delta))
        } else {
            Err(Invalid("must be -1000000 to 1000000, and not 0"))
        }
    }
}

/// An adjustment of a product's stock.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdjustRequest {
    delta: Delta,
    /// The reason, for the list of adjustments and the audit log.
    reason: Reason,
}

/// A page of the adjustments of a product's stock, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdjustmentList {
    items: Vec<StockAdjustment>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

/// The stock of a product.
#[utoipa::path(get, path = "/v1/stock/{sku}", operation_id = "get_stock", tag = "catalogue",
    params(("sku" = String, Path)), responses((status = 200, body = StockView), Failures))]
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    Path(sku): Path<String>,
) -> Result<Json<StockView>, Problem> {
    Ok(Json(
        find_stock(&state.database, &state.catalogue, &sku).await?,
    ))
}

/// Adjusts the stock of a product.
///
/// `409 out-of-stock` if the stock would become negative. A repeated request with the same key gets
/// the first response again.
#[utoipa::path(post, path = "/v1/stock/{sku}/adjustments", operation_id = "adjust_stock", tag = "catalogue", request_body = AdjustRequest,
    params(("sku" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 201, body = StockAdjustment), Failures))]
pub(crate) async fn adjust(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(sku): Path<String>,
    key: Key,
    Body(request): Body<AdjustRequest>,
) -> Result<(Extension<Changed>, Response), Problem> {
    let StockView { sku, .. } = find_stock(&state.database, &state.catalogue, &sku).await?;
    let claim = key.claim(
        caller.id,
        "POST /v1/stock/{sku}/adjustments",
        &(&sku, &request),
    );
    let adjustment = NewStockAdjustment {
        sku: &sku,
        delta: request.delta.0,
        reason: request.reason.as_str(),
        actor: &caller.name(),
    };
    let (adjusted, replayed) = state
        .database
        .stock()
        .adjust(adjustment, &claim, Timestamp::now())
        .await?;
    let available = |available: i64| json!({ "available": available });
    let changed = Changed::new(&available(adjusted.before), &available(adjusted.after));
    let body = serde_json::to_string(&adjusted).unwrap_or_default();
    let response = respond(StatusCode::CREATED, StoredResponse { body, replayed });
    Ok((Extension(changed), response.into_response()))
}

/// The adjustments of a product's stock by staff, the newest first.
#[utoipa::path(get, path = "/v1/stock/{sku}/adjustments", operation_id = "list_stock_adjustments", tag = "catalogue",
    params(("sku" = String, Path), PageQuery), responses((status = 200, body = AdjustmentList), Failures))]
pub(crate) async fn adjustments(
    State(state): State<Arc<AppState>>,
    Path(sku): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AdjustmentList>, Problem> {
    let (from, limit) = page.resolve(AdjustmentCursor::default())?;
    let StockView { sku, .. } = find_stock(&state.database, &state.catalogue, &sku).await?;
    let page = state
        .database
        .stock()
        .list_adjustments(&sku, from, limit)
        .await?;
    Ok(Json(AdjustmentList {
        items: page.items,
        next_cursor: page.next_cursor,
    }))
}

/// The stock of a product in the catalogue, or of a deleted one that has a stock record.
async fn find_stock(
    database: &Database,
    catalogue: &Catalogue,
    sku: &str,
) -> Result<StockView, Problem> {
    let unknown = || Problem::not_found("product");
    let sku: Sku = sku.parse().map_err(|_| unknown())?;
    let stock = database
        .stock()
        .available(std::slice::from_ref(&sku))
        .await?;
    let recorded = stock.get(sku.as_str()).copied();
    if recorded.is_none() && catalogue.product(&sku).await?.is_none() {
        return Err(unknown());
    }
    let available = recorded.unwrap_or_default();
    Ok(StockView { sku, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjustment_is_not_zero_and_at_most_a_million() {
        for good in [-1_000_000, -1, 1, 1_000_000] {
            assert!(Delta::try_from(good).is_ok(), "{good}");
        }
        for bad in [i64::MIN, -1_000_001, 0, 1_000_001, i64::MAX] {
            assert!(Delta::try_from(bad).is_err(), "{bad}");
        }
    }
}
