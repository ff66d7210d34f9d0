//! The ids of processed provider events, so that a repeated event is recognized.

use jiff::{Timestamp, ToSpan};
use orders::Provider;

use super::ProviderEvents;
use crate::error::StoreError;

/// How long an id is kept: longer than a provider repeats an event. Stripe retries for three days.
const RETENTION_HOURS: i64 = 30 * 24;

const CONTAINS: &str =
    "select exists (select from provider_events where provider = $1 and id = $2)";

const ADD: &str = "insert into provider_events (provider, id, received_at)
    values ($1, $2, $3) on conflict do nothing";

const DELETE_OLD: &str = "delete from provider_events where received_at < $1";

impl ProviderEvents<'_> {
    /// Whether the event was processed.
    pub async fn contains(self, provider: Provider, id: &str) -> Result<bool, StoreError> {
        let row = self
            .0
            .read_one(CONTAINS, &[&provider.to_string(), &id])
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Records that the event was processed.
    pub async fn add(self, provider: Provider, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.0
            .change(ADD, &[&provider.to_string(), &id, &now])
            .await?;
        Ok(())
    }

    /// Deletes the ids of events that no provider repeats any more.
    pub async fn delete_old(self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - RETENTION_HOURS.hours();
        self.0.change(DELETE_OLD, &[&before]).await?;
        Ok(())
    }
}
