//! The request of an order, and the outcomes that it allows.

use std::time::Duration;

use orders::{CancelledBy, FulfilmentStatus, OrderStatus, Provider};
use serde::Deserialize;
use strum::{Display, EnumString};
use uuid::Uuid;

use super::{Case, EffectKind, Violation};

/// How long an early event is received again before it is a dead letter: less than the eight times
/// 90 seconds of its queue.
const EVENT_RECEIVED_FOR: Duration = Duration::from_mins(10);

/// An accepted order: the API responded with 201.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The order's id.
    pub order: Uuid,
    /// The idempotency key of the request.
    pub key: String,
    /// The card.
    pub card: Card,
    /// Whether no carrier delivers to its address.
    pub is_undeliverable: bool,
    /// The request to cancel it, unless that was refused.
    pub cancel: Option<CancelRequest>,
    /// Whether its authorization may have lapsed early.
    pub lapsed: bool,
    /// The refunds that were accepted.
    pub refunds: Vec<RefundRequest>,
    /// The dispute of its payment.
    pub dispute: Option<Dispute>,
}

/// A dispute of an order's payment that the shop must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// Whether it is a chargeback, which the provider does not refund. Otherwise it is an inquiry.
    pub is_chargeback: bool,
    /// Whether the order showed it before a refund was requested.
    pub is_seen: bool,
}

/// The behaviour of a test card, by Stripe's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// Payments and refunds succeed.
    Pays,
    /// Payments succeed, refunds fail later.
    ReturnsRefunds,
    /// Payments are declined.
    Declines,
    /// Payments require an action by the shopper.
    RequiresAction,
}

/// A request to cancel an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// Who sent the request.
    pub by: CancelledBy,
    /// Whether the API confirmed that the order is cancelled.
    pub confirmed: bool,
}

/// An accepted refund: the API responded with 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RefundRequest {
    /// The refund's id.
    pub id: Uuid,
    /// The amount.
    #[serde(rename = "amount_cents")]
    pub cents: i64,
}

/// Calls that a fault struck.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Strike {
    /// The provider of the calls.
    pub provider: Provider,
    /// The mode of the fault, such as `refuse`.
    pub mode: String,
    /// `METHOD /path`.
    pub operation: String,
    /// The order in the metadata of the calls.
    pub order_id: Option<String>,
    /// The number of calls.
    pub calls: u64,
}

/// A milestone in an order's timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Milestone {
    /// The order was accepted.
    Accepted,
    /// The payment was captured.
    PaymentCaptured,
    /// The parcel was shipped.
    Shipped,
    /// The parcel was delivered.
    Delivered,
    /// The order was cancelled.
    Cancelled,
}

/// The cancellation of an order, from its timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancellation {
    /// The cause.
    pub by: CancelledBy,
    /// The time since the order was placed.
    pub after: Duration,
    /// Whether the payment was authorized before.
    pub authorized: bool,
}

/// How long an order may wait after it was placed before it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// While its payment is not authorized.
    pub unauthorized: Duration,
    /// Once its payment is authorized.
    pub authorized: Duration,
}

impl Deadlines {
    const fn of(self, cancellation: Cancellation) -> Duration {
        if cancellation.authorized {
            self.authorized
        } else {
            self.unauthorized
        }
    }
}

impl Card {
    /// The card of a payment method.
    pub fn of(payment_method: &str) -> Self {
        match payment_method.trim_start_matches("pm_card_") {
            "refundFail" => Self::ReturnsRefunds,
            name if name.starts_with("chargeDeclined") => Self::Declines,
            name if name.starts_with("authenticationRequired") => Self::RequiresAction,
            name if name.starts_with("threeDSecure") => Self::RequiresAction,
            _ => Self::Pays,
        }
    }

    const fn can_pay(self) -> bool {
        matches!(self, Self::Pays | Self::ReturnsRefunds)
    }
}

impl Strike {
    /// The order of the calls, if they belong to one.
    pub fn order(&self) -> Option<Uuid> {
        self.order_id.as_ref()?.parse().ok()
    }

    /// Whether it has refused a call that an order requires: its authorization, its capture, or a
    /// call that leads to its label.
    fn refuses_required_step(&self) -> bool {
        self.mode == "refuse"
            && match self.provider {
                Provider::Payments => {
                    self.is_authorization() || self.operation.ends_with("/capture")
                }
                Provider::Shipping => !self.operation.ends_with("/void"),
            }
    }

    fn is_authorization(&self) -> bool {
        self.operation == "POST /v1/payment_intents"
    }

    /// Whether it has refused to void this payment.
    pub(super) fn refuses_void_of(&self, payment_id: &str) -> bool {
        let void = format!("POST /v1/payment_intents/{payment_id}/cancel");
        self.mode == "refuse" && self.operation == void
    }

