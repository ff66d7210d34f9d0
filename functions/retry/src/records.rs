//! Settles a provider's record with its order, for webhooks and for the reconciliation. A
//! difference with one right answer is corrected. Any other difference is raised for a person.

mod dispute;
mod label;
mod payment;
mod refund;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use orders::{OrderId, Provider, ShopId};
use providers::{Owner, Reference};
use store::{AttentionKind, NewAttention, OrderWithWork};
use telemetry::{Metrics, Unit, count};

use crate::{
    guard::Failure,
    services::Books,
    steps::{StepError, Steps},
};

/// Why a record was not compared with its order.
#[derive(Debug)]
pub(crate) enum CompareError {
    /// The call to the provider failed.
    Provider(Failure),
    /// Our own part failed, such as the database.
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

impl From<store::StoreError> for CompareError {
    fn from(error: store::StoreError) -> Self {
        Self::Step(error.into())
    }
}

/// The owner of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owned<'a> {
    /// This shop, with the record's order. None if we do not know that order.
    Ours(Option<&'a OrderWithWork>),
    /// Another system in the same account.
    Foreign,
}

impl<S: Books> Steps<S> {
    /// Raises a finding for a person.
    pub(crate) async fn raise_record(
        &self,
        known: Option<&OrderWithWork>,
        subject: &str,
        kind: AttentionKind,
        detail: String,
    ) -> Result<(), StepError> {
        let finding = NewAttention {
            order_id: known.map(|known| known.order.id),
            subject: subject.to_owned(),
            kind,
            detail,
        };
        self.report(&finding).await
    }

    /// Raises a record of ours that cannot be read.
    pub(crate) async fn unreadable(
        &self,
        provider: Provider,
        known: Option<&OrderWithWork>,
        id: &str,
        reason: &str,
    ) -> Result<(), StepError> {
        tracing::warn!(%provider, id, reason, "record.unreadable");
        Metrics::of("Provider", provider.to_string())
            .with("UnreadableRecords", Unit::Count, 1.0)
            .emit(self.services.now().as_millisecond());
        let detail = format!("A record of {provider} cannot be read: {reason}");
        let kind = AttentionKind::RecordUnreadable;
        self.raise_record(known, id, kind, detail).await
    }
}

impl Steps {
    /// Returns the orders to which records with these references belong. Unknown orders are missing.
    pub(crate) async fn known(
        &self,
        references: impl Iterator<Item = &Reference>,
    ) -> Result<HashMap<OrderId, OrderWithWork>, StepError> {
        let ids: Vec<OrderId> = references
            .filter_map(|reference| reference.order_id)
            .collect();
        let orders = self.services.database.orders().find_with_work(&ids).await?;
        Ok(orders
            .into_iter()
            .map(|known| (known.order.id, known))
            .collect())
    }
}

/// Returns the owner of a record with this reference. A record that names no shop, such as one from
/// before shops had ids, is ours if we know its order.
pub(crate) fn owned<'a>(
    shop: &ShopId,
    reference: &Reference,
    orders: &'a HashMap<OrderId, OrderWithWork>,
) -> Owned<'a> {
    let known = reference.order_id.and_then(|id| orders.get(&id));
    match (reference.owner(shop), known) {
        (Owner::Foreign, _) | (Owner::OwnerOfOrder(_), None) => Owned::Foreign,
        (Owner::Shop | Owner::OwnerOfOrder(_), known) => Owned::Ours(known),
    }
}

/// Whether a record with this reference belongs to another system.
pub(crate) fn is_foreign(
    shop: &ShopId,
    reference: &Reference,
    orders: &HashMap<OrderId, OrderWithWork>,
) -> bool {
    matches!(owned(shop, reference, orders), Owned::Foreign)
}

/// Counts records of other systems in the same account.
pub(crate) fn count_foreign(provider: Provider, records: usize, now: Timestamp) {
    if records > 0 {
        Metrics::of("Provider", provider.to_string())
            .with("ForeignRecords", Unit::Count, count(records))
            .emit(now.as_millisecond());
    }
}
