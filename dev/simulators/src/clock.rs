//! The provider's clock, which may be off: the times that it shows and signs with are, and those that it
//! is asked for are meant by it. What only the simulator sees, as the ledger, goes by the true time.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::{Json, extract::State as Extract, http::StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    serve::{Broken, Shared},
    storage::{Read, Storage},
};

/// The document that says how far the clock is off.
const CLOCK: &str = "clock";

/// By how much this program's clock is ahead, in milliseconds.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// By how much a clock is off.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clock {
    /// It is ahead by so much; behind, if that is negative.
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

/// What the clock shows now.
pub(crate) fn now() -> Timestamp {
    shown(Timestamp::now())
}

/// What the clock showed at that time.
pub(crate) fn shown(at: Timestamp) -> Timestamp {
    at.saturating_add(ahead()).unwrap_or(at)
}

/// When the clock showed that.
pub(crate) fn meant(shown: Timestamp) -> Timestamp {
    shown.saturating_sub(ahead()).unwrap_or(shown)
}

/// Sets the clock as it was before the program ended.
pub(crate) fn restore(storage: &Storage) -> anyhow::Result<()> {
    if let Some(clock) = storage.snapshot()?.get::<Clock>(CLOCK)? {
        clock.set();
    }
    Ok(())
}

/// Sets the clock, for good.
pub(crate) async fn set(
    Extract(shared): Extract<Shared>,
    Json(clock): Json<Clock>,
) -> Result<StatusCode, Broken> {
    tracing::info!(?clock, "clock.set");
    let kept = shared.storage.transact(|state| state.put(CLOCK, &clock));
    kept.await?;
    clock.set();
    Ok(StatusCode::NO_CONTENT)
}
