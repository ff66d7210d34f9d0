//! The clock and the source of jitter, which tests replace.

use std::fmt;

use jiff::Timestamp;

/// The clock and the source of jitter of a breaker. The default uses the system's clock and random
/// numbers.
pub struct Env {
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    jitter: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Default for Env {
    fn default() -> Self {
        Self {
            clock: Box::new(Timestamp::now),
            jitter: Box::new(rand::random),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}

impl Env {
    /// Sets the clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            clock: Box::new(clock),
            ..self
        }
    }

    /// Sets the source of jitter, a number from 0 to 1: 0 makes a probe due after half of the open
    /// time, 1 after all of it.
    #[must_use]
    pub fn with_jitter(self, jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self {
            jitter: Box::new(jitter),
            ..self
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn jitter(&self) -> f64 {
        (self.jitter)()
    }
}
