//! An order, and the rules for its changes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    address::Address,
    dispute::Dispute,
    event::{CancelledBy, OrderEvent},
    ids::{LabelId, OrderId, OrderNumber, PaymentMethod, RefundId, Sku},
    money::{Cents, Currency},
    payment::Payment,
    placement::{Quantity, Shopper},
    refund::{Refund, RefundStatus},
    status::{FulfilmentStatus, OrderStatus, PaymentStatus},
};

/// A provider: one of the two external services.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Provider {
    /// The payment provider.
    Payments,
    /// The shipping provider.
    Shipping,
}

/// The wait of an order for a provider, with its reason, attempts and deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// The provider that the order waits for.
    pub provider: Provider,
    /// Why the last attempt failed. It may be shown to the shopper.
    pub reason: String,
    /// The time from which the order waits.
    pub since: Timestamp,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The time of the next attempt.
    pub next_attempt: Timestamp,
    /// The time at which the order is cancelled if it still waits. `null` if the order waits for
    /// the completion of its cancellation or for the capture of its payment: that has no deadline.
    pub deadline: Option<Timestamp>,
}

/// A bought shipping label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// The provider's id of the label.
    #[schema(value_type = String)]
    pub label_id: LabelId,
    /// The carrier's tracking number. Not every carrier has one.
    #[serde(default)]
    pub tracking_number: Option<String>,
}

/// One line of an order, with the title and price it was sold at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// The product.
    pub sku: Sku,
    /// The product's title when it was sold, in the shopper's language.
    pub title: String,
    /// The number of units.
    pub quantity: Quantity,
    /// The price of one unit, in cents.
    pub unit_cents: Cents,
}

/// An accepted order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The order's id.
    pub id: OrderId,
    /// The order's number, which people use.
    pub number: OrderNumber,
    /// The shopper who placed it.
    pub shopper: Shopper,
    /// The status of the order as a whole.
    pub status: OrderStatus,
    /// Its payment.
    pub payment: Payment,
    /// The status of its parcel.
    pub fulfilment: FulfilmentStatus,
    /// Set while the order waits for a provider.
    pub wait: Option<Wait>,
    /// The currency of all its prices.
    pub currency: Currency,
    /// The total price.
    pub total: Cents,
    /// The ordered products.
    pub lines: Vec<Line>,
    /// The address that it is shipped to.
    pub shipping_address: Address,
    /// The card that it is paid with.
    pub payment_method: PaymentMethod,
    /// The refunds, requested or completed, oldest first.
    pub refunds: Vec<Refund>,
    /// The disputes of its payment, oldest first.
    pub disputes: Vec<Dispute>,
    /// The label, unless none was bought or it was voided.
    pub label: Option<Label>,
    /// The time at which it was accepted.
    pub placed_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// The time of the last call to a provider that no event followed.
    pub last_call_at: Option<Timestamp>,
}

/// The order's present state does not allow the event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an order that is {status}, {payment} and {fulfilment} does not allow {event}")]
pub struct EventNotAllowed {
    /// The event's name.
    pub event: &'static str,
    /// The order's status.
    pub status: OrderStatus,
    /// The order's payment status.
    pub payment: PaymentStatus,
    /// The order's fulfilment status.
    pub fulfilment: FulfilmentStatus,
}

impl Order {
    /// Returns the order after `event` at `now`.
    ///
    /// A cancelled order still allows events that report what a provider did: a payment or a label
    /// that exists must be recorded before it can be voided. It allows no event that requests
    /// something of a provider.
    pub fn after(mut self, event: &OrderEvent, now: Timestamp) -> Result<Self, EventNotAllowed> {
        use FulfilmentStatus as Fulfilment;

        if !self.allows(event) {
            return Err(EventNotAllowed {
                event: event.name(),
                status: self.status,
                payment: self.payment.status(),
                fulfilment: self.fulfilment,
            });
        }
        self.payment = self.payment.after(event);
        match event {
            OrderEvent::PaymentAuthorized { .. } => {
                if self.status == OrderStatus::Pending {
                    self.status = OrderStatus::Confirmed;
                }
            }
            OrderEvent::LabelRequested {} => self.fulfilment = Fulfilment::InProgress,
            OrderEvent::LabelBought(label) => self.label = Some(label.clone()),
            OrderEvent::Shipped {} => {
                self.fulfilment = Fulfilment::Shipped;
                self.status = OrderStatus::Completed;
            }
            OrderEvent::Delivered {} => self.fulfilment = Fulfilment::Delivered,
            OrderEvent::LabelVoided {} => self.label = None,
            OrderEvent::Cancelled { .. } => {
                self.status = OrderStatus::Cancelled;
                self.fulfilment = Fulfilment::Cancelled;
            }
            OrderEvent::RefundRequested { .. }
            | OrderEvent::RefundUnknown { .. }
            | OrderEvent::RefundNotFound { .. }
            | OrderEvent::RefundedElsewhere { .. }
            | OrderEvent::Refunded { .. }
            | OrderEvent::RefundFailed { .. } => self.apply_refund_event(event, now),
            OrderEvent::Disputed(dispute) => self.set_dispute(dispute),
            OrderEvent::Accepted {}
            | OrderEvent::PaymentDeclined { .. }
            | OrderEvent::PaymentRequiresAction { .. }
            | OrderEvent::PaymentUnknown {}
            | OrderEvent::PaymentNotFound {}
            | OrderEvent::PaymentCaptured {}
            | OrderEvent::PaymentVoided {}
            | OrderEvent::LabelRefused { .. }
            | OrderEvent::WaitBegan(_) => {}
        }
        self.wait = match event {
            OrderEvent::WaitBegan(wait) => Some(wait.clone()),
            // The order still waits for the provider, or for the completion of its cancellation.
            OrderEvent::Cancelled { .. }
            | OrderEvent::PaymentUnknown {}
            | OrderEvent::PaymentNotFound {}
            | OrderEvent::Disputed(_) => self.wait,
            _ => None,
        };
        self.updated_at = now;
        Ok(self)
    }

