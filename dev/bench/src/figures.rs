//! Figures of repeated measurements.

use std::time::Duration;

use serde::Serialize;

/// One figure over several rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

/// Durations of single calls.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "each name states the unit")]
pub(crate) struct Quartiles {
    pub(crate) median_ms: f64,
    lower_quartile_ms: f64,
    upper_quartile_ms: f64,
}

impl Spread {
    pub(crate) fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_unstable_by(f64::total_cmp);
        Self {
            median: rounds[rounds.len() / 2],
            least: rounds[0],
            most: rounds[rounds.len() - 1],
        }
    }

    /// The ratio of each round to the round of the baseline that ran next to it.
    pub(crate) fn of_ratios(rounds: &[f64], baseline: &[f64]) -> Self {
        let pairs = rounds.iter().zip(baseline);
        Self::of(pairs.map(|(round, baseline)| round / baseline).collect())
    }
}

impl Quartiles {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |quarter: usize| milliseconds(times[times.len() * quarter / 4]);
        Self {
            median_ms: at(2),
            lower_quartile_ms: at(1),
            upper_quartile_ms: at(3),
        }
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
