//! Refunds: limited for some staff, above an amount only with a second person's approval, and never
//! of the caller's own order.

pub(crate) mod approvals;

use std::sync::Arc;

use access::Scope;
use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{
    Cents, Currency, NotRefundable, Order, OrderEvent, OrderId, Refund, RefundId, RefundLimits,
    RefundPlan,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Claim, Database, DayLimit, Executions, RecordError, RefundActor, RefundError, StoredResponse,
    Work,
};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    orders::{parse_order_id, replay, respond, start_execution},
    problem::{Problem, ProblemType},
    request::{Body, Key, Reason},
};

/// The shop's limits of refunds. Each amount is in cents of the order's currency.
#[derive(Debug, Clone, Copy)]
pub struct RefundRules {
    /// The most that may be refunded of one order without `orders:refund-any-amount`.
    pub per_order: Cents,
    /// The most that one person may refund in a day (UTC) without that scope, in each currency.
    pub per_day: Cents,
    /// A refund needs a second person's approval if the refunds of its order then exceed this.
    /// `None`: no refund does.
    pub approval_above: Option<Cents>,
}

/// A refund to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// The amount, in cents. All that is left to refund by default.
    amount_cents: Option<Cents>,
    /// The order's currency.
    currency: Currency,
    /// The reason, which only staff can read.
    reason: Reason,
}

/// A refund when it has just been requested or approved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "RequestedRefund")]
pub(crate) struct RequestedRefund {
    /// Also the id of the request for approval, if there is one.
    id: RefundId,
    amount_cents: Cents,
    status: RequestedRefundStatus,
}

/// What a requested refund waits for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RequestedRefundStatus {
    /// The payment provider has to make the refund.
    Pending,
    /// A second person has to approve the refund.
    AwaitingApproval,
}

impl RequestedRefund {
    /// The response body for a refund of the order.
    fn json_of(order: &Order, id: RefundId) -> String {
        let recorded = |refund: &Refund| Self {
            id,
            amount_cents: refund.cents,
            status: RequestedRefundStatus::Pending,
        };
        serde_json::to_string(&order.refund(id).map(recorded)).unwrap_or_default()
    }

    /// The response body for a refund that needs a second person's approval.
    fn json_awaiting_approval(id: RefundId, amount_cents: Cents) -> String {
        let status = RequestedRefundStatus::AwaitingApproval;
        let awaiting = Self {
            id,
            amount_cents,
            status,
        };
        serde_json::to_string(&awaiting).unwrap_or_default()
    }
}

impl RefundRequest {
    fn plan(&self, order: &Order, limits: RefundLimits) -> Result<RefundPlan, NotRefundable> {
        order.plan_refund(self.amount_cents, &self.currency, limits)
    }

    /// The event to record. If the refund is not allowed, it is a refund of zero, which the order
    /// refuses.
    fn event(&self, refund_id: RefundId, order: &Order, limits: RefundLimits) -> OrderEvent {
        let cents = match self.plan(order, limits) {
            Ok(RefundPlan::CarryOut(cents)) => cents,
            Ok(RefundPlan::AwaitApproval(_)) | Err(_) => Cents::ZERO,
        };
        OrderEvent::RefundRequested {
            refund_id,
            cents,
            reason: self.reason.as_str().to_owned(),
        }
    }
}

/// Refunds all or a part of an order that is not the caller's own.
///
/// Above an amount, the refund is `awaiting_approval` until a second person approves it. A repeated
/// request with the same key gets the first response again.
///
/// Without `orders:refund-any-amount`, `403 refund-over-limit` limits the refunds of one order and
/// `403 refund-over-day-limit` those of one person in a day. `403 own-order` for the caller's own
/// order, `409 order-not-refundable` if nothing can be refunded, `422 refund-too-large` if less is
/// left.
#[utoipa::path(post, path = "/v1/orders/{id}/refunds", operation_id = "refund_order", tag = "orders", request_body = RefundRequest,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 202, body = RequestedRefund), Failures))]
pub(crate) async fn refund(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    Body(request): Body<RefundRequest>,
) -> Result<Response, Problem> {
    let order = state.refund_desk().order(parse_order_id(&id)?).await?;
    check_not_own(&caller, &order)?;
    let claim = key.claim(
        caller.id,
        "POST /v1/orders/{id}/refunds",
        &(order.id, &request),
    );
    let answer = match replay(&state.database, &claim).await? {
        Some(answer) => answer,
        None => {
            state
                .refund_desk()
                .request_refund(&caller, &order, &request, &claim)
                .await?
        }
    };
    let before =
        json!({ "payment": order.payment.status(), "refundable_cents": order.refundable() });
    Ok(respond_accepted(&before, answer))
}

