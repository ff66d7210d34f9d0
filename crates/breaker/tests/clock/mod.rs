//! A manual clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use breaker::Env;
use jiff::Timestamp;

/// A clock whose time changes only by `set` and `advance`. Clones share the time.
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

    pub(crate) fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// An environment with this clock, and with the jitter that keeps a circuit open longest.
    pub(crate) fn env(&self) -> Env {
        let clock = self.clone();
        Env::default()
            .with_clock(move || clock.now())
            .with_jitter(|| 1.0)
    }
}
