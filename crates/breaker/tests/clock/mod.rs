//! A clock for tests, and calls that must or must not be let through.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use breaker::{Admission, Breaker, Permit, Store, Surroundings};
use jiff::Timestamp;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Timestamp>>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(
            Timestamp::from_second(1_800_000_000).unwrap(),
        )))
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = now;
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// This clock's time, and a chance that always leaves a circuit open for the longest span.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let clock = self.clone();
        Surroundings {
            now: Box::new(move || clock.now()),
            chance: Box::new(|| 1.0),
        }
    }
}

/// The permit of a call that must be let through.
pub(crate) async fn permit<S: Store>(breaker: &Breaker<S>) -> Permit<S> {
    match breaker.admit().await {
        Admission::Admitted(permit) => permit,
        Admission::Refused { retry_at } => panic!("refused until {retry_at}"),
    }
}

/// Until when a call that must not be let through is refused.
pub(crate) async fn refused<S: Store>(breaker: &Breaker<S>) -> Timestamp {
    match breaker.admit().await {
        Admission::Refused { retry_at } => retry_at,
        Admission::Admitted(permit) => panic!("let through by {permit:?}"),
    }
}
