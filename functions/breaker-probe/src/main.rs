//! The entry point of the probe's Lambda: builds the clients once, and runs.

use breaker_probe::Probe;
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use providers::{Payments, Shipping};
use serde_json::Value;
use settings::required;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let http = providers::client()?;
    let probe = Probe {
        payments: Payments::new(
            http.clone(),
            required("PAYMENTS_URL")?,
            required("PAYMENTS_KEY")?,
        ),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, required("SHIPPING_KEY")?),
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
