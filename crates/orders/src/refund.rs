//! Money given back after it was taken: in parts or whole, never more than was taken.

use serde::{Deserialize, Serialize};
use strum::Display;
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    ids::RefundId,
    money::{Cents, Currency},
    order::Order,
    status::PaymentStatus,
};

/// A refund, asked for and perhaps done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    /// Its name.
    pub id: RefundId,
    /// How much, in cents of the order's currency.
    pub cents: Cents,
    /// Why, in words that are for staff alone.
    pub reason: String,
    /// Where it stands.
    pub status: RefundStatus,
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
    /// All of it is given back, or on its way.
    #[error("all of it is given back, or on its way")]
    NothingLeft,
}

impl Order {
    /// The refund of that name.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// How much can still be given back: what was taken, less every refund that has not failed.
    pub fn refundable(&self) -> Cents {
        match self.payment {
            PaymentStatus::Captured | PaymentStatus::PartiallyRefunded => {
                self.total.less(self.promised())
            }
            _ => Cents::ZERO,
        }
    }

    /// How much a refund gives back for which so much is asked, or else all that is left. What is
    /// given back of one order is in all no more than `limit`, if there is one.
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
            Some(asked) if asked > left => Err(NotRefundable::TooMuch(left)),
            None if left == Cents::ZERO => Err(NotRefundable::NothingLeft),
            _ => match allowed {
                Some(allowed) if wanted > allowed => Err(NotRefundable::OverLimit(allowed)),
                _ => Ok(wanted),
            },
        }
    }

    /// Where the money stands, by the refunds that are done.
    pub(crate) fn payment_by_refunds(&self) -> PaymentStatus {
        match self.given_back(|status| status == RefundStatus::Succeeded) {
            Cents::ZERO => PaymentStatus::Captured,
            part if part < self.total => PaymentStatus::PartiallyRefunded,
            _ => PaymentStatus::Refunded,
        }
    }

    pub(crate) fn set_refund(&mut self, id: RefundId, status: RefundStatus) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id) {
            refund.status = status;
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
