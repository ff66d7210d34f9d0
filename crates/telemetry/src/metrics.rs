//! Metrics in CloudWatch's embedded metric format: a log line that CloudWatch also counts.

use serde_json::{Map, Value, json};

const NAMESPACE: &str = "Cauce";

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Percent, 0 to 100.
    Percent,
    /// Seconds.
    Seconds,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
            Self::Seconds => "Seconds",
        }
    }
}

/// Values that were measured together, with one dimension.
#[derive(Debug, Clone)]
pub struct Metrics {
    dimensions: Map<String, Value>,
    metrics: Vec<(&'static str, Unit, f64)>,
}

impl Metrics {
    /// Returns metrics with a dimension and its value, such as `Provider` and `payments`.
    pub fn of(dimension: &'static str, value: impl Into<String>) -> Self {
        let dimensions = Map::from_iter([(dimension.to_owned(), Value::String(value.into()))]);
        Self {
            dimensions,
            metrics: Vec::new(),
        }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, unit: Unit, value: f64) -> Self {
        self.metrics.push((name, unit, value));
        self
    }

    /// Writes the values to standard output, with the time in milliseconds since 1970.
    #[expect(
        clippy::print_stdout,
        reason = "CloudWatch reads metrics from standard output"
    )]
    pub fn emit(&self, milliseconds: i64) {
        println!("{}", self.line(milliseconds));
    }

    fn line(&self, milliseconds: i64) -> Value {
        let definitions: Vec<Value> = self
            .metrics
            .iter()
            .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit.name() }))
            .collect();
        let names: Vec<&String> = self.dimensions.keys().collect();
        let mut line = self.dimensions.clone();
        line.extend(
            self.metrics
                .iter()
                .map(|(name, _, value)| ((*name).to_owned(), json!(value))),
        );
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": milliseconds,
                "CloudWatchMetrics": [
                    { "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions }
                ],
            }),
        );
        Value::Object(line)
    }
}

/// A whole number as the value of a metric.
#[expect(clippy::cast_precision_loss, reason = "a count for a dashboard")]
pub fn count(number: impl TryInto<i64>) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_its_metrics() {
        let line = Metrics::of("Provider", "payments")
            .with("ProbeLatency", Unit::Milliseconds, 12.5)
            .line(1_790_000_000_000);
        let expected = json!({
            "Provider": "payments",
            "ProbeLatency": 12.5,
            "_aws": {
                "Timestamp": 1_790_000_000_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Cauce",
                    "Dimensions": [["Provider"]],
                    "Metrics": [{ "Name": "ProbeLatency", "Unit": "Milliseconds" }],
                }],
            },
        });
        assert_eq!(line, expected);
    }
}
