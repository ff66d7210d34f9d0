//! Counters of calls over a sliding window, in buckets of time.

use std::{
    collections::VecDeque,
    ops::{Add, AddAssign},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Counters of calls. A counter that is missing from a record is read as zero.
///
/// A [`Store`](crate::Store) must keep every field. So the struct is exhaustive: a new counter is a
/// breaking change for each store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Completed calls.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that were slow, whether they failed or succeeded.
    pub slow: u64,
    /// Retries that the budget allowed.
    pub retries: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failures: self.failures.saturating_add(other.failures),
            slow: self.slow.saturating_add(other.slow),
            retries: self.retries.saturating_add(other.retries),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Counters of a window, and its rates.
///
/// A process reports its successes only together with a failed or slow call. Processes without one
/// are not included.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Figures {
    /// Calls that were completed in the window.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that were slow, whether they failed or succeeded.
    pub slow: u64,
    /// Retries that the budget allowed.
    pub retries: u64,
    /// Failures per call, 0 to 1.
    pub failure_rate: f64,
    /// Slow calls per call, 0 to 1.
    pub slow_rate: f64,
}

impl From<Counts> for Figures {
    fn from(counts: Counts) -> Self {
        Self {
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            retries: counts.retries,
            failure_rate: rate(counts.failures, counts.calls),
            slow_rate: rate(counts.slow, counts.calls),
        }
    }
}

#[allow(clippy::cast_precision_loss)] // A window has fewer than 2^53 calls.
fn rate(part: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        part as f64 / all as f64
    }
}

/// The retry budget of a window with this many calls.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(crate) fn retries_allowed(calls: u64, config: &Config) -> u64 {
    ((calls as f64 * config.retry_share) as u64).max(config.min_retries)
}

/// The key of a bucket of counters, within one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The circuit's generation. It grows when the circuit closes, so that counting starts at zero.
    pub generation: u64,
    /// The start of the bucket, in milliseconds since 1970.
    pub start: i64,
}

impl Slot {
    pub(crate) fn at(now: Timestamp, generation: u64, config: &Config) -> Self {
        let bucket = millis(config.bucket);
        let start = now.as_millisecond().div_euclid(bucket) * bucket;
        Self { generation, start }
    }

    /// The first slot of the window that ends with this one.
    pub(crate) fn window_start(self, config: &Config) -> Self {
        let bucket = millis(config.bucket);
        let buckets = (millis(config.window) + bucket - 1) / bucket;
        Self {
            start: self.start - bucket * (buckets - 1),
            ..self
        }
    }

    pub(crate) fn next(self, config: &Config) -> Self {
        Self {
            start: self.start + millis(config.bucket),
            ..self
        }
    }

    pub(crate) fn begins_at(self) -> Timestamp {
        Timestamp::from_millisecond(self.start).unwrap_or(Timestamp::MIN)
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Successes that are not yet reported to the store, by the start of their bucket. Successes older
/// than the window are discarded.
#[derive(Debug, Default)]
pub(crate) struct PendingCounts(VecDeque<(i64, u64)>);

impl PendingCounts {
    pub(crate) fn add(&mut self, slot: Slot, config: &Config) {
        match self.0.back_mut() {
            Some((start, calls)) if *start == slot.start => *calls += 1,
            _ => {
                self.discard_before(slot.window_start(config));
                self.0.push_back((slot.start, 1));
            }
        }
    }

    /// Removes the successes of the window that ends with `slot`, and returns their number.
    pub(crate) fn take(&mut self, slot: Slot, config: &Config) -> u64 {
        self.discard_before(slot.window_start(config));
        self.0.drain(..).map(|(_, calls)| calls).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn discard_before(&mut self, first: Slot) {
        self.0.retain(|(start, _)| *start >= first.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Slot {
        let now = Timestamp::from_second(seconds).unwrap();
        Slot::at(now, 0, &Config::default())
    }

    #[test]
    fn a_window_is_six_buckets() {
        assert_eq!(at(119).start, 115_000);
        assert_eq!(at(119).window_start(&Config::default()).start, 90_000);
        assert_eq!(at(-1).start, -5_000);
    }

    #[test]
    fn successes_older_than_the_window_are_not_reported() {
        let config = Config::default();
        let mut pending = PendingCounts::default();
        for second in [0, 1, 30, 39] {
            pending.add(at(second), &config);
        }
        assert_eq!(pending.take(at(39), &config), 2);
        assert_eq!(pending.take(at(39), &config), 0);
    }

    #[test]
    fn pending_counts_do_not_grow_with_calls() {
        let config = Config::default();
        let mut pending = PendingCounts::default();
        for call in 0..100_000 {
            pending.add(at(call / 10), &config);
        }
        assert!(pending.0.len() <= 6);
    }

    #[test]
    fn a_quiet_window_has_the_minimum_budget_and_a_busy_one_a_tenth_of_its_calls() {
        let config = Config::default();
        assert_eq!(retries_allowed(0, &config), 10);
        assert_eq!(retries_allowed(5_000, &config), 500);
    }
}
