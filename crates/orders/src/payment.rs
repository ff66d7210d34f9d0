//! The payment of an order, with what is known of it in each state.

use jiff::Timestamp;
use thiserror::Error;

use crate::{event::OrderEvent, ids::PaymentId, money::Cents, status::PaymentStatus};

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Payment {
    /// No money is held or captured.
    NotPaid {
        /// The number of times that a lookup has found no payment. It is part of the idempotency
        /// key: each round has a new key, so that an error that the provider replays for one key
        /// does not affect the next round.
        round: i32,
    },
    /// A call timed out, so money may be held. The payment must be looked up first.
    Unknown {
        /// The round of the call.
        round: i32,
    },
    /// The card was declined.
    Failed,
    /// The bank requires an action of the shopper, such as 3-D Secure.
    RequiresAction {
        /// The provider's id of the payment.
        payment_id: PaymentId,
    },
    /// The money is held on the card, and not captured yet.
    Authorized(AuthorizedPayment),
    /// The money is captured.
    Captured(AuthorizedPayment),
    /// The money is captured, and a part of it is refunded.
    PartiallyRefunded(AuthorizedPayment),
    /// The money is captured, and all of it is refunded.
    Refunded(AuthorizedPayment),
    /// The authorization was voided. The provider's id is `None` if the outcome of the
    /// authorization was never known.
    Voided(Option<PaymentId>),
}

/// A payment whose money is held, or was held until it was captured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthorizedPayment {
    /// The provider's id of the payment.
    pub payment_id: PaymentId,
    /// When the hold on the card expires, if the provider has stated it.
    pub capture_before: Option<Timestamp>,
}

/// A payment in this state must have an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a payment that is {0} has no id")]
pub struct NoPaymentId(pub PaymentStatus);

impl Payment {
    /// The payment of a new order.
    pub const NEW: Self = Self::NotPaid { round: 0 };

    /// Returns the payment with these parts, of which each state needs some.
    pub fn from_parts(
        status: PaymentStatus,
        round: i32,
        payment_id: Option<PaymentId>,
        capture_before: Option<Timestamp>,
    ) -> Result<Self, NoPaymentId> {
        use PaymentStatus as Status;

        let authorized = |payment_id| AuthorizedPayment {
            payment_id,
            capture_before,
        };
        Ok(match (status, payment_id) {
            (Status::NotPaid, _) => Self::NotPaid { round },
            (Status::Unknown, _) => Self::Unknown { round },
            (Status::Failed, _) => Self::Failed,
            (Status::Voided, payment_id) => Self::Voided(payment_id),
            (Status::RequiresAction, Some(payment_id)) => Self::RequiresAction { payment_id },
            (Status::Authorized, Some(id)) => Self::Authorized(authorized(id)),
            (Status::Captured, Some(id)) => Self::Captured(authorized(id)),
            (Status::PartiallyRefunded, Some(id)) => Self::PartiallyRefunded(authorized(id)),
            (Status::Refunded, Some(id)) => Self::Refunded(authorized(id)),
            (
                Status::RequiresAction
                | Status::Authorized
                | Status::Captured
                | Status::PartiallyRefunded
                | Status::Refunded,
                None,
            ) => return Err(NoPaymentId(status)),
        })
    }

    /// The status, without the data.
    pub const fn status(&self) -> PaymentStatus {
        match self {
            Self::NotPaid { .. } => PaymentStatus::NotPaid,
            Self::Unknown { .. } => PaymentStatus::Unknown,
            Self::Failed => PaymentStatus::Failed,
            Self::RequiresAction { .. } => PaymentStatus::RequiresAction,
            Self::Authorized(_) => PaymentStatus::Authorized,
            Self::Captured(_) => PaymentStatus::Captured,
            Self::PartiallyRefunded(_) => PaymentStatus::PartiallyRefunded,
            Self::Refunded(_) => PaymentStatus::Refunded,
            Self::Voided(_) => PaymentStatus::Voided,
        }
    }

