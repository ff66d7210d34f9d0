//! The entry point of the probe's Lambda: builds the clients once, then runs.

use std::{sync::Arc, time::Duration};

use breaker_probe::Probe;
use circuits::Circuits;
use orders::Provider;
use providers::{Payments, Shipping};
use serde_json::Value;
use settings::{Secrets, number, required};
use store::{Queue, lazy};

fn main() -> anyhow::Result<()> {
    server::block_on(run())
}

async fn run() -> anyhow::Result<()> {
    telemetry::init();
    let aws = settings::aws().load().await;
    let secrets = Secrets::new(&aws);
    let (payments_key, shipping_key) = tokio::try_join!(
        secrets.required("PAYMENTS_KEY_ARN"),
        secrets.required("SHIPPING_KEY_ARN"),
    )?;
    let http = providers::client()?;
    let sqs = lazy(&aws, aws_sdk_sqs::Client::new);
    let circuits = Circuits::new(
        aws_sdk_dynamodb::Client::new(&aws),
        required("BREAKER_TABLE")?,
        Duration::from_secs(number("BREAKER_OPEN_SECONDS")?),
    );
    let probe = Probe {
        payments: Payments::new(http.clone(), required("PAYMENTS_URL")?, payments_key),
        payments_breaker: circuits.breaker(Provider::Payments),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, shipping_key),
        shipping_breaker: circuits.breaker(Provider::Shipping),
        probes: Queue::new(sqs.clone(), required("PROBES_QUEUE_URL")?),
        releases: Queue::new(sqs, required("RELEASES_QUEUE_URL")?),
    };
    let probe = Arc::new(probe);
    // The event does not matter: the schedule and a message both start a run for both circuits.
    server::run(move |_: Value| {
        let probe = Arc::clone(&probe);
        async move { Box::pin(probe.run()).await }
    })
    .await
}
