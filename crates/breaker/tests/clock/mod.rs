//! A clock that stands still until it is moved.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use breaker::Env;
use jiff::Timestamp;

/// A clock that stands still until it is moved. Clones are one clock.
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

    /// This clock, and the jitter that leaves a circuit open for the longest span.
    pub(crate) fn env(&self) -> Env {
        let clock = self.clone();
        Env::default()
            .with_clock(move || clock.now())
            .with_jitter(|| 1.0)
    }
}
