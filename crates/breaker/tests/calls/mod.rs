//! Calls that a breaker must admit or refuse.

use std::time::Duration;

use breaker::{Admission, Breaker, Permit, Store};
use jiff::Timestamp;

/// The duration of a call that is not slow.
pub(crate) const QUICK: Duration = Duration::from_millis(20);

/// Returns the permit of a call that must be admitted.
pub(crate) async fn permit<S: Store>(breaker: &Breaker<S>) -> Permit<S> {
    match breaker.admit().await {
        Admission::Admitted(permit) => permit,
        Admission::Refused { retry_at, .. } => panic!("refused until {retry_at}"),
    }
}

/// Returns until when a call is refused that must not be admitted.
pub(crate) async fn refused<S: Store>(breaker: &Breaker<S>) -> Timestamp {
    match breaker.admit().await {
        Admission::Refused { retry_at, .. } => retry_at,
        Admission::Admitted(permit) => panic!("admitted by {permit:?}"),
    }
}
