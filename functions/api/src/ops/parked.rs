//! Orders and refunds that wait for a provider.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use orders::{Hold, OrderId, Provider, RefundId};
use serde::{Deserialize, Serialize};
use store::{ParkedWork, Resumed, StoreError, Work};
use utoipa::{IntoParams, ToSchema};

use crate::{
    AppState, Failures,
    audit::Changed,
    orders::order_id,
    page::PageLimit,
    problem::{Problem, ProblemType},
    query::Query,
};

/// Something that waits for a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Parked")]
pub(crate) struct ParkedView {
    order_id: OrderId,
    /// Which of the order's refunds it is, if it is one.
    refund_id: Option<RefundId>,
    /// What it will go on with, such as `BuyLabel`.
    step: String,
    hold: Hold,
}

/// A page of what waits for a provider, the oldest order first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedList {
    items: Vec<ParkedView>,
    /// Leads to the next page, if there is one.
    next_cursor: Option<String>,
}

impl From<&ParkedWork> for ParkedView {
    fn from(parked: &ParkedWork) -> Self {
        Self {
            order_id: parked.work.order(),
            refund_id: parked.work.refund(),
            step: parked.step.clone(),
            hold: parked.hold.clone(),
        }
    }
}

/// What is asked of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedQuery {
    /// For which provider; for both, if not given.
    provider: Option<Provider>,
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What of an order is released.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseQuery {
    /// Which of the order's refunds; the order itself, if not given.
    #[param(value_type = Option<RefundId>)]
    refund: Option<String>,
}

impl ReleaseQuery {
    /// What is no id names no refund.
    fn work(self, order: OrderId) -> Result<Work, Problem> {
        let refund = self.refund.map(|refund| refund.parse()).transpose();
        let refund = refund.map_err(|_| Problem::not_found("refund"))?;
        Ok(match refund {
            Some(refund) => Work::Refund(order, RefundId(refund)),
            None => Work::Order(order),
        })
    }
}

/// What waits for a provider, the oldest order first.
#[utoipa::path(get, path = "/v1/ops/parked", operation_id = "list_parked", tag = "operations",
    params(ParkedQuery), responses((status = 200, body = ParkedList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<AppState>>,
    Query(query): Query<ParkedQuery>,
) -> Result<Json<ParkedList>, Problem> {
    let from = query.cursor.map(|cursor| cursor.parse()).transpose()?;
    let (from, limit) = (from.unwrap_or_default(), query.limit.get().into());
    let page = match query.provider {
        Some(provider) => shop.parked.list(provider, from, limit).await?,
        None => shop.parked.list_all(from, limit).await?,
    };
    Ok(Json(ParkedList {
        items: page.items.iter().map(Into::into).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Lets an order go on that waits for a provider, or one of its refunds, before its turn.
#[utoipa::path(post, path = "/v1/ops/parked/{order}/release", operation_id = "release_parked", tag = "operations",
    params(("order" = OrderId, Path), ReleaseQuery), responses((status = 200, body = ParkedView), Failures))]
pub(crate) async fn release(
    State(shop): State<Arc<AppState>>,
    Path(order): Path<String>,
    Query(query): Query<ReleaseQuery>,
) -> Result<(Extension<Changed>, Json<ParkedView>), Problem> {
    let work = query.work(order_id(&order)?)?;
    let not_parked = || {
        Problem::new(
            ProblemType::OrderNotParked,
            "It may have gone on by itself.",
        )
    };
    let parked = shop.parked_work(work).await?.ok_or_else(not_parked)?;
    let resumed = shop.executions.resume(parked.token()).await?;
    shop.parked.remove(&parked).await?;
    match resumed {
        Resumed::Yes => {
            let view = ParkedView::from(&parked);
            Ok((Extension(Changed::new(&view, &())), Json(view)))
        }
        Resumed::Gone => Err(not_parked()),
    }
}

impl AppState {
    async fn parked_work(&self, work: Work) -> Result<Option<ParkedWork>, StoreError> {
        let of = |provider| self.parked.get(provider, work);
        let (payments, shipping) =
            tokio::try_join!(of(Provider::Payments), of(Provider::Shipping))?;
        Ok(payments.or(shipping))
    }
}
