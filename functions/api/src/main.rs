//! The entry point of the API's Lambda: builds the clients once, and runs.

use std::sync::Arc;

use api::{Shop, Webhooks};
use aws_config::BehaviorVersion;
use providers::webhook::shipping::KeySet;
use settings::required;
use store::{Database, Executions, Parked, Queue, catalogue::Catalogue};

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
            required("REFUND_STATE_MACHINE_ARN")?,
        ),
        parked: Parked::new(
            aws_sdk_dynamodb::Client::new(&aws),
            required("PARKED_TABLE")?,
        ),
        webhooks: Webhooks {
            payments_secret: required("PAYMENTS_WEBHOOK_SECRET")?,
            shipping_keys: Arc::new(KeySet::new(
                providers::client()?,
                required("SHIPPING_KEYS_URL")?,
            )),
            events: Queue::new(
                aws_sdk_sqs::Client::new(&aws),
                required("PROVIDER_EVENTS_QUEUE_URL")?,
            ),
        },
    };
    lambda_http::run(api::router(shop))
        .await
        .map_err(anyhow::Error::from_boxed)
}
