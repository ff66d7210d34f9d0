//! Migrations of the PostgreSQL schema, which run while orders are accepted. `docs/architecture.md`
//! describes how to write them for that.

use std::{error::Error, time::Duration};

use aws_config::SdkConfig;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::database::Database;
use crate::error::StoreError;

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// A migration that waits for a lock blocks every later query on the table, orders too. So it waits
/// for less time than orders do (`V10__limits.sql`), and for more than PostgreSQL's
/// `deadlock_timeout` of one second, after which an autovacuum releases the lock.
const SET_LOCK_TIMEOUT: &str = "set lock_timeout = '1500ms'";

/// How often migrations may fail to get a lock. With the pauses, retries last about a minute.
const MAX_LOCK_FAILURES: usize = 20;

/// The pause before a retry, in which the queries that the migration blocked run.
const PAUSE: Duration = Duration::from_millis(1_500);

/// PostgreSQL's errors when another transaction has the lock.
const LOCK_FAILURES: [SqlState; 2] = [
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::T_R_DEADLOCK_DETECTED,
];

/// Migrates the database at `url` to the current schema, without blocking orders for long. Forward
/// only; safe to run again.
pub async fn migrate(url: &str, aws: &SdkConfig) -> Result<(), StoreError> {
    let mut client = Database::new(url, 1, aws)?.client().await?;
    client.batch_execute(SET_LOCK_TIMEOUT).await?;
    let migrations = migrations::migrations::runner();
    let mut failures = 0;
    // Each migration commits on its own: a retry continues with the one that failed.
    while let Err(error) = migrations.run_async(&mut **client.as_mut()).await {
        failures += 1;
        if failures == MAX_LOCK_FAILURES || !is_lock_failure(&error) {
            return Err(StoreError::postgres(error));
        }
        tracing::warn!(%error, failures, "migration.lock_failed");
        sleep(PAUSE).await;
    }
    Ok(())
}

fn is_lock_failure(error: &refinery::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause
        .and_then(tokio_postgres::Error::code)
        .is_some_and(|code| LOCK_FAILURES.contains(code))
}
