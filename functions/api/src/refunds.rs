//! Giving money back.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{Cents, Currency, Kind as Event, NotRefundable, Order, OrderId, RefundId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{RecordError, Work};
use utoipa::ToSchema;

use crate::{
    Failures, Shop,
    audit::Changed,
    orders::{answered, order_id},
    problem::Problem,
    request::{Body, Caller, Key, Reason},
    views::RefundView,
};

/// What is to be given back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// How much; all that is left, if not given.
    amount_cents: Option<Cents>,
    /// The order's.
    currency: Currency,
    /// Why; for staff alone.
    reason: Reason,
}

impl RefundRequest {
    fn cents(&self, order: &Order, limit: Option<Cents>) -> Result<Cents, NotRefundable> {
        order.refund_of(self.amount_cents, &self.currency, limit)
    }

    /// What is recorded. What cannot be given back is nothing, and nothing the order does not take.
    fn event(&self, refund_id: RefundId, order: &Order, limit: Option<Cents>) -> Event {
        Event::RefundRequested {
            refund_id,
            cents: self.cents(order, limit).unwrap_or(Cents::ZERO),
            reason: self.reason.as_str().to_owned(),
        }
    }
}

/// Gives money of any order back, all or a part of it. Sent again with the same key, it is answered
/// the same again.
///
/// Without `orders:refund-any-amount`, no more than a limit can be given back of one order.
#[utoipa::path(post, path = "/v1/orders/{id}/refunds", operation_id = "refund_order", tag = "orders", security(("token" = ["orders:refund"])), request_body = RefundRequest,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 202, body = RefundView), Failures))]
pub(crate) async fn refund(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    Body(request): Body<RefundRequest>,
) -> Result<Response, Problem> {
    let order = shop.order(order_id(&id)?).await?;
    let claim = key.claim(
        caller.id,
        "POST /v1/orders/{id}/refunds",
        &(order.id, &request),
    );
    let id = RefundId::generate();
    let limit = (!caller.refunds_any_amount()).then_some(shop.refund_limit);
    let decide = |order: &Order| vec![request.event(id, order, limit)];
    let body = |order: &Order| {
        let view = order.refund(id).map(RefundView::from);
        serde_json::to_string(&view).unwrap_or_default()
    };
    let recorded = shop
        .database
        .record_once(order.id, Timestamp::now(), &claim, decide, body)
        .await;
    let answer = match recorded {
        Err(RecordError::NotAllowed(_)) => {
            request.cents(&shop.order(order.id).await?, limit)?;
            // It would be taken by now: another refund has failed meanwhile.
            return Err(RecordError::Contended.into());
        }
        recorded => recorded?,
    };
    if !answer.replayed {
        shop.start(Work::Refund(order.id, id)).await;
    }
    let before = json!({ "payment": order.payment, "refundable_cents": order.refundable() });
    let after = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default();
    let changed = Changed::new(&before, &after);
    Ok((Extension(changed), answered(StatusCode::ACCEPTED, answer)).into_response())
}

impl Shop {
    /// The order of that id, whosever it is.
    async fn order(&self, id: OrderId) -> Result<Order, Problem> {
        let order = self.database.order(id).await?;
        order.ok_or_else(|| Problem::not_found("order"))
    }
}
