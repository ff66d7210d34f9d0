//! An order, and the rules by which it may change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    address::Address,
    dispute::Dispute,
    event::{CancelledBy, OrderEvent},
    ids::{LabelId, OrderId, OrderNumber, PaymentId, PaymentMethod, RefundId, Sku},
    money::{Cents, Currency},
    placement::{Quantity, Shopper},
    refund::{Refund, RefundStatus},
    status::{FulfilmentStatus, OrderStatus, PaymentStatus},
};

/// One of the two external services.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Provider {
    /// Takes the money.
    Payments,
    /// Takes the parcel.
    Shipping,
}

/// Why and since when an order waits for a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// Whom it waits for.
    pub provider: Provider,
    /// What stood in the way, fit for the shopper.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it has been tried.
    pub attempts: u32,
    /// When it will be tried again.
    pub next_attempt: Timestamp,
    /// When waiting ends and the order is undone; none while it is being undone, or its money is being
    /// taken.
    pub deadline: Option<Timestamp>,
}

/// A bought shipping label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// The provider's name for it.
    #[schema(value_type = String)]
    pub label_id: LabelId,
    /// What the carrier tracks the parcel by; not every carrier does.
    #[serde(default)]
    pub tracking_number: Option<String>,
}

/// One line of an order, with the title and price it was sold at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// What it was called, in the shopper's language.
    pub title: String,
    /// How many.
    pub quantity: Quantity,
    /// The price of one, in cents.
    pub unit_cents: Cents,
}

/// An accepted order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// Its name for people.
    pub number: OrderNumber,
    /// Whose it is.
    pub shopper: Shopper,
    /// Where it stands as a whole.
    pub status: OrderStatus,
    /// Where its money stands.
    pub payment: PaymentStatus,
    /// Where its parcel stands.
    pub fulfilment: FulfilmentStatus,
    /// Why it waits, while it waits.
    pub hold: Option<Hold>,
    /// The currency of all its prices.
    pub currency: Currency,
    /// What it costs.
    pub total: Cents,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub shipping_address: Address,
    /// What it is paid with.
    pub payment_method: PaymentMethod,
    /// The provider's name for the payment, once there is one.
    pub payment_id: Option<PaymentId>,
    /// How often the provider was found to know of no payment. Part of the idempotency key, so that
    /// an error that the provider keeps under the key of one round does not outlast it.
    pub authorize_round: i32,
    /// When the hold on the card lapses, if the provider has said.
    pub capture_before: Option<Timestamp>,
    /// What was or is to be given back of what was taken, the oldest first.
    pub refunds: Vec<Refund>,
    /// The disputes of its payment, the oldest first.
    pub disputes: Vec<Dispute>,
    /// The label, while there is one.
    pub label: Option<Label>,
    /// When it was accepted.
    pub placed_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An event that an order in its present state cannot take.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{event} does not fit an order that is {status}, {payment} and {fulfilment}")]
pub struct NotAllowed {
    /// The event's kind.
    pub event: &'static str,
    /// The order's status at that time.
    pub status: OrderStatus,
    /// The payment's.
    pub payment: PaymentStatus,
    /// The fulfilment's.
    pub fulfilment: FulfilmentStatus,
}

impl Order {
    /// The order after `event` at `now`.
    ///
    /// What a provider says it did is taken even for a cancelled order, because money and labels
    /// that exist must be known before they can be undone. What we want done is not.
    pub fn after(mut self, event: &OrderEvent, now: Timestamp) -> Result<Self, NotAllowed> {
        use FulfilmentStatus as Fulfilment;
        use PaymentStatus as Payment;

        if !self.allows(event) {
            return Err(NotAllowed {
                event: event.name(),
                status: self.status,
                payment: self.payment,
                fulfilment: self.fulfilment,
            });
        }
        match event {
            OrderEvent::PaymentAuthorized {
                payment_id,
                capture_before,
            } => {
                self.payment = Payment::Authorized;
                self.capture_before = *capture_before;
                self.payment_id = Some(payment_id.clone());
                if self.status == OrderStatus::Pending {
                    self.status = OrderStatus::Confirmed;
                }
            }
            OrderEvent::PaymentDeclined { .. } => self.payment = Payment::Failed,
            OrderEvent::PaymentRequiresAction { payment_id } => {
                self.payment = Payment::RequiresAction;
                self.payment_id = Some(payment_id.clone());
            }
            OrderEvent::PaymentUnknown {} => self.payment = Payment::Unknown,
            OrderEvent::PaymentNotFound {} => {
                self.payment = Payment::NotPaid;
                self.authorize_round += 1;
            }
            OrderEvent::LabelRequested {} => self.fulfilment = Fulfilment::InProgress,
            OrderEvent::LabelBought(label) => self.label = Some(label.clone()),
            OrderEvent::PaymentCaptured {} => self.payment = Payment::Captured,
            OrderEvent::Shipped {} => {
                self.fulfilment = Fulfilment::Shipped;
                self.status = OrderStatus::Completed;
            }
            OrderEvent::Delivered {} => self.fulfilment = Fulfilment::Delivered,
            OrderEvent::LabelVoided {} => self.label = None,
            OrderEvent::PaymentVoided {} => self.payment = Payment::Voided,
            OrderEvent::Cancelled { .. } => {
                self.status = OrderStatus::Cancelled;
                self.fulfilment = Fulfilment::Cancelled;
            }
            OrderEvent::RefundRequested { .. }
            | OrderEvent::RefundUnknown { .. }
            | OrderEvent::RefundNotFound { .. }
            | OrderEvent::RefundedElsewhere { .. }
            | OrderEvent::Refunded { .. }
            | OrderEvent::RefundFailed { .. } => self.refund_changes(event, now),
            OrderEvent::Disputed(dispute) => self.set_dispute(dispute),
            OrderEvent::Accepted {} | OrderEvent::LabelRefused { .. } | OrderEvent::Held(_) => {}
        }
        self.hold = match event {
            OrderEvent::Held(hold) => Some(hold.clone()),
            // It still waits for the provider: to answer, or to let go.
            OrderEvent::Cancelled { .. }
            | OrderEvent::PaymentUnknown {}
            | OrderEvent::PaymentNotFound {}
            | OrderEvent::Disputed(_) => self.hold,
            _ => None,
        };
        self.updated_at = now;
        Ok(self)
    }

