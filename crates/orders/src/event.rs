//! The events of an order. It changes only by events, which are its timeline.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use crate::{
    dispute::Dispute,
    ids::{PaymentId, RefundId},
    money::Cents,
    order::{Label, Wait},
};

/// An entry of an order's timeline: an event and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// The time of the event.
    pub at: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub kind: OrderEvent,
}

/// An event of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, ToSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderEvent {
    /// The order was accepted and its stock reserved.
    Accepted {},
    /// The payment was authorized: the money is held on the card.
    PaymentAuthorized {
        /// The provider's id of the payment.
        #[schema(value_type = String)]
        payment_id: PaymentId,
        /// When the hold on the card expires.
        capture_before: Option<Timestamp>,
    },
    /// The card was declined.
    PaymentDeclined {
        /// The provider's code for the reason.
        code: String,
        /// The provider's message, which may be shown to the shopper.
        message: String,
    },
    /// The bank requires an action of the shopper, who is no longer at the checkout.
    PaymentRequiresAction {
        /// The provider's id of the payment.
        #[schema(value_type = String)]
        payment_id: PaymentId,
    },
    /// The outcome of an authorization is unknown: money may be held.
    PaymentUnknown {},
    /// A lookup, long enough after the call, has found no payment.
    PaymentNotFound {},
    /// A label is about to be bought.
    LabelRequested {},
    /// The label was bought.
    LabelBought(Label),
    /// The carrier does not accept the parcel.
    LabelRefused {
        /// The provider's code for the reason.
        code: String,
        /// The provider's message.
        message: String,
    },
    /// The money was captured.
    PaymentCaptured {},
    /// The parcel was shipped.
    Shipped {},
    /// The parcel was delivered.
    Delivered {},
    /// The label was voided.
    LabelVoided {},
    /// The authorization was voided: the money is no longer held.
    PaymentVoided {},
    /// The order waits for a provider.
    // The name of stored events.
    #[serde(rename = "held")]
    #[strum(serialize = "held")]
    WaitBegan(Wait),
    /// The order was cancelled. Its stock is available again.
    Cancelled {
        /// Who or what cancelled it.
        by: CancelledBy,
        /// The reason that staff gave. Shoppers do not see it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A refund was requested.
    RefundRequested {
        /// The refund's id.
        refund_id: RefundId,
        /// The amount, in cents.
        cents: Cents,
        /// The reason that staff gave. Shoppers do not see it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The outcome of a call for a refund is unknown: the money may be refunded.
    RefundUnknown {
        /// The refund's id.
        refund_id: RefundId,
    },
    /// A lookup, long enough after the call, has found no such refund.
    RefundNotFound {
        /// The refund's id.
        refund_id: RefundId,
    },
    /// Money was refunded at the provider itself, such as in its dashboard.
    RefundedElsewhere {
        /// The refund's id in this shop.
        refund_id: RefundId,
        /// The amount, in cents.
        cents: Cents,
        /// The provider's id of the refund.
        provider_id: String,
    },
    /// The money was refunded.
    Refunded {
        /// The refund's id.
        refund_id: RefundId,
        /// The provider's id of the refund.
        provider_id: String,
    },
    /// The refund failed.
    RefundFailed {
        /// The refund's id.
        refund_id: RefundId,
        /// The provider's code for the reason.
        code: String,
    },
    /// The payment was disputed, or its dispute has changed. Shoppers do not see it.
    Disputed(Dispute),
}

impl TimelineEntry {
    /// Returns the entry without what shoppers must not see; `None` if they must not see it at all.
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
    /// Returns the event of a cancellation without a reason.
    pub const fn cancelled_by(by: CancelledBy) -> Self {
        Self::Cancelled {
            by,
            reason: String::new(),
        }
    }

    /// The event's name in the timeline, such as `payment_authorized`.
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
    /// The card was declined, the bank requires an action of the shopper, or the hold on the card
    /// has expired.
    Payments,
    /// The carrier does not accept the parcel.
    Shipping,
    /// The order has waited for a provider until its deadline.
    Deadline,
}
