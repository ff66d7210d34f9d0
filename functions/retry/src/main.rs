//! The entry point of the retry worker's Lambda: builds the clients once, and runs.

use aws_config::BehaviorVersion;
use lambda_runtime::{LambdaEvent, service_fn};
use providers::{Payments, Shipping};
use retry::{Request, Worker};
use settings::required;
use store::{Database, Executions};

/// One environment of a Lambda runs one step at a time.
const CONNECTIONS: usize = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let http = providers::client()?;
    let worker = Worker {
        database: Database::new(&required("DATABASE_URL")?, CONNECTIONS)?,
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            required("ORDER_STATE_MACHINE_ARN")?,
        ),
        payments: Payments::new(
            http.clone(),
            required("PAYMENTS_URL")?,
            required("PAYMENTS_KEY")?,
        ),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, required("SHIPPING_KEY")?),
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
