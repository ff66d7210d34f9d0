//! The entry point of the API's Lambda: builds the clients once, and runs.

use anyhow::Context;
use api::Shop;
use aws_config::BehaviorVersion;
use store::{Database, Executions, catalogue::Catalogue};

/// One environment of a Lambda answers one request at a time.
const CONNECTIONS: usize = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let shop = Shop {
        database: Database::new(&variable("DATABASE_URL")?, CONNECTIONS)?,
        catalogue: Catalogue::new(
            aws_sdk_dynamodb::Client::new(&aws),
            variable("CATALOGUE_TABLE")?,
        ),
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            variable("ORDER_STATE_MACHINE_ARN")?,
        ),
    };
    lambda_http::run(api::router(shop))
        .await
        .map_err(anyhow::Error::from_boxed)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("the environment variable {name} is missing"))
}
