//! The entry point of the probe's Lambda: builds the clients once, and runs.

use std::time::Duration;

use aws_config::BehaviorVersion;
use breaker_probe::Probe;
use circuits::Circuits;
use lambda_runtime::{LambdaEvent, service_fn};
use orders::Provider;
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
    let circuits = Circuits::new(
        aws_sdk_dynamodb::Client::new(&aws),
        required("BREAKER_TABLE")?,
        Duration::from_secs(number("BREAKER_OPEN_SECONDS")?),
    );
    let probe = Probe {
        payments: Payments::new(
            http.clone(),
            required("PAYMENTS_URL")?,
            required("PAYMENTS_KEY")?,
        ),
        payments_breaker: circuits.of(Provider::Payments),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, required("SHIPPING_KEY")?),
        shipping_breaker: circuits.of(Provider::Shipping),
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