    /// Whether it has refused a refund.
    pub(super) fn refuses_refund(&self) -> bool {
        self.mode == "refuse" && self.operation == "POST /v1/refunds"
    }

    /// How many authorizations of its order it may have hidden: a search did not find them yet, or
    /// the provider made them after it had responded with an error.
    pub(super) fn hidden_authorizations(&self) -> u64 {
        let hides = match self.mode.as_str() {
            "search_lag" => self.operation.ends_with("/payment_intents/search"),
            "late_effect" => self.is_authorization(),
            _ => false,
        };
        if hides { self.calls } else { 0 }
    }
}

/// Checks that the order is finished with an allowed outcome.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let order = case.order;
    let (id, status) = (order.id, order.status);
    let mut violations = Vec::new();
    if !order.is_over() {
        violations.push(Violation::UnfinishedWork {
            order: id,
            status,
            payment: order.payment,
            fulfilment: order.fulfilment,
        });
    }
    if let Some(accepted) = case.accepted {
        violations.extend(allowed(case, accepted));
    }
    violations.extend(timeline(case));
    violations.extend(delivery(case));
    violations
}

fn allowed(case: &Case<'_>, accepted: &Accepted) -> Vec<Violation> {
    let (order, status) = (case.order.id, case.order.status);
    let mut violations = Vec::new();
    let confirmed = accepted.cancel.is_some_and(|cancel| cancel.confirmed);
    if confirmed && status != OrderStatus::Cancelled {
        violations.push(Violation::NotCancelled { order, status });
    }
    let can_complete = accepted.card.can_pay() && !accepted.is_undeliverable;
    if status == OrderStatus::Completed && !can_complete {
        violations.push(Violation::WronglyCompleted { order });
    }
    if let Some(cancellation) = case.order.cancellation
        && !explains(case, accepted, cancellation)
    {
        let by = cancellation.by;
        violations.push(Violation::CancelledWithoutCause { order, by });
    }
    violations
}

/// Whether the order's request, or a fault that struck its calls, explains the cancellation.
fn explains(case: &Case<'_>, accepted: &Accepted, cancellation: Cancellation) -> bool {
    let refused_by = |provider| {
        let mut strikes = case.strikes.iter();
        strikes.any(|strike| strike.provider == provider && strike.refuses_required_step())
    };
    match cancellation.by {
        by @ (CancelledBy::Shopper | CancelledBy::Staff) => {
            accepted.cancel.is_some_and(|cancel| cancel.by == by)
        }
        CancelledBy::Payments => {
            !accepted.card.can_pay() || accepted.lapsed || refused_by(Provider::Payments)
        }
        CancelledBy::Shipping => accepted.is_undeliverable || refused_by(Provider::Shipping),
        CancelledBy::Deadline => {
            let deadlines = case.snapshot.deadlines;
            deadlines.is_some_and(|deadlines| cancellation.after >= deadlines.of(cancellation))
        }
    }
}

/// Checks that the timeline has the milestones of the outcome, each once.
fn timeline(case: &Case<'_>) -> Option<Violation> {
    use Milestone::{Accepted, Cancelled, Delivered, PaymentCaptured, Shipped};

    let order = case.order;
    let expected: &[Milestone] = match (order.status, order.fulfilment) {
        (OrderStatus::Completed, FulfilmentStatus::Shipped) => {
            &[Accepted, PaymentCaptured, Shipped]
        }
        (OrderStatus::Completed, FulfilmentStatus::Delivered) => {
            &[Accepted, PaymentCaptured, Shipped, Delivered]
        }
        (OrderStatus::Cancelled, FulfilmentStatus::Cancelled) => &[Accepted, Cancelled],
        _ => return None,
    };
    (order.milestones != expected).then(|| Violation::WrongTimeline {
        order: order.id,
        expected: expected.to_vec(),
        found: order.milestones.clone(),
    })
}

/// Checks that a completed order is delivered if and only if the carrier has delivered it. If that
/// was long before the capture, the carrier's event may be a dead letter, which raises an alarm
/// instead.
fn delivery(case: &Case<'_>) -> Option<Violation> {
    let order = case.order;
    let delivered_at = case.first(EffectKind::Delivered);
    let recorded = order.fulfilment == FulfilmentStatus::Delivered;
    let differs = order.status == OrderStatus::Completed && delivered_at.is_some() != recorded;
    let may_be_dead_letter = delivered_at
        .zip(case.first(EffectKind::Captured))
        .is_some_and(|(delivered, captured)| captured - EVENT_RECEIVED_FOR > delivered);
    (differs && !may_be_dead_letter).then_some(Violation::WrongDelivery {
        order: order.id,
        fulfilment: order.fulfilment,
        delivered: delivered_at.is_some(),
    })
}