    /// Whether the order's present state allows the event.
    pub fn allows(&self, event: &OrderEvent) -> bool {
        use FulfilmentStatus as Fulfilment;

        match event {
            OrderEvent::Accepted {} => false,
            OrderEvent::PaymentAuthorized { .. }
            | OrderEvent::PaymentDeclined { .. }
            | OrderEvent::PaymentRequiresAction { .. }
            | OrderEvent::PaymentUnknown {}
            | OrderEvent::PaymentNotFound {}
            | OrderEvent::PaymentVoided {} => self.payment.allows(event),
            OrderEvent::LabelRequested {} => {
                self.is_open()
                    && matches!(self.payment, Payment::Authorized(_))
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
                self.is_open() && self.payment.allows(event) && self.label.is_some()
            }
            OrderEvent::Shipped {} => self.is_open() && self.is_paid(),
            OrderEvent::Delivered {} => self.fulfilment == Fulfilment::Shipped,
            OrderEvent::LabelVoided {} => {
                self.label.is_some() && self.status == OrderStatus::Cancelled
            }
            OrderEvent::WaitBegan(_) => self.status != OrderStatus::Completed,
            OrderEvent::Cancelled {
                by: CancelledBy::Shopper | CancelledBy::Staff | CancelledBy::Deadline,
                ..
            } => self.can_be_cancelled(),
            OrderEvent::Cancelled { .. } => self.is_open() && !self.is_paid(),
            // Two people may approve the same refund at the same time.
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
            // The bank may return a refund that has succeeded.
            OrderEvent::Refunded { refund_id, .. } => {
                self.refund_is(*refund_id, &[RefundStatus::Pending])
            }
            OrderEvent::RefundFailed { refund_id, .. } => self.refund_is(
                *refund_id,
                &[RefundStatus::Pending, RefundStatus::Succeeded],
            ),
            OrderEvent::Disputed(dispute) => self.allows_dispute(dispute),
        }
    }

    /// Whether its payment was captured, even if it was refunded since.
    pub const fn is_paid(&self) -> bool {
        self.payment.captured().is_some()
    }

    /// Whether the outcome of its authorization is not known yet.
    pub const fn is_undecided(&self) -> bool {
        self.payment.round().is_some()
    }

    fn pending_refund(&self, id: RefundId) -> Option<&Refund> {
        self.refund(id)
            .filter(|refund| refund.status == RefundStatus::Pending)
    }

    fn refund_is(&self, id: RefundId, any_of: &[RefundStatus]) -> bool {
        self.refund(id)
            .is_some_and(|refund| any_of.contains(&refund.status))
    }

    /// The latest time at which a provider may have been called: an event follows each call, or its
    /// time is recorded.
    pub fn last_called(&self) -> Timestamp {
        self.last_call_at
            .map_or(self.updated_at, |at| at.max(self.updated_at))
    }

    /// Whether the order is neither shipped nor cancelled.
    pub fn is_open(&self) -> bool {
        matches!(self.status, OrderStatus::Pending | OrderStatus::Confirmed)
    }

    /// Whether the order can still be cancelled. Once it has a label, its parcel may be in transit,
    /// and its payment is captured next.
    pub fn can_be_cancelled(&self) -> bool {
        self.is_open() && self.label.is_none() && !self.is_paid()
    }
}
