//! Refunds of captured money, in whole or in part, and never more than was captured.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::Display;
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    currency::AmountError,
    event::OrderEvent,
    ids::RefundId,
    money::{Cents, Currency},
    order::Order,
    payment::Payment,
    status::PaymentStatus,
};

/// A refund of an order, requested or completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The refund's id.
    pub id: RefundId,
    /// The amount, in cents of the order's currency.
    pub cents: Cents,
    /// The reason that staff gave. Shoppers do not see it.
    pub reason: String,
    /// The status.
    pub status: RefundStatus,
    /// The provider's id, once the provider has made the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The state of the calls to the provider.
    #[serde(default)]
    pub request: RefundRequest,
}

/// The state of the calls for a refund. They are made in rounds, each with a new idempotency key,
/// so that an error that the provider replays for one key does not affect the next round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// The number of times that a lookup has found no such refund.
    pub round: u32,
    /// The start of the round; `None` in the first round, which starts with the request.
    pub began: Option<Timestamp>,
    /// The time from which the outcome of a call of this round is unknown and must be looked up.
    pub unknown_since: Option<Timestamp>,
}

/// The status of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// Requested. The outcome is not known yet.
    Pending,
    /// The money is refunded.
    Succeeded,
    /// The refund failed.
    Failed,
}

/// Why a refund is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotRefundable {
    /// The requested currency is not the order's.
    #[error("must be the order's currency, {0}")]
    OtherCurrency(Currency),
    /// A part is requested, and the shop no longer supports the order's currency.
    #[error("the shop no longer supports {0}: only the whole remaining amount can be refunded")]
    UnsupportedCurrency(Currency),
    /// A part is requested that the provider cannot refund.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// The requested amount is 0.
    #[error("must be more than 0")]
    Nothing,
    /// The requested amount is more than the remaining amount, in cents.
    #[error("only {} cents can still be refunded", .0.get())]
    TooMuch(Cents),
    /// The payment was not captured.
    #[error("the order's payment is {0}")]
    NotCaptured(PaymentStatus),
    /// The refund exceeds the limit per order. Holds the rest of the limit, in cents.
    #[error("you may refund only {} more cents of this order", .0.get())]
    OverLimit(Cents),
    /// The remaining amount is disputed. Holds the disputed amount, in cents.
    #[error("{} cents of the payment are disputed", .0.get())]
    Disputed(Cents),
    /// The whole payment is refunded, or its refund is pending.
    #[error("the whole payment is refunded, or its refund is pending")]
    NothingLeft,
}

/// The limits of refunds besides the remaining amount, in cents of the order's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundLimits {
    /// The most that may be refunded of one order in total.
    pub per_order: Option<Cents>,
    /// If the order's refunds exceed this sum, a second person must approve the refund.
    pub approval_above: Option<Cents>,
}

/// How a refund proceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundPlan {
    /// The amount is refunded now.
    CarryOut(Cents),
    /// The amount is refunded after a second person has approved it.
    AwaitApproval(Cents),
}

impl Refund {
    fn requested(id: RefundId, cents: Cents, reason: &str) -> Self {
        Self {
            id,
            cents,
            reason: reason.to_owned(),
            status: RefundStatus::Pending,
            provider_id: None,
            request: RefundRequest::default(),
        }
    }
}

impl Order {
    /// Returns the refund with this id.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// The amount that can still be refunded: the captured amount less every refund that has not
    /// failed, and less the disputed amount.
    pub fn refundable(&self) -> Cents {
        self.not_refunded().saturating_sub(self.disputed())
    }

    /// The captured amount less every refund that has not failed. It includes the disputed amount.
    pub(crate) fn not_refunded(&self) -> Cents {
        match self.payment {
            Payment::Captured(_) | Payment::PartiallyRefunded(_) => {
                self.total.saturating_sub(self.promised())
            }
            _ => Cents::ZERO,
        }
    }

