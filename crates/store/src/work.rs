//! What an execution works on: an order, or a refund of one.

use std::{fmt, str::FromStr};

use orders::{OrderId, RefundId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// What an execution works on. As text, `<order>` or `<order>/<refund>`: sorted, the oldest order
/// comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Work {
    /// To ship an order, or to undo it.
    Order(OrderId),
    /// To give money of an order back.
    Refund(OrderId, RefundId),
}

/// Work in the outbox, and the execution that should process it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// The work.
    pub work: Work,
    /// The number of its execution.
    pub execution: i32,
}

/// Text that names no work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be an order's id, or an order's and a refund's with a slash between them")]
pub struct NoWork;

impl Work {
    pub(crate) fn new(order: OrderId, refund: Option<RefundId>) -> Self {
        refund.map_or(Self::Order(order), |refund| Self::Refund(order, refund))
    }

    /// Which order it is about.
    pub const fn order(self) -> OrderId {
        match self {
            Self::Order(order) | Self::Refund(order, _) => order,
        }
    }

    /// Which refund it is, if it is one.
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
    type Error = NoWork;

    fn try_from(text: String) -> Result<Self, NoWork> {
        text.parse()
    }
}

impl FromStr for Work {
    type Err = NoWork;

    fn from_str(text: &str) -> Result<Self, NoWork> {
        let id = |text: &str| text.parse::<Uuid>().map_err(|_| NoWork);
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
    fn work_is_read_as_it_is_written() {
        let (order, refund) = (OrderId::generate(), RefundId::generate());
        for work in [Work::Order(order), Work::Refund(order, refund)] {
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        assert_eq!("tea".parse::<Work>(), Err(NoWork));
    }
}
