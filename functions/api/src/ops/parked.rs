//! Orders and refunds that wait for a provider.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use orders::{OrderId, Provider, RefundId, Wait};
use serde::{Deserialize, Serialize};
use store::{Parked, ParkedWork, Resumed, StoreError, Work};
use utoipa::{IntoParams, ToSchema};

use crate::{
    AppState, Failures,
    audit::Changed,
    orders::parse_order_id,
    page::PageLimit,
    problem::{Problem, ProblemType},
    query::Query,
};

/// An order or a refund that waits for a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Parked")]
pub(crate) struct ParkedView {
    order_id: OrderId,
    /// The waiting refund. `null` if the order itself waits.
    refund_id: Option<RefundId>,
    /// The step to resume, such as `BuyLabel`.
    step: String,
    wait: Wait,
}

/// A page of parked orders and refunds, the oldest order first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedList {
    items: Vec<ParkedView>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

impl From<&ParkedWork> for ParkedView {
    fn from(parked: &ParkedWork) -> Self {
        Self {
            order_id: parked.work.order(),
            refund_id: parked.work.refund(),
            step: parked.step.clone(),
            wait: parked.wait.clone(),
        }
    }
}

/// The parameters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedQuery {
    /// Only what waits for this provider. Both by default.
    provider: Option<Provider>,
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// The parameters of a release.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseQuery {
    /// The refund of the order to release. The order itself by default.
    #[param(value_type = Option<RefundId>)]
    refund: Option<String>,
}

impl ReleaseQuery {
    /// The order or the refund to release. 404 if the refund's id is not a UUID.
    fn work(self, order: OrderId) -> Result<Work, Problem> {
        let refund = self.refund.map(|refund| refund.parse()).transpose();
        let refund = refund.map_err(|_| Problem::not_found("refund"))?;
        Ok(match refund {
            Some(refund) => Work::Refund(order, RefundId(refund)),
            None => Work::Order(order),
        })
    }
}

/// The orders and refunds that wait for a provider, the oldest order first.
#[utoipa::path(get, path = "/v1/ops/parked", operation_id = "list_parked", tag = "operations",
    params(ParkedQuery), responses((status = 200, body = ParkedList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(query): Query<ParkedQuery>,
) -> Result<Json<ParkedList>, Problem> {
    let from = query.cursor.map(|cursor| cursor.parse()).transpose()?;
    let (from, limit) = (from.unwrap_or_default(), query.limit.get().into());
    let page = match query.provider {
        Some(provider) => state.parked.list(provider, from, limit).await?,
        None => state.parked.list_all(from, limit).await?,
    };
    Ok(Json(ParkedList {
        items: page.items.iter().map(Into::into).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Resumes an order, or one of its refunds, that waits for a provider.
///
/// `409 order-not-parked` if it is not waiting.
#[utoipa::path(post, path = "/v1/ops/parked/{order}/release", operation_id = "release_parked", tag = "operations",
    params(("order" = OrderId, Path), ReleaseQuery), responses((status = 200, body = ParkedView), Failures))]
pub(crate) async fn release(
    State(state): State<Arc<AppState>>,
    Path(order): Path<String>,
    Query(query): Query<ReleaseQuery>,
) -> Result<(Extension<Changed>, Json<ParkedView>), Problem> {
    let work = query.work(parse_order_id(&order)?)?;
    let not_parked = || {
        let detail = "It may have resumed automatically. Check the state of the order.";
        Problem::new(ProblemType::OrderNotParked, detail)
    };
    let parked = parked_work(&state.parked, work)
        .await?
        .ok_or_else(not_parked)?;
    let resumed = state.executions.resume(parked.token()).await?;
    state.parked.remove(&parked).await?;
    match resumed {
        Resumed::Yes => {
            let view = ParkedView::from(&parked);
            Ok((Extension(Changed::new(&view, &())), Json(view)))
        }
        Resumed::Gone => Err(not_parked()),
    }
}

async fn parked_work(parked: &Parked, work: Work) -> Result<Option<ParkedWork>, StoreError> {
    let of = |provider| parked.get(provider, work);
    let (payments, shipping) = tokio::try_join!(of(Provider::Payments), of(Provider::Shipping))?;
    Ok(payments.or(shipping))
}