    /// Returns the amount of a refund: the `requested` amount, or by default the whole remaining
    /// amount. The refunds of the order may not exceed `limit` in total.
    ///
    /// A part must follow the rules of the currency. The whole remaining amount was charged, so it
    /// can be refunded even in a currency that the shop no longer supports.
    pub fn refund_of(
        &self,
        requested: Option<Cents>,
        currency: &Currency,
        limit: Option<Cents>,
    ) -> Result<Cents, NotRefundable> {
        let left = self.refundable();
        let amount = requested.unwrap_or(left);
        let allowed = limit.map(|limit| limit.saturating_sub(self.promised()));
        match requested {
            _ if *currency != self.currency => {
                Err(NotRefundable::OtherCurrency(self.currency.clone()))
            }
            Some(Cents::ZERO) => Err(NotRefundable::Nothing),
            _ if !self.is_paid() => Err(NotRefundable::NotCaptured(self.payment.status())),
            _ if left == Cents::ZERO && self.disputed() > Cents::ZERO => {
                Err(NotRefundable::Disputed(self.disputed()))
            }
            Some(requested) if requested > left => Err(NotRefundable::TooMuch(left)),
            None if left == Cents::ZERO => Err(NotRefundable::NothingLeft),
            _ => match allowed {
                Some(allowed) if amount > allowed => Err(NotRefundable::OverLimit(allowed)),
                _ if amount == left => Ok(amount),
                _ => self.check_part(amount),
            },
        }
    }

    /// Checks that the provider can refund `cents` as a part of the payment.
    fn check_part(&self, cents: Cents) -> Result<Cents, NotRefundable> {
        let unsupported = |_| NotRefundable::UnsupportedCurrency(self.currency.clone());
        let rules = self.currency.rules().map_err(unsupported)?;
        Ok(rules.without_fraction(cents)?)
    }

    /// Decides how a refund of the `requested` amount proceeds, or by default of the whole
    /// remaining amount. Refunds of the same order count together, so that a large refund cannot
    /// evade approval in parts.
    pub fn plan_refund(
        &self,
        requested: Option<Cents>,
        currency: &Currency,
        limits: RefundLimits,
    ) -> Result<RefundPlan, NotRefundable> {
        let cents = self.refund_of(requested, currency, limits.per_order)?;
        let total = self.promised().checked_add(cents).unwrap_or(Cents::MAX);
        Ok(match limits.approval_above {
            Some(sum) if total > sum => RefundPlan::AwaitApproval(cents),
            _ => RefundPlan::CarryOut(cents),
        })
    }

    /// Applies an event of one of its refunds.
    pub(crate) fn apply_refund_event(&mut self, event: &OrderEvent, now: Timestamp) {
        match event {
            OrderEvent::RefundRequested {
                refund_id,
                cents,
                reason,
            } => self
                .refunds
                .push(Refund::requested(*refund_id, *cents, reason)),
            OrderEvent::RefundedElsewhere {
                refund_id,
                cents,
                provider_id,
            } => self.refunds.push(Refund {
                status: RefundStatus::Succeeded,
                provider_id: Some(provider_id.clone()),
                ..Refund::requested(*refund_id, *cents, "")
            }),
            OrderEvent::RefundUnknown { refund_id } => self.change_refund(*refund_id, |refund| {
                refund.request.unknown_since = Some(now);
            }),
            OrderEvent::RefundNotFound { refund_id } => self.change_refund(*refund_id, |refund| {
                refund.request = RefundRequest {
                    round: refund.request.round + 1,
                    began: Some(now),
                    unknown_since: None,
                };
            }),
            OrderEvent::Refunded {
                refund_id,
                provider_id,
            } => self.change_refund(*refund_id, |refund| {
                refund.status = RefundStatus::Succeeded;
                refund.provider_id = Some(provider_id.clone());
            }),
            OrderEvent::RefundFailed { refund_id, .. } => {
                self.change_refund(*refund_id, |refund| refund.status = RefundStatus::Failed);
            }
            _ => {}
        }
        if matches!(
            event,
            OrderEvent::RefundedElsewhere { .. }
                | OrderEvent::Refunded { .. }
                | OrderEvent::RefundFailed { .. }
        ) {
            let refunded = self.sum_refunds(|status| status == RefundStatus::Succeeded);
            self.payment = self.payment.with_refunded(refunded, self.total);
        }
    }

    fn change_refund(&mut self, id: RefundId, change: impl FnOnce(&mut Refund)) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id) {
            change(refund);
        }
    }

    /// The sum of the refunds that are completed or pending.
    fn promised(&self) -> Cents {
        self.sum_refunds(|status| status != RefundStatus::Failed)
    }

    fn sum_refunds(&self, counts: impl Fn(RefundStatus) -> bool) -> Cents {
        let counted = self.refunds.iter().filter(|refund| counts(refund.status));
        counted.fold(Cents::ZERO, |sum, refund| {
            sum.checked_add(refund.cents).unwrap_or(Cents::MAX)
        })
    }
}
