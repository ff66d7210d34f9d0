//! The circuit breakers of both providers. Every function uses the same table and configuration.
//! Each transition of a circuit is logged and counted.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use breaker::{Breaker, BreakerEvent, Config, DynamoDb};
use jiff::Timestamp;
use orders::Provider;
use telemetry::{Metrics, Unit};

/// The timeout of a call to the circuits' table, if a person waits for the result.
const STAFF_STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// The circuits of both providers.
#[derive(Clone)]
pub struct Circuits {
    table: DynamoDb,
    config: Config,
}

impl Circuits {
    /// Returns the circuits in `table`. They stay open for `open_for` the first time.
    pub fn new(client: Client, table: impl Into<String>, open_for: Duration) -> Self {
        let mut config = Config::default();
        config.open_for = open_for;
        Self {
            table: DynamoDb::new(client, table),
            config,
        }
    }

    /// Sets a longer timeout for the table, for requests by staff: a person waits for a slow table
    /// rather than get an error. A call of a provider proceeds without the circuit instead.
    #[must_use]
    pub fn with_staff_timeout(mut self) -> Self {
        self.config.store_timeout = STAFF_STORE_TIMEOUT;
        self
    }

    /// Returns the circuit breaker of a provider.
    pub fn breaker(&self, provider: Provider) -> Breaker<DynamoDb> {
        let name = provider.to_string();
        Breaker::new(self.table.clone(), name, self.config.clone())
            .with_listener(move |event| publish(provider, event, Timestamp::now()))
    }
}

fn publish(provider: Provider, event: &BreakerEvent, now: Timestamp) {
    let metric = match event {
        BreakerEvent::Transition(transition) => {
            tracing::warn!(
                %provider,
                from = %transition.from,
                to = %transition.to,
                reason = %transition.reason,
                "breaker.changed"
            );
            "CircuitTransitions"
        }
        BreakerEvent::StoreUnreachable { error } => {
            tracing::error!(%provider, error, "breaker.unguarded");
            "CircuitUnguarded"
        }
        _ => return,
    };
    Metrics::of("Provider", provider.to_string())
        .with(metric, Unit::Count, 1.0)
        .emit(now.as_millisecond());
}