/// Refuses the caller's own orders: those of their account, and those of guests with their e-mail
/// address.
fn check_not_own(caller: &Caller, order: &Order) -> Result<(), Problem> {
    if order.shopper.is_user(caller.id, &caller.email) {
        let detail = "The order is your own. Ask a colleague to refund it.";
        return Err(Problem::new(ProblemType::OwnOrder, detail));
    }
    Ok(())
}

/// A 202 with the stored body, which is also the state after the change in the audit log.
fn respond_accepted(before: &impl Serialize, answer: StoredResponse) -> Response {
    let after = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default();
    let changed = Changed::new(before, &after);
    (Extension(changed), respond(StatusCode::ACCEPTED, answer)).into_response()
}

fn actor(caller: &Caller) -> RefundActor {
    RefundActor {
        id: caller.id.0,
        name: caller.name(),
    }
}

/// What it takes to make refunds.
pub(super) struct RefundDesk<'a> {
    database: &'a Database,
    executions: &'a Executions,
    rules: &'a RefundRules,
}

impl AppState {
    const fn refund_desk(&self) -> RefundDesk<'_> {
        RefundDesk {
            database: &self.database,
            executions: &self.executions,
            rules: &self.refund_rules,
        }
    }
}

impl RefundDesk<'_> {
    /// The order of any shopper.
    async fn order(&self, id: OrderId) -> Result<Order, Problem> {
        let order = self.database.orders().find(id).await?;
        order.ok_or_else(|| Problem::not_found("order"))
    }

    async fn request_refund(
        &self,
        caller: &Caller,
        order: &Order,
        request: &RefundRequest,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let is_limited = !caller.holds(Scope::OrdersRefundAnyAmount);
        let limits = RefundLimits {
            per_order: is_limited.then_some(self.rules.per_order),
            approval_above: self.rules.approval_above,
        };
        let day_limit = is_limited.then_some(DayLimit {
            actor: caller.id.0,
            currency: &order.currency,
            cents: self.rules.per_day,
        });
        match request.plan(order, limits)? {
            RefundPlan::CarryOut(_) => {
                self.start_refund(order.id, request, limits, day_limit, claim)
                    .await
            }
            RefundPlan::AwaitApproval(cents) => {
                self.request_approval(caller, order, cents, request, claim)
                    .await
            }
        }
    }

    /// Records the refund and starts its execution.
    async fn start_refund(
        &self,
        order: OrderId,
        request: &RefundRequest,
        limits: RefundLimits,
        day_limit: Option<DayLimit<'_>>,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let (id, now) = (RefundId::generate(), Timestamp::now());
        let decide = |order: &Order| vec![request.event(id, order, limits)];
        let body = |order: &Order| RequestedRefund::json_of(order, id);
        let recorded = self
            .database
            .refunds()
            .record_once(order, now, claim, day_limit, decide, body)
            .await;
        if let Err(RefundError::Record(RecordError::NotAllowed(_))) = recorded {
            request.plan(&self.order(order).await?, limits)?;
            // The plan is valid again: another refund was recorded or has failed in between.
            return Err(RecordError::Contended.into());
        }
        let answer = recorded?;
        if !answer.replayed {
            start_execution(self.executions, Work::Refund(order, id)).await;
        }
        Ok(answer)
    }
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::Record(error) => error.into(),
            RefundError::OverDayLimit(_) => {
                Self::new(ProblemType::RefundOverDayLimit, error.to_string()).at("amount_cents")
            }
            RefundError::ApprovalClosed => approvals::closed(),
            RefundError::Store(error) => error.into(),
        }
    }
}
