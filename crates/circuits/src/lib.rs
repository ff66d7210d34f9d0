//! The circuits to both providers, the same for every function that has to do with them: one table, one
//! configuration, and every transition of a circuit is logged and counted.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use breaker::{Breaker, BreakerEvent, Config, DynamoDb};
use jiff::Timestamp;
use orders::Provider;
use telemetry::{Metrics, Unit};

/// How long a person waits for the circuits' table.
const PATIENCE: Duration = Duration::from_secs(3);

/// The circuits to both providers.
#[derive(Clone)]
pub struct Circuits {
    table: DynamoDb,
    config: Config,
}

impl Circuits {
    /// The circuits in `table`, which stay open for `open_for` the first time.
    pub fn new(client: Client, table: impl Into<String>, open_for: Duration) -> Self {
        let mut config = Config::default();
        config.open_for = open_for;
        Self {
            table: DynamoDb::new(client, table),
            config,
        }
    }

    /// The same for people, who would rather wait for a slow table than be told that it is slow. Calls of
    /// the providers would not: they go on without their circuit.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        self.config.store_timeout = PATIENCE;
        self
    }

    /// The circuit to a provider.
    pub fn of(&self, provider: Provider) -> Breaker<DynamoDb> {
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
