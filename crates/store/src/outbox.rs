//! The outbox: accepted orders whose execution has not been seen running.

use jiff::Timestamp;
use orders::OrderId;

use crate::{database::Database, error::StoreError};

const TAKE: &str = "delete from outbox where order_id = $1";

const WAITING: &str =
    "select order_id from outbox where created_at < $1 order by created_at limit $2";

impl Database {
    /// Takes a started order out of the outbox.
    pub async fn started(&self, id: OrderId) -> Result<(), StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(TAKE).await?;
        client.execute(&statement, &[&id.0]).await?;
        Ok(())
    }

    /// Orders that were accepted before `before` and have not been seen running, the oldest first.
    pub async fn not_started(
        &self,
        before: Timestamp,
        limit: i64,
    ) -> Result<Vec<OrderId>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(WAITING).await?;
        let rows = client.query(&statement, &[&before, &limit]).await?;
        rows.iter()
            .map(|row| Ok(OrderId(row.try_get(0)?)))
            .collect()
    }
}
