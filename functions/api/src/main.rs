//! The entry point of the API's Lambda: builds the clients once, and runs.

use std::{sync::Arc, time::Duration};

use api::{Shop, Webhooks};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use circuits::Circuits;
use providers::webhook::shipping::KeySet;
use settings::{number, required};
use store::{Database, DeadLetters, Executions, Parked, Queue, Users, catalogue::Catalogue};

/// One environment of a Lambda answers one request at a time.
const CONNECTIONS: usize = 2;

/// How long a call of Cognito may take: whoever changes a user makes several, and keeps others from
/// doing so meanwhile.
const COGNITO_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let payments_secret = required("PAYMENTS_WEBHOOK_SECRET")?;
    // Anybody can sign with an empty secret.
    anyhow::ensure!(
        !payments_secret.is_empty(),
        "PAYMENTS_WEBHOOK_SECRET is empty"
    );
    let frontend_key = required("FRONTEND_KEY")?;
    anyhow::ensure!(!frontend_key.is_empty(), "FRONTEND_KEY is empty");
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(COGNITO_TIMEOUT)
        .build();
    let cognito = aws_sdk_cognitoidentityprovider::config::Builder::from(&aws)
        .timeout_config(timeouts)
        .build();
    let cognito = aws_sdk_cognitoidentityprovider::Client::from_conf(cognito);
    let open_for = Duration::from_secs(number("BREAKER_OPEN_SECONDS")?);
    let circuits =
        Circuits::new(dynamodb.clone(), required("BREAKER_TABLE")?, open_for).for_people();
    let events_url = required("PROVIDER_EVENTS_QUEUE_URL")?;
    let shop = Shop {
        database: Database::new(&required("DATABASE_URL")?, CONNECTIONS)?,
        catalogue: Catalogue::new(dynamodb.clone(), required("CATALOGUE_TABLE")?),
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            required("ORDER_STATE_MACHINE_ARN")?,
            required("REFUND_STATE_MACHINE_ARN")?,
        ),
        parked: Parked::new(dynamodb, required("PARKED_TABLE")?),
        releases: Queue::new(sqs.clone(), required("RELEASES_QUEUE_URL")?),
        circuits,
        webhooks: Webhooks {
            payments_secret,
            shipping_keys: Arc::new(KeySet::new(
                providers::client()?,
                required("SHIPPING_KEYS_URL")?,
            )),
            events: Queue::new(sqs.clone(), events_url.clone()),
        },
        dead_letters: DeadLetters::new(sqs, required("DEAD_LETTERS_QUEUE_URL")?, events_url),
        users: Users::new(cognito, required("USER_POOL_ID")?),
        refund_limit: number::<i64>("SUPPORT_REFUND_LIMIT_CENTS")?.try_into()?,
        frontend_key,
    };
    lambda_http::run(api::router(shop))
        .await
        .map_err(anyhow::Error::from_boxed)
}
