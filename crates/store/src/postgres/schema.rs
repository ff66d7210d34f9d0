//! The schema of the relational database, which moves forward while orders are accepted. How migrations are
//! written for that: `docs/architecture.md`.

use std::{error::Error, time::Duration};

use aws_config::SdkConfig;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::database::Database;
use crate::error::StoreError;

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// A migration waits no longer than this for a lock, because every later query on the table waits behind it,
/// orders too. It is less than they wait (`V10__limits.sql`), and more than PostgreSQL's `deadlock_timeout` of
/// a second, after which a vacuum of the server's own lets go of what a migration wants.
const GIVE_WAY: &str = "set lock_timeout = '1500ms'";

/// How often migrations may give way, and for how long those who had to wait then have their turn: a minute
/// in all.
const MOST_REFUSALS: usize = 20;
const TURN: Duration = Duration::from_millis(1_500);

/// What PostgreSQL says when somebody else has the lock.
const GIVEN_WAY: [SqlState; 2] = [
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::T_R_DEADLOCK_DETECTED,
];

/// Brings the database at `url` up to the present schema, without keeping orders waiting for long. Forward only;
/// safe to run again.
pub async fn migrate(url: &str, aws: &SdkConfig) -> Result<(), StoreError> {
    let mut client = Database::new(url, 1, aws)?.client().await?;
    client.batch_execute(GIVE_WAY).await?;
    let migrations = migrations::migrations::runner();
    let mut refusals = 0;
    // Each migration is committed by itself: what is done is not done again.
    while let Err(error) = migrations.run_async(&mut **client.as_mut()).await {
        refusals += 1;
        if refusals == MOST_REFUSALS || !has_given_way(&error) {
            return Err(StoreError::postgres(error));
        }
        tracing::warn!(%error, refusals, "migration.gave_way");
        sleep(TURN).await;
    }
    Ok(())
}

fn has_given_way(error: &refinery::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause
        .and_then(tokio_postgres::Error::code)
        .is_some_and(|code| GIVEN_WAY.contains(code))
}
