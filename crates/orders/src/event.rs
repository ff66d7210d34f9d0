//! What happens to an order: the only way it changes, and its timeline.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use crate::{
    dispute::Dispute,
    ids::{PaymentId, RefundId},
    money::Cents,
    order::{Hold, Label},
};

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: OrderEvent,
}

/// What can happen to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, ToSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderEvent {
    /// The order was taken; its stock is reserved.
    Accepted {},
    /// The money is held on the card.
    PaymentAuthorized {
        /// The provider's name for the payment.
        #[schema(value_type = String)]
        payment_id: PaymentId,
        /// When the hold on the card lapses.
        capture_before: Option<Timestamp>,
    },
    /// The card was declined.
    PaymentDeclined {
        /// The provider's code for the reason.
        code: String,
        /// The provider's words, fit for the shopper.
        message: String,
    },
    /// The bank asks for the shopper, who is no longer there.
    PaymentRequiresAction {
        /// The provider's name for the payment.
        #[schema(value_type = String)]
        payment_id: PaymentId,
    },
    /// A call ended without an answer: money may be held.
    PaymentUnknown {},
    /// The provider was asked, long enough after the call, and has no such payment.
    PaymentNotFound {},
    /// The carrier is about to be asked for a label.
    LabelRequested {},
    /// The label is bought.
    LabelBought(Label),
    /// The carrier will not take the parcel.
    LabelRefused {
        /// The provider's code for the reason.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The money is taken.
    PaymentCaptured {},
    /// The parcel is on its way.
    Shipped {},
    /// The parcel has arrived.
    Delivered {},
    /// The label was given back.
    LabelVoided {},
    /// The hold on the card was let go.
    PaymentVoided {},
    /// The order waits for a provider.
    Held(Hold),
    /// The order will not be shipped; its stock is back.
    Cancelled {
        /// Who or what ended it.
        by: CancelledBy,
        /// Why, if anybody said; in words that are for staff alone.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Money is to be given back.
    RefundRequested {
        /// Its name.
        refund_id: RefundId,
        /// How much, in cents.
        cents: Cents,
        /// Why, in words that are for staff alone; left out where a shopper looks.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A call for a refund ended without an answer: it may be made.
    RefundUnknown {
        /// Which refund.
        refund_id: RefundId,
    },
    /// The provider was asked, long enough after the call, and has made no such refund.
    RefundNotFound {
        /// Which refund.
        refund_id: RefundId,
    },
    /// Money was refunded at the provider itself, such as in its dashboard.
    RefundedElsewhere {
        /// Its name here.
        refund_id: RefundId,
        /// How much, in cents.
        cents: Cents,
        /// The provider's name for it.
        provider_id: String,
    },
    /// The money is given back.
    Refunded {
        /// Which refund.
        refund_id: RefundId,
        /// The provider's name for it.
        provider_id: String,
    },
    /// The provider could not give the money back.
    RefundFailed {
        /// Which refund.
        refund_id: RefundId,
        /// The provider's code for the reason.
        code: String,
    },
    /// The payment is disputed, or its dispute has changed. For staff alone.
    Disputed(Dispute),
}

impl TimelineEntry {
    /// The event as the shopper sees it; none, if it is for staff alone.
    #[must_use]
    pub fn for_shopper(mut self) -> Option<Self> {
        match &mut self.kind {
            OrderEvent::Disputed(_) => return None,
            OrderEvent::RefundRequested { reason, .. } | OrderEvent::Cancelled { reason, .. } => {
                reason.clear();
            }
            _ => {}
        }
        Some(self)
    }
}

impl OrderEvent {
    /// The end of an order that nobody has to give a reason for.
    pub const fn cancelled_by(by: CancelledBy) -> Self {
        Self::Cancelled {
            by,
            reason: String::new(),
        }
    }

    /// The kind's name in the timeline, such as `payment_authorized`.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// Who or what cancelled an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// The shopper, before it was shipped.
    Shopper,
    /// Staff, before it was shipped.
    Staff,
    /// The card was declined, the bank wants the shopper in person, or the hold has lapsed.
    Payments,
    /// The carrier will not take the parcel.
    Shipping,
    /// It has waited for a provider for as long as an order may.
    Deadline,
}