    /// Whether the order can take the event as it is now.
    pub fn allows(&self, event: &OrderEvent) -> bool {
        use FulfilmentStatus as Fulfilment;
        use PaymentStatus as Payment;

        match event {
            OrderEvent::Accepted {} => false,
            OrderEvent::PaymentAuthorized { .. }
            | OrderEvent::PaymentDeclined { .. }
            | OrderEvent::PaymentRequiresAction { .. } => self.is_undecided(),
            OrderEvent::PaymentUnknown {} => self.payment == Payment::NotPaid,
            OrderEvent::PaymentNotFound {} => self.payment == Payment::Unknown,
            OrderEvent::LabelRequested {} => {
                self.is_open()
                    && self.payment == Payment::Authorized
                    && self.fulfilment == Fulfilment::Unfulfilled
            }
            OrderEvent::LabelBought(_) | OrderEvent::LabelRefused { .. } => {
                self.label.is_none()
                    && matches!(
                        self.fulfilment,
                        Fulfilment::InProgress | Fulfilment::Cancelled
                    )
            }
            OrderEvent::PaymentCaptured {} => {
                self.is_open() && self.payment == Payment::Authorized && self.label.is_some()
            }
            OrderEvent::Shipped {} => self.is_open() && self.is_paid(),
            OrderEvent::Delivered {} => self.fulfilment == Fulfilment::Shipped,
            OrderEvent::LabelVoided {} => {
                self.label.is_some() && self.status == OrderStatus::Cancelled
            }
            OrderEvent::PaymentVoided {} => matches!(
                self.payment,
                Payment::Authorized | Payment::RequiresAction | Payment::Unknown
            ),
            OrderEvent::Held(_) => self.status != OrderStatus::Completed,
            OrderEvent::Cancelled {
                by: CancelledBy::Shopper | CancelledBy::Staff | CancelledBy::Deadline,
                ..
            } => self.can_be_cancelled(),
            OrderEvent::Cancelled { .. } => self.is_open() && !self.is_paid(),
            // Two people may approve one request at the same instant.
            OrderEvent::RefundRequested {
                refund_id, cents, ..
            } => {
                *cents > Cents::ZERO
                    && *cents <= self.refundable()
                    && self.refunds.iter().all(|refund| refund.id != *refund_id)
            }
            OrderEvent::RefundUnknown { refund_id } => self
                .pending_refund(*refund_id)
                .is_some_and(|refund| refund.request.unknown_since.is_none()),
            OrderEvent::RefundNotFound { refund_id } => self
                .pending_refund(*refund_id)
                .is_some_and(|refund| refund.request.unknown_since.is_some()),
            OrderEvent::RefundedElsewhere {
                refund_id, cents, ..
            } => {
                *cents > Cents::ZERO
                    && *cents <= self.not_refunded()
                    && self.refund(*refund_id).is_none()
            }
            // A refund that has succeeded may still come back from the bank.
            OrderEvent::Refunded { refund_id, .. } => {
                self.refund_is(*refund_id, &[RefundStatus::Pending])
            }
            OrderEvent::RefundFailed { refund_id, .. } => self.refund_is(
                *refund_id,
                &[RefundStatus::Pending, RefundStatus::Succeeded],
            ),
            OrderEvent::Disputed(dispute) => self.takes_dispute(dispute),
        }
    }

    /// Whether its money was taken, given back or not.
    pub const fn is_paid(&self) -> bool {
        matches!(
            self.payment,
            PaymentStatus::Captured | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded
        )
    }

    /// Whether it is still to be seen if money is held for it.
    pub const fn is_undecided(&self) -> bool {
        matches!(
            self.payment,
            PaymentStatus::NotPaid | PaymentStatus::Unknown
        )
    }

    fn pending_refund(&self, id: RefundId) -> Option<&Refund> {
        self.refund(id)
            .filter(|refund| refund.status == RefundStatus::Pending)
    }

    fn refund_is(&self, id: RefundId, any_of: &[RefundStatus]) -> bool {
        self.refund(id)
            .is_some_and(|refund| any_of.contains(&refund.status))
    }

    /// Whether the order is still on its way to being shipped.
    pub fn is_open(&self) -> bool {
        matches!(self.status, OrderStatus::Pending | OrderStatus::Confirmed)
    }

    /// Whether the order can still be called off: from the moment a label exists, a parcel may be
    /// on its way and the money is taken next.
    pub fn can_be_cancelled(&self) -> bool {
        self.is_open() && self.label.is_none() && !self.is_paid()
    }
}
