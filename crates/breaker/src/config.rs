//! When a circuit opens, for how long, and how it closes again.

use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// More buckets than this in a window would cost more to read than they are worth.
const MAX_BUCKETS: u32 = 60;

/// When a circuit opens, for how long, and how it closes again. All environments of a fleet must
/// have the same.
///
/// A value outside of its limits is taken as the nearest one inside, so that no configuration can
/// make a breaker that never opens, never closes or never gives up waiting for its store.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Over how long the rates are measured. 1 s to 1 day; 30 s.
    pub window: Duration,
    /// How finely the window slides: counters are kept for spans of this length. From a 60th of the
    /// window to all of it; 5 s.
    pub bucket: Duration,
    /// How many calls the window must have seen before its rates count. At least 1; 10.
    ///
    /// When a service fails that nobody called in the window before, a fleet makes this many failed
    /// calls, and those under way when the last of them is counted: keep it at or above the number of
    /// calls that the fleet has under way at once, and twice this is the bound. Successes in the
    /// window before raise it to what [`Config::failure_rate`] asks for.
    pub minimum_calls: u64,
    /// The share of calls that fail at which the circuit opens. Above 0, up to 1; 0.5.
    pub failure_rate: f64,
    /// From what time on a call is slow. At least 1 ms; 5 s.
    pub slow_call: Duration,
    /// The share of calls that are slow at which the circuit opens. Above 0, up to 1; 0.8.
    pub slow_rate: f64,
    /// How long the circuit stays open the first time. Each opening in a row doubles it; half of it is
    /// left to chance. 1 ms to 1 day; 5 s.
    pub open_for: Duration,
    /// The longest that the circuit stays open before it is probed. [`Config::open_for`] to 1 day;
    /// 1 minute.
    pub max_open_for: Duration,
    /// Whether a live call may be the probe once an open circuit is due. Without it somebody must
    /// call [`Breaker::probe`](crate::Breaker::probe), or the circuit stays open. `true`.
    pub live_calls_probe: bool,
    /// How many live calls may be under way at once, in the whole fleet, while the circuit is
    /// half-open. At least 1; 3.
    pub half_open_permits: u32,
    /// How many calls in a row must succeed, the probe among them, before the circuit closes. At
    /// least 1; 3.
    pub successes_to_close: u32,
    /// How long a probe or a half-open call may take before its place is given to another: longer
    /// than the caller's own time limit. 1 ms to 1 day; 30 s.
    pub lease_for: Duration,
    /// How often an environment reads the circuit, at most, and how long it leaves a failing store
    /// alone. 1 ms to 1 hour; 1 s.
    pub refresh_every: Duration,
    /// How long the store may take to answer. 1 ms to 1 minute; 250 ms.
    pub store_timeout: Duration,
    /// The share of the window's calls that may be retries. 0 to 1; 0.1.
    pub retry_share: f64,
    /// How many retries a window may have however few its calls; 10.
    pub min_retries: u64,
    /// How long transitions are kept. At least 1 day; 90 days.
    pub keep_history: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            bucket: Duration::from_secs(5),
            minimum_calls: 10,
            failure_rate: 0.5,
            slow_call: Duration::from_secs(5),
            slow_rate: 0.8,
            open_for: Duration::from_secs(5),
            max_open_for: Duration::from_mins(1),
            live_calls_probe: true,
            half_open_permits: 3,
            successes_to_close: 3,
            lease_for: Duration::from_secs(30),
            refresh_every: Duration::from_secs(1),
            store_timeout: Duration::from_millis(250),
            retry_share: 0.1,
            min_retries: 10,
            keep_history: 90 * DAY,
        }
    }
}

impl Config {
    /// The same, with every value inside its limits.
    #[must_use]
    pub fn limited(self) -> Self {
        let window = self.window.clamp(Duration::from_secs(1), DAY);
        let open_for = self.open_for.clamp(MILLISECOND, DAY);
        Self {
            window,
            bucket: self.bucket.clamp(window / MAX_BUCKETS, window),
            minimum_calls: self.minimum_calls.max(1),
            failure_rate: share(self.failure_rate, f64::EPSILON),
            slow_call: self.slow_call.max(MILLISECOND),
            slow_rate: share(self.slow_rate, f64::EPSILON),
            open_for,
            max_open_for: self.max_open_for.clamp(open_for, DAY),
            live_calls_probe: self.live_calls_probe,
            half_open_permits: self.half_open_permits.max(1),
            successes_to_close: self.successes_to_close.max(1),
            lease_for: self.lease_for.clamp(MILLISECOND, DAY),
            refresh_every: self
                .refresh_every
                .clamp(MILLISECOND, Duration::from_hours(1)),
            store_timeout: self
                .store_timeout
                .clamp(MILLISECOND, Duration::from_mins(1)),
            retry_share: share(self.retry_share, 0.0),
            min_retries: self.min_retries,
            keep_history: self.keep_history.max(DAY),
        }
    }
}

/// A share between `least` and 1. What is not a number is 1, the most careful thing to say of a rate
/// that nobody chose.
fn share(share: f64, least: f64) -> f64 {
    if share.is_nan() {
        1.0
    } else {
        share.clamp(least, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_inside_their_limits() {
        assert_eq!(Config::default().limited(), Config::default());
    }

    #[test]
    fn what_is_outside_of_its_limits_is_brought_inside() {
        let config = Config {
            window: Duration::ZERO,
            bucket: Duration::ZERO,
            minimum_calls: 0,
            failure_rate: f64::NAN,
            slow_rate: -1.0,
            open_for: Duration::MAX,
            max_open_for: Duration::ZERO,
            half_open_permits: 0,
            successes_to_close: 0,
            lease_for: Duration::ZERO,
            ..Config::default()
        }
        .limited();
        assert_eq!(config.window, Duration::from_secs(1));
        assert_eq!(config.bucket, config.window / MAX_BUCKETS);
        assert_eq!(config.minimum_calls, 1);
        assert!(config.failure_rate > 0.0 && config.slow_rate > 0.0);
        assert_eq!((config.open_for, config.max_open_for), (DAY, DAY));
        assert_eq!(
            (config.half_open_permits, config.successes_to_close),
            (1, 1)
        );
        assert_eq!(config.lease_for, MILLISECOND);
    }
}