    /// The provider's id of the payment, once it is known.
    pub const fn id(&self) -> Option<&PaymentId> {
        match self {
            Self::NotPaid { .. } | Self::Unknown { .. } | Self::Failed => None,
            Self::RequiresAction { payment_id } => Some(payment_id),
            Self::Voided(payment_id) => payment_id.as_ref(),
            Self::Authorized(payment)
            | Self::Captured(payment)
            | Self::PartiallyRefunded(payment)
            | Self::Refunded(payment) => Some(&payment.payment_id),
        }
    }

    /// When the hold on the card expires, if the provider has stated it.
    pub const fn capture_before(&self) -> Option<Timestamp> {
        match self {
            Self::Authorized(payment)
            | Self::Captured(payment)
            | Self::PartiallyRefunded(payment)
            | Self::Refunded(payment) => payment.capture_before,
            Self::NotPaid { .. }
            | Self::Unknown { .. }
            | Self::Failed
            | Self::RequiresAction { .. }
            | Self::Voided(_) => None,
        }
    }

    /// The round of the authorization, as long as its outcome is not known.
    pub const fn round(&self) -> Option<i32> {
        match self {
            Self::NotPaid { round } | Self::Unknown { round } => Some(*round),
            _ => None,
        }
    }

    /// The payment whose money was captured, even if it was refunded since.
    pub const fn captured(&self) -> Option<&AuthorizedPayment> {
        match self {
            Self::Captured(payment)
            | Self::PartiallyRefunded(payment)
            | Self::Refunded(payment) => Some(payment),
            _ => None,
        }
    }

    /// Whether money is held, or may be.
    pub const fn may_hold_money(&self) -> bool {
        matches!(
            self,
            Self::NotPaid { .. }
                | Self::Unknown { .. }
                | Self::RequiresAction { .. }
                | Self::Authorized(_)
        )
    }

    /// Whether the payment's state allows the event of it.
    pub(crate) const fn allows(&self, event: &OrderEvent) -> bool {
        match event {
            OrderEvent::PaymentAuthorized { .. }
            | OrderEvent::PaymentDeclined { .. }
            | OrderEvent::PaymentRequiresAction { .. } => self.round().is_some(),
            OrderEvent::PaymentUnknown {} => matches!(self, Self::NotPaid { .. }),
            OrderEvent::PaymentNotFound {} => matches!(self, Self::Unknown { .. }),
            OrderEvent::PaymentCaptured {} => matches!(self, Self::Authorized(_)),
            OrderEvent::PaymentVoided {} => matches!(
                self,
                Self::Unknown { .. } | Self::RequiresAction { .. } | Self::Authorized(_)
            ),
            _ => true,
        }
    }

    /// Returns the payment after an event that its state allows.
    pub(crate) fn after(self, event: &OrderEvent) -> Self {
        match (self, event) {
            (
                _,
                OrderEvent::PaymentAuthorized {
                    payment_id,
                    capture_before,
                },
            ) => Self::Authorized(AuthorizedPayment {
                payment_id: payment_id.clone(),
                capture_before: *capture_before,
            }),
            (_, OrderEvent::PaymentDeclined { .. }) => Self::Failed,
            (_, OrderEvent::PaymentRequiresAction { payment_id }) => Self::RequiresAction {
                payment_id: payment_id.clone(),
            },
            (Self::NotPaid { round }, OrderEvent::PaymentUnknown {}) => Self::Unknown { round },
            (Self::Unknown { round }, OrderEvent::PaymentNotFound {}) => Self::NotPaid {
                round: round.saturating_add(1),
            },
            (Self::Authorized(payment), OrderEvent::PaymentCaptured {}) => Self::Captured(payment),
            (payment, OrderEvent::PaymentVoided {}) => Self::Voided(payment.id().cloned()),
            (payment, _) => payment,
        }
    }

    /// Returns the captured payment after `refunded` of its `total` has been refunded. Any other
    /// payment stays as it is.
    pub(crate) fn with_refunded(&self, refunded: Cents, total: Cents) -> Self {
        let Some(payment) = self.captured().cloned() else {
            return self.clone();
        };
        match refunded {
            Cents::ZERO => Self::Captured(payment),
            part if part < total => Self::PartiallyRefunded(payment),
            _ => Self::Refunded(payment),
        }
    }
}
