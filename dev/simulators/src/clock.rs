//! The provider's clock, which can be set ahead or behind. It applies to the times in answers, in
//! signatures and in filters of requests. The ledger uses the true time.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::{Json, extract::State as Extract, http::StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    serve::{Shared, SimulatorError},
    storage::{Read, Storage},
};

/// The document with the clock's offset.
const CLOCK: &str = "clock";

/// The offset of this program's clock, in milliseconds.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// The offset of a clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clock {
    /// How far it is ahead; behind, if negative.
    ahead_ms: i64,
}

impl Clock {
    fn set(self) {
        AHEAD_MS.store(self.ahead_ms, Ordering::Relaxed);
    }
}

fn ahead() -> SignedDuration {
    SignedDuration::from_millis(AHEAD_MS.load(Ordering::Relaxed))
}

/// The clock's time now.
pub(crate) fn now() -> Timestamp {
    to_shown(Timestamp::now())
}

/// Converts a true time to the clock's time.
pub(crate) fn to_shown(at: Timestamp) -> Timestamp {
    at.saturating_add(ahead()).unwrap_or(at)
}

/// Converts the clock's time to the true time.
pub(crate) fn from_shown(shown: Timestamp) -> Timestamp {
    shown.saturating_sub(ahead()).unwrap_or(shown)
}

/// Restores the offset that was set before the program restarted.
pub(crate) fn restore(storage: &Storage) -> anyhow::Result<()> {
    if let Some(clock) = storage.snapshot()?.get::<Clock>(CLOCK)? {
        clock.set();
    }
    Ok(())
}

/// Sets the offset. It survives a restart.
pub(crate) async fn set(
    Extract(shared): Extract<Shared>,
    Json(clock): Json<Clock>,
) -> Result<StatusCode, SimulatorError> {
    tracing::info!(?clock, "clock.set");
    let stored = shared.storage.transact(|state| state.put(CLOCK, &clock));
    stored.await?;
    clock.set();
    Ok(StatusCode::NO_CONTENT)
}
