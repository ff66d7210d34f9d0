//! The providers' own records against ours. What has one right answer is put right; the rest is for a
//! person.
//!
//! Each payment, refund and label is looked at twice: soon after it was made, and once every order of
//! its time must be finished.

mod labels;
mod payments;
mod refunds;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, ops::Range};

use jiff::{SignedDuration, Timestamp};
use orders::OrderId;
use store::{AttentionKind, Finding, WithWork};

use crate::{StepError, Worker, guard::Failure};

/// The longest time that one sweep compares; after a long pause, several sweeps catch up.
const STRIDE: SignedDuration = SignedDuration::from_mins(10);

/// What to do about one of a provider's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Fine,
    /// It is of no use to anybody: let the money go, or give the label back.
    Undo,
    /// A person has to decide.
    Raise(AttentionKind),
}

/// Which records are compared.
#[derive(Debug, Clone, Copy)]
enum Records {
    Payments,
    Refunds,
    Labels,
}

/// Why a comparison was not made.
pub(crate) enum CompareError {
    /// The provider did not answer.
    Provider(Failure),
    /// We failed.
    Step(StepError),
}

impl From<Failure> for CompareError {
    fn from(failure: Failure) -> Self {
        Self::Provider(failure)
    }
}

impl From<StepError> for CompareError {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl Records {
    const ALL: [Self; 3] = [Self::Payments, Self::Refunds, Self::Labels];

    /// The name under which is kept how far the comparison has come.
    const fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Refunds => "refunds",
            Self::Labels => "labels",
        }
    }
}

impl Worker {
    /// Compares what has become old enough since the last time. What a provider does not tell is
    /// compared later.
    pub(crate) async fn reconcile(&self, now: Timestamp) -> Result<(), StepError> {
        let soon = self.limits.reconcile_after;
        for (pass, age) in [("soon", soon), ("settled", soon + self.limits.max_wait)] {
            for records in Records::ALL {
                let name = format!("{}:{pass}", records.name());
                let from = self.database.compared_to(&name).await?;
                let from = from.unwrap_or(now - age - STRIDE);
                let to = (now - age).min(from + STRIDE);
                if to <= from {
                    continue;
                }
                match self.compare(records, from..to, now).await {
                    Ok(()) => self.database.compared(&name, to).await?,
                    Err(CompareError::Provider(error)) => {
                        tracing::warn!(name, %error, "reconciliation.put_off");
                    }
                    Err(CompareError::Step(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn compare(
        &self,
        records: Records,
        created: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        match records {
            Records::Payments => self.compare_payments(created, now).await,
            Records::Refunds => self.compare_refunds(created, now).await,
            Records::Labels => self.compare_labels(created, now).await,
        }
    }

    async fn found(
        &self,
        known: Option<&WithWork>,
        subject: &str,
        kind: AttentionKind,
        detail: String,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let finding = Finding {
            order_id: known.map(|known| known.order.id),
            subject: subject.to_owned(),
            kind,
            detail,
        };
        self.report(&finding, now).await
    }

    async fn known(
        &self,
        ids: impl Iterator<Item = Option<OrderId>>,
    ) -> Result<HashMap<OrderId, WithWork>, StepError> {
        let ids: Vec<OrderId> = ids.flatten().collect();
        let orders = self.database.orders_with_work(&ids).await?;
        Ok(orders
            .into_iter()
            .map(|known| (known.order.id, known))
            .collect())
    }
}
