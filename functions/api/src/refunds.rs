//! Giving money back.

use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{Cents, Currency, Kind as Event, Order, OrderId, PaymentStatus, RefundId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{KeyUse, RecordError, Work};
use utoipa::ToSchema;

use crate::{
    Failures, Shop,
    audit::Changed,
    orders::{answered, order_id},
    problem::{Kind, Problem},
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
    /// Whether it fits the order as it is now.
    fn check(&self, order: &Order) -> Result<(), Problem> {
        let (left, amount) = (order.refundable(), self.amount_cents);
        if self.currency != order.currency {
            let rule = format!("must be the order's: {}", order.currency);
            return Err(Problem::new(Kind::Validation, rule).at("currency"));
        }
        if amount == Some(Cents::ZERO) {
            return Err(Problem::new(Kind::Validation, "must be more than 0").at("amount_cents"));
        }
        if !matches!(
            order.payment,
            PaymentStatus::Captured | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded
        ) {
            let detail = format!("The order's money is {}.", order.payment);
            return Err(Problem::new(Kind::OrderNotRefundable, detail));
        }
        match amount {
            Some(amount) if amount > left => {
                let detail = format!("{} cents are left to give back.", left.get());
                Err(Problem::new(Kind::RefundTooLarge, detail).at("amount_cents"))
            }
            None if left == Cents::ZERO => {
                let detail = "All of it is given back, or on its way.";
                Err(Problem::new(Kind::OrderNotRefundable, detail))
            }
            _ => Ok(()),
        }
    }

    fn event(&self, refund_id: RefundId, order: &Order) -> Event {
        Event::RefundRequested {
            refund_id,
            cents: self.amount_cents.unwrap_or_else(|| order.refundable()),
            reason: self.reason.as_str().to_owned(),
        }
    }
}

/// Gives money of any order back, all or a part of it. Sent again with the same key, it is answered
/// the same again.
#[utoipa::path(post, path = "/v1/orders/{id}/refunds", operation_id = "refund_order", tag = "orders", security(("token" = ["orders:refund"])), request_body = RefundRequest,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 202, body = RefundView), Failures))]
pub(crate) async fn refund(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    Body(request): Body<RefundRequest>,
) -> Result<Response, Problem> {
    let order = shop.order(order_id(&id)?).await?;
    let claim = key.claim(
        &caller,
        "POST /v1/orders/{id}/refunds",
        &(order.id, &request),
    );
    if let Err(problem) = request.check(&order) {
        // Since the first answer, what is left may have become too little.
        return match shop.database.key_use(&claim).await? {
            KeyUse::Same(answer) => Ok(answered(StatusCode::ACCEPTED, answer)),
            KeyUse::Other => Err(Problem::key_reused()),
            KeyUse::None => Err(problem),
        };
    }
    let id = RefundId::generate();
    let decide = |order: &Order| vec![request.event(id, order)];
    let body = |order: &Order| {
        let view = order.refund(id).map(RefundView::from);
        serde_json::to_string(&view).unwrap_or_default()
    };
    let recorded = shop
        .database
        .record_once(order.id, Timestamp::now(), &claim, decide, body)
        .await;
    let answer = match recorded {
        // Another refund was faster: this one is refused as if it had come second.
        Err(RecordError::NotAllowed(_)) => {
            request.check(&shop.order(order.id).await?)?;
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
