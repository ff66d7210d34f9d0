//! Calls that a breaker is expected to admit or refuse.

use std::time::Duration;

use breaker::{Admission, Breaker, Permit, Store};
use jiff::Timestamp;

/// The duration of a call that is not slow.
pub(crate) const QUICK: Duration = Duration::from_millis(20);

/// Asserts that a call is admitted. Returns its permit.
pub(crate) async fn permit<S: Store>(breaker: &Breaker<S>) -> Permit<S> {
    match breaker.admit().await {
        Admission::Admitted(permit) => permit,
        Admission::Refused { retry_at, .. } => panic!("refused until {retry_at}"),
    }
}

/// Asserts that a call is refused. Returns its `retry_at`.
pub(crate) async fn assert_refused<S: Store>(breaker: &Breaker<S>) -> Timestamp {
    match breaker.admit().await {
        Admission::Refused { retry_at, .. } => retry_at,
        Admission::Admitted(permit) => panic!("admitted by {permit:?}"),
    }
}
