//! The entry point of the retry worker's Lambda: builds the clients once, and runs.

use anyhow::Context;
use aws_config::BehaviorVersion;
use lambda_runtime::{LambdaEvent, service_fn};
use providers::{Payments, Shipping};
use retry::{Request, Worker};
use store::{Database, Executions};

/// One environment of a Lambda runs one step at a time.
const CONNECTIONS: usize = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let http = providers::client()?;
    let worker = Worker {
        database: Database::new(&variable("DATABASE_URL")?, CONNECTIONS)?,
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            variable("ORDER_STATE_MACHINE_ARN")?,
        ),
        payments: Payments::new(
            http.clone(),
            variable("PAYMENTS_URL")?,
            variable("PAYMENTS_KEY")?,
        ),
        shipping: Shipping::new(http, variable("SHIPPING_URL")?, variable("SHIPPING_KEY")?),
    };
    let handler = service_fn(async |event: LambdaEvent<Request>| {
        worker
            .handle(event.payload)
            .await
            .map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("the environment variable {name} is missing"))
}
