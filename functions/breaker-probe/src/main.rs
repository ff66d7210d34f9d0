//! The entry point of the probe's Lambda: builds the clients once, and runs.

use anyhow::Context;
use breaker_probe::Probe;
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use providers::{Payments, Shipping};
use serde_json::Value;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let http = providers::client()?;
    let probe = Probe {
        payments: Payments::new(
            http.clone(),
            variable("PAYMENTS_URL")?,
            variable("PAYMENTS_KEY")?,
        ),
        shipping: Shipping::new(http, variable("SHIPPING_URL")?, variable("SHIPPING_KEY")?),
    };
    let handler = service_fn(async |_: LambdaEvent<Value>| {
        for finding in probe.run().await {
            finding.publish(Timestamp::now());
        }
        Ok::<_, lambda_runtime::Error>(())
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("the environment variable {name} is missing"))
}
