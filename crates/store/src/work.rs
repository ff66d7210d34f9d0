//! What an execution processes: an order, or a refund of one.

use std::{fmt, str::FromStr};

use orders::{OrderId, RefundId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// What an execution processes. As text, `<order>` or `<order>/<refund>`; sorted, the oldest order
/// comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Work {
    /// An order, to be shipped or undone.
    Order(OrderId),
    /// A refund of an order's payment.
    Refund(OrderId, RefundId),
}

/// Work in the outbox, and the execution that should process it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedWork {
    /// The work.
    pub work: Work,
    /// The number of the execution: 0 for the first, one more for each that replaces another.
    pub execution: i32,
}

/// Text that is not the id of any work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be an order id, or an order id and a refund id with a slash between them")]
pub struct InvalidWork;

impl Work {
    pub(crate) fn new(order: OrderId, refund: Option<RefundId>) -> Self {
        refund.map_or(Self::Order(order), |refund| Self::Refund(order, refund))
    }

    /// The order, also of a refund.
    pub const fn order(self) -> OrderId {
        match self {
            Self::Order(order) | Self::Refund(order, _) => order,
        }
    }

    /// The refund, if it is one.
    pub const fn refund(self) -> Option<RefundId> {
        match self {
            Self::Order(_) => None,
            Self::Refund(_, refund) => Some(refund),
        }
    }

    pub(crate) fn ids(self) -> (Uuid, Option<Uuid>) {
        (self.order().0, self.refund().map(|refund| refund.0))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Refund(order, refund) => write!(f, "{order}/{refund}"),
        }
    }
}

impl From<Work> for String {
    fn from(work: Work) -> Self {
        work.to_string()
    }
}

impl TryFrom<String> for Work {
    type Error = InvalidWork;

    fn try_from(text: String) -> Result<Self, InvalidWork> {
        text.parse()
    }
}

impl FromStr for Work {
    type Err = InvalidWork;

    fn from_str(text: &str) -> Result<Self, InvalidWork> {
        let id = |text: &str| text.parse::<Uuid>().map_err(|_| InvalidWork);
        match text.split_once('/') {
            None => Ok(Self::Order(OrderId(id(text)?))),
            Some((order, refund)) => Ok(Self::Refund(OrderId(id(order)?), RefundId(id(refund)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_round_trips_as_text() {
        let (order, refund) = (OrderId::generate(), RefundId::generate());
        for work in [Work::Order(order), Work::Refund(order, refund)] {
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        assert_eq!("tea".parse::<Work>(), Err(InvalidWork));
    }
}
