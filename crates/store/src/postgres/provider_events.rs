//! The events of the providers that were processed.

use jiff::{Timestamp, ToSpan};
use orders::Provider;

use super::ProviderEvents;
use crate::error::StoreError;

/// How long a provider may repeat itself: Stripe retries for three days.
const MEMORY_HOURS: i64 = 30 * 24;

const SEEN: &str = "select exists (select from provider_events where provider = $1 and id = $2)";

const REMEMBER: &str = "insert into provider_events (provider, id, received_at)
    values ($1, $2, $3) on conflict do nothing";

const FORGET: &str = "delete from provider_events where received_at < $1";

impl ProviderEvents<'_> {
    /// Whether the event has been dealt with.
    pub async fn contains(self, provider: Provider, id: &str) -> Result<bool, StoreError> {
        let row = self.0.read_one(SEEN, &[&provider.to_string(), &id]).await?;
        Ok(row.try_get(0)?)
    }

    /// Remembers that the event has been dealt with.
    pub async fn add(self, provider: Provider, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.0
            .change(REMEMBER, &[&provider.to_string(), &id, &now])
            .await?;
        Ok(())
    }

    /// Forgets events that no provider repeats any more.
    pub async fn delete_old(self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - MEMORY_HOURS.hours();
        self.0.change(FORGET, &[&before]).await?;
        Ok(())
    }
}
