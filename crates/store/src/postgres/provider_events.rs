//! The events of the providers that were processed.

use jiff::{Timestamp, ToSpan};
use orders::Provider;

use super::database::Database;
use crate::error::StoreError;

/// How long a provider may repeat itself: Stripe retries for three days.
const MEMORY_HOURS: i64 = 30 * 24;

const SEEN: &str = "select exists (select from provider_events where provider = $1 and id = $2)";

const REMEMBER: &str = "insert into provider_events (provider, id, received_at)
    values ($1, $2, $3) on conflict do nothing";

const FORGET: &str = "delete from provider_events where received_at < $1";

impl Database {
    /// Whether the event has been dealt with.
    pub async fn knows_event(&self, provider: Provider, id: &str) -> Result<bool, StoreError> {
        let row = self.read_one(SEEN, &[&provider.to_string(), &id]).await?;
        Ok(row.try_get(0)?)
    }

    /// Remembers that the event has been dealt with.
    pub async fn remember_event(
        &self,
        provider: Provider,
        id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(REMEMBER, &[&provider.to_string(), &id, &now])
            .await?;
        Ok(())
    }

    /// Forgets events that no provider repeats any more.
    pub async fn forget_events(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - MEMORY_HOURS.hours();
        self.change(FORGET, &[&before]).await?;
        Ok(())
    }
}
