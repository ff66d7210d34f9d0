//! The entry point of the API's Lambda: builds the clients once, and runs.

use api::Shop;
use aws_config::BehaviorVersion;
use settings::required;
use store::{Database, Executions, catalogue::Catalogue};

/// One environment of a Lambda answers one request at a time.
const CONNECTIONS: usize = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let shop = Shop {
        database: Database::new(&required("DATABASE_URL")?, CONNECTIONS)?,
        catalogue: Catalogue::new(
            aws_sdk_dynamodb::Client::new(&aws),
            required("CATALOGUE_TABLE")?,
        ),
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            required("ORDER_STATE_MACHINE_ARN")?,
        ),
    };
    lambda_http::run(api::router(shop))
        .await
        .map_err(anyhow::Error::from_boxed)
}
