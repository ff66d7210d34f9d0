//! What was in store for an order, and the ends that this allows.

use std::time::Duration;

use orders::{CancelledBy, FulfilmentStatus, OrderStatus, Provider};
use serde::Deserialize;
use strum::{Display, EnumString};
use uuid::Uuid;

use super::{Case, EffectKind, Violation};

/// For how long an event that comes too early is received again, before it is a dead letter: less than
/// the eight times 90 seconds of its queue.
const EVENT_RECEIVED_FOR: Duration = Duration::from_mins(10);

/// An order that the API answered with 201.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The order.
    pub order: Uuid,
    /// The idempotency key that it was asked for under.
    pub key: String,
    /// What it is paid with.
    pub card: Card,
    /// Whether no carrier goes to its address.
    pub goes_nowhere: bool,
    /// Who asked for it to be cancelled, if anybody did and was not refused.
    pub cancel: Option<CancelRequest>,
    /// Whether the hold on its card may have been ended before its time.
    pub lapsed: bool,
    /// A refund that staff was promised.
    pub refunds: Vec<RefundAsked>,
    /// The dispute of its payment, if the bank has opened one.
    pub dispute: Option<Dispute>,
}

/// That the bank disputes an order's payment, and has the shop answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// Whether it is a chargeback, of which the provider refunds nothing; else an inquiry.
    pub is_chargeback: bool,
    /// Whether the order showed it before a refund was asked for.
    pub is_seen: bool,
}

/// How a test card behaves, by Stripe's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// It pays, and takes refunds.
    Pays,
    /// It pays; what is refunded to it comes back.
    ReturnsRefunds,
    /// It is declined.
    Declines,
    /// It asks for the shopper in person.
    RequiresAction,
}

/// That an order was to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// Who asked for it.
    pub by: CancelledBy,
    /// Whether the API said that it is.
    pub confirmed: bool,
}

/// A refund that the API answered with 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RefundAsked {
    /// Its name.
    pub id: Uuid,
    /// How much.
    #[serde(rename = "amount_cents")]
    pub cents: i64,
}

/// Calls that a fault struck.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Strike {
    /// Whose calls.
    pub provider: Provider,
    /// What the fault does, such as `refuse`.
    pub mode: String,
    /// `METHOD /path`.
    pub operation: String,
    /// The order that the calls concern, by the call's metadata.
    pub order_id: Option<String>,
    /// How many.
    pub calls: u64,
}

/// What an order's timeline tells of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Milestone {
    /// It was accepted.
    Accepted,
    /// Its money was captured.
    PaymentCaptured,
    /// Its parcel was sent.
    Shipped,
    /// Its parcel has arrived.
    Delivered,
    /// It was cancelled.
    Cancelled,
}

/// How an order was cancelled, by its timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancellation {
    /// By whom or what.
    pub by: CancelledBy,
    /// How long after it was placed.
    pub after: Duration,
    /// Whether its money was authorized before.
    pub authorized: bool,
}

/// How long after it was placed an order may wait before it is cancelled for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// While its money is not authorized.
    pub unauthorized: Duration,
    /// Once it is.
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
    /// The card that a payment method stands for.
    pub fn of(payment_method: &str) -> Self {
        match payment_method.trim_start_matches("pm_card_") {
            "refundFail" => Self::ReturnsRefunds,
            name if name.starts_with("chargeDeclined") => Self::Declines,
            name if name.starts_with("authenticationRequired") => Self::RequiresAction,
            name if name.starts_with("threeDSecure") => Self::RequiresAction,
            _ => Self::Pays,
        }
    }

    const fn pays(self) -> bool {
        matches!(self, Self::Pays | Self::ReturnsRefunds)
    }
}

impl Strike {
    /// The order that the calls concern, if they concern one.
    pub fn order(&self) -> Option<Uuid> {
        self.order_id.as_ref()?.parse().ok()
    }

    /// Whether it has refused what an order cannot do without: its authorization, its capture, or
    /// anything on the way to its label.
    fn ends_order(&self) -> bool {
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

    /// Whether it has refused a refund.
    pub(super) fn refuses_refund(&self) -> bool {
        self.mode == "refuse" && self.operation == "POST /v1/refunds"
    }

    /// How many holds of its order it may have hidden: from a look-up that did not find what was so
    /// young, or by one that the provider made only after it had answered with an error.
    pub(super) fn hides_holds(&self) -> u64 {
        let hides = match self.mode.as_str() {
            "search_lag" => self.operation.ends_with("/payment_intents/search"),
            "late_effect" => self.is_authorization(),
            _ => false,
        };
        if hides { self.calls } else { 0 }
    }
}

/// Whether the order has ended, and as its fate allows.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let order = case.order;
    let (id, status) = (order.id, order.status);
    let mut violations = Vec::new();
    if !order.is_over() {
        violations.push(Violation::Unfinished {
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
        violations.push(Violation::NotCalledOff { order, status });
    }
    let can_complete = accepted.card.pays() && !accepted.goes_nowhere;
    if status == OrderStatus::Completed && !can_complete {
        violations.push(Violation::MustNotComplete { order });
    }
    if let Some(cancellation) = case.order.cancellation
        && !explains(case, accepted, cancellation)
    {
        let by = cancellation.by;
        violations.push(Violation::CancelledWithoutCause { order, by });
    }
    violations
}

/// Whether the order's fate, or a fault that struck it, is a cause for who or what cancelled it.
fn explains(case: &Case<'_>, accepted: &Accepted, cancellation: Cancellation) -> bool {
    let refused_by = |provider| {
        let mut strikes = case.strikes.iter();
        strikes.any(|strike| strike.provider == provider && strike.ends_order())
    };
    match cancellation.by {
        by @ (CancelledBy::Shopper | CancelledBy::Staff) => {
            accepted.cancel.is_some_and(|cancel| cancel.by == by)
        }
        CancelledBy::Payments => {
            !accepted.card.pays() || accepted.lapsed || refused_by(Provider::Payments)
        }
        CancelledBy::Shipping => accepted.goes_nowhere || refused_by(Provider::Shipping),
        CancelledBy::Deadline => {
            let deadlines = case.snapshot.deadlines;
            deadlines.is_some_and(|deadlines| cancellation.after >= deadlines.of(cancellation))
        }
    }
}

/// What the order says of itself is what has happened to it, each thing once.
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
    (order.milestones != expected).then(|| Violation::OtherTimeline {
        order: order.id,
        expected: expected.to_vec(),
        found: order.milestones.clone(),
    })
}

/// A completed order is delivered when, and only when, the carrier has delivered it. Where that was so
/// long before the order was complete that the carrier's event may be a dead letter, a person is told.
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
