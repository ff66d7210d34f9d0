//! The entry point of the probe's Lambda: builds the clients once, and runs.

use std::time::Duration;

use aws_config::BehaviorVersion;
use breaker::{Breaker, Config, DynamoDb};
use breaker_probe::Probe;
use lambda_runtime::{LambdaEvent, service_fn};
use providers::{Payments, Shipping};
use serde_json::Value;
use settings::{number, required};
use store::Queue;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let http = providers::client()?;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let circuits = DynamoDb::new(
        aws_sdk_dynamodb::Client::new(&aws),
        required("BREAKER_TABLE")?,
    );
    let config = Config {
        open_for: Duration::from_secs(number("BREAKER_OPEN_SECONDS")?),
        ..Config::default()
    };
    let breaker = |name| Breaker::new(circuits.clone(), name, config.clone());
    let probe = Probe {
        payments: Payments::new(
            http.clone(),
            required("PAYMENTS_URL")?,
            required("PAYMENTS_KEY")?,
        ),
        payments_breaker: breaker("payments"),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, required("SHIPPING_KEY")?),
        shipping_breaker: breaker("shipping"),
        probes: Queue::new(sqs.clone(), required("PROBES_QUEUE_URL")?),
        releases: Queue::new(sqs, required("RELEASES_QUEUE_URL")?),
    };
    // Whatever wakes it, the schedule or a message, it looks at both circuits.
    let handler = service_fn(async |_: LambdaEvent<Value>| {
        Box::pin(probe.run())
            .await
            .map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}
