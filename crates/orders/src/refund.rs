//! Money given back after it was taken: in parts or whole, never more than was taken.

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
    status::PaymentStatus,
};

/// A refund, asked for and perhaps done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its name.
    pub id: RefundId,
    /// How much, in cents of the order's currency.
    pub cents: Cents,
    /// Why, in words that are for staff alone.
    pub reason: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// The provider's name for it, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// How the provider is asked for it.
    #[serde(default)]
    pub request: RefundRequest,
}

/// How the provider is asked for a refund: in rounds, each with an idempotency key of its own, so that
/// an error that the provider replays under one key does not outlast it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// How often the provider was found to have made no such refund.
    pub round: u32,
    /// When the round began; when the refund was asked for, if it is the first.
    pub began: Option<Timestamp>,
    /// Since when the outcome of a call of this round has to be looked up.
    pub unknown_since: Option<Timestamp>,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// Asked for; the provider has not said yet.
    Pending,
    /// The money is given back.
    Succeeded,
    /// The provider could not give it back.
    Failed,
}

/// Why money is not given back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotRefundable {
    /// It is asked for in another currency than the order's.
    #[error("must be the order's: {0}")]
    OtherCurrency(Currency),
    /// A part is asked for, and the shop cannot be paid in the order's currency any more.
    #[error("the shop cannot be paid in {0}: only all that is left can be refunded")]
    UnsupportedCurrency(Currency),
    /// A part is asked for that the provider does not give back.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Nothing is asked for.
    #[error("must be more than 0")]
    Nothing,
    /// More is asked for than is left, in cents.
    #[error("{} cents are left to give back", .0.get())]
    TooMuch(Cents),
    /// The money was not taken.
    #[error("the order's money is {0}")]
    NotTaken(PaymentStatus),
    /// More than some may give back of one order; how much of that is left, in cents.
    #[error("{} cents are left of what you may give back of one order", .0.get())]
    OverLimit(Cents),
    /// What is left is disputed; how many cents are.
    #[error("{} cents of the payment are disputed", .0.get())]
    Disputed(Cents),
    /// All of it is given back, or on its way.
    #[error("all of it is given back, or on its way")]
    NothingLeft,
}

/// What limits a refund besides the money that is left, in cents of the order's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundLimits {
    /// The most that may be refunded of one order in all.
    pub per_order: Option<Cents>,
    /// A second person approves what takes the order's refunds above this sum.
    pub approval_above: Option<Cents>,
}

/// How a refund proceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundPlan {
    /// So much is refunded at once.
    CarryOut(Cents),
    /// So much is refunded once a second person has approved it.
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
    /// The refund of that name.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// How much can still be given back: what was taken, less every refund that has not failed, and
    /// less what is disputed.
    pub fn refundable(&self) -> Cents {
        self.not_refunded().less(self.disputed())
    }

    /// How much of what was captured is neither refunded nor promised, disputed or not.
    pub(crate) fn not_refunded(&self) -> Cents {
        match self.payment {
            PaymentStatus::Captured | PaymentStatus::PartiallyRefunded => {
                self.total.less(self.promised())
            }
            _ => Cents::ZERO,
        }
    }

    /// How much a refund gives back for which so much is asked, or else all that is left. What is
    /// given back of one order is in all no more than `limit`, if there is one.
    ///
    /// A part keeps the rules of the currency. All that is left was charged, so it can be refunded,
    /// even in a currency that the shop no longer supports.
    pub fn refund_of(
        &self,
        asked: Option<Cents>,
        currency: &Currency,
        limit: Option<Cents>,
    ) -> Result<Cents, NotRefundable> {
        let left = self.refundable();
        let wanted = asked.unwrap_or(left);
        let allowed = limit.map(|limit| limit.less(self.promised()));
        match asked {
            _ if *currency != self.currency => {
                Err(NotRefundable::OtherCurrency(self.currency.clone()))
            }
            Some(Cents::ZERO) => Err(NotRefundable::Nothing),
            _ if !self.is_paid() => Err(NotRefundable::NotTaken(self.payment)),
            _ if left == Cents::ZERO && self.disputed() > Cents::ZERO => {
                Err(NotRefundable::Disputed(self.disputed()))
            }
            Some(asked) if asked > left => Err(NotRefundable::TooMuch(left)),
            None if left == Cents::ZERO => Err(NotRefundable::NothingLeft),
            _ => match allowed {
                Some(allowed) if wanted > allowed => Err(NotRefundable::OverLimit(allowed)),
                _ if wanted == left => Ok(wanted),
                _ => self.part(wanted),
            },
        }
    }

    /// A part of the order's money, if the provider gives such a part back.
    fn part(&self, cents: Cents) -> Result<Cents, NotRefundable> {
        let unsupported = |_| NotRefundable::UnsupportedCurrency(self.currency.clone());
        let rules = self.currency.rules().map_err(unsupported)?;
        Ok(rules.without_fraction(cents)?)
    }

    /// How a refund of so much, or else of all that is left, proceeds. Refunds of the same order
    /// count together: a large one cannot evade approval in parts.
    pub fn plan_refund(
        &self,
        asked: Option<Cents>,
        currency: &Currency,
        limits: RefundLimits,
    ) -> Result<RefundPlan, NotRefundable> {
        let cents = self.refund_of(asked, currency, limits.per_order)?;
        let in_all = self.promised().plus(cents).unwrap_or(Cents::MAX);
        Ok(match limits.approval_above {
            Some(sum) if in_all > sum => RefundPlan::AwaitApproval(cents),
            _ => RefundPlan::CarryOut(cents),
        })
    }

    /// Where the money stands, by the refunds that are done.
    fn payment_by_refunds(&self) -> PaymentStatus {
        match self.given_back(|status| status == RefundStatus::Succeeded) {
            Cents::ZERO => PaymentStatus::Captured,
            part if part < self.total => PaymentStatus::PartiallyRefunded,
            _ => PaymentStatus::Refunded,
        }
    }

    /// Takes an event of one of its refunds.
    pub(crate) fn refund_changes(&mut self, event: &OrderEvent, now: Timestamp) {
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
            self.payment = self.payment_by_refunds();
        }
    }

    fn change_refund(&mut self, id: RefundId, change: impl FnOnce(&mut Refund)) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id) {
            change(refund);
        }
    }

    /// How much is given back, or on its way.
    fn promised(&self) -> Cents {
        self.given_back(|status| status != RefundStatus::Failed)
    }

    fn given_back(&self, counts: impl Fn(RefundStatus) -> bool) -> Cents {
        let counted = self.refunds.iter().filter(|refund| counts(refund.status));
        counted.fold(Cents::ZERO, |sum, refund| {
            sum.plus(refund.cents).unwrap_or(Cents::MAX)
        })
    }
}
