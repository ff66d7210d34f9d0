//! The configuration of a breaker.

use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// The most buckets in a window: each is an item to read.
const MAX_BUCKETS: u32 = 60;

/// When a circuit opens, how long it stays open, and how it closes. All processes of a fleet must
/// use the same configuration.
///
/// A value outside its limits is replaced by the nearest one inside. So no configuration makes a
/// breaker that never opens, never closes or waits for its store forever. Each field states its
/// limits and its default.
///
/// ```
/// use std::time::Duration;
///
/// let mut config = breaker::Config::default();
/// config.open_for = Duration::from_secs(10);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The span over which the rates are measured. 1 s to 1 day; default 30 s.
    pub window: Duration,
    /// The span of one bucket of counters: the step in which the window slides. From a 60th of the
    /// window to all of it; default 5 s.
    pub bucket: Duration,
    /// The number of calls in the window below which the circuit does not open. At least 1; default
    /// 10.
    ///
    /// If the window was empty when the service fails, the fleet makes this many failed calls, plus
    /// those in flight when the last of them is counted. Set it to at least the number of calls
    /// that the fleet has in flight at once; then the fleet makes at most twice this many failed
    /// calls. After a busy window, failures must also reach [`Config::failure_rate`].
    pub minimum_calls: u64,
    /// The share of failed calls at which the circuit opens. Above 0, up to 1; default 0.5.
    pub failure_rate: f64,
    /// The duration from which a call counts as slow. At least 1 ms; default 5 s.
    pub slow_call: Duration,
    /// The share of slow calls at which the circuit opens. Above 0, up to 1; default 0.8.
    pub slow_rate: f64,
    /// How long the circuit stays open the first time. Each consecutive opening doubles it, up to
    /// [`Config::max_open_for`]; half of it is jitter. 1 ms to 1 day; default 5 s.
    pub open_for: Duration,
    /// The longest time between two probes of an open circuit. [`Config::open_for`] to 1 day;
    /// default 1 minute.
    pub max_open_for: Duration,
    /// Whether a live call may be the probe of an open circuit that is due. If not, the circuit
    /// stays open until the application calls [`Breaker::probe`](crate::Breaker::probe). Default
    /// `true`.
    pub live_calls_probe: bool,
    /// The number of live calls in flight at once, in the whole fleet, while the circuit is
    /// half-open. At least 1; default 3.
    pub half_open_permits: u32,
    /// The number of calls that must succeed in a row, including the probe, to close the circuit.
    /// At least 1; default 3.
    pub successes_to_close: u32,
    /// How long a probe or a half-open call holds its lease. Set it above the timeout of a call.
    /// 1 ms to 1 day; default 30 s.
    pub lease_for: Duration,
    /// The shortest time between two reads of a closed or half-open circuit by one process, and the
    /// cooldown after its store failed. 1 ms to 1 hour; default 1 s.
    pub refresh_every: Duration,
    /// The timeout of a call to the store. 1 ms to 1 minute; default 250 ms.
    pub store_timeout: Duration,
    /// The share of the window's calls that may be retries. 0 to 1; default 0.1.
    pub retry_share: f64,
    /// The number of retries that every window allows, however few its calls. Default 10.
    pub min_retries: u64,
    /// How long transitions are kept. At least 1 day; default 90 days.
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
    /// Returns the configuration with every value inside its limits.
    #[must_use]
    pub(crate) fn clamped(self) -> Self {
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

/// Clamps a share to `least` to 1. NaN becomes 1.
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
        assert_eq!(Config::default().clamped(), Config::default());
    }

    #[test]
    fn values_outside_their_limits_are_clamped() {
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
        .clamped();
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
