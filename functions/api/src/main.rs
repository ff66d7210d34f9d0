//! The entry point of the API: builds the clients once, then runs as a Lambda or as a server.

use std::{convert::Infallible, time::Duration};

use api::{AppState, GatewayEvent, Host, RefundRules, TokenVerifier, Webhooks};
use aws_config::{SdkConfig, timeout::TimeoutConfig};
use circuits::Circuits;
use lambda_http::{
    LambdaEvent,
    lambda_runtime::{Runtime, service_fn},
};
use orders::Cents;
use providers::KeySet;
use settings::{Secrets, number, required};
use store::{
    Database, DeadLetters, Executions, Parked, Queue, UnpaidLimits, Users, catalogue::Catalogue,
    lazy,
};

/// The connections to each database of one execution environment, which handles one request at a
/// time.
const CONNECTIONS: usize = 2;

/// The timeout of a call to Cognito. A change of a user makes several calls under the lock of all
/// users.
const COGNITO_TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    server::block_on(run())
}

async fn run() -> anyhow::Result<()> {
    telemetry::init();
    let connections = server::max_connections(CONNECTIONS)?;
    let aws = settings::aws().load().await;
    let secrets = Secrets::new(&aws);
    let (frontend_key, origin_key) = tokio::try_join!(
        secrets.required("FRONTEND_KEY_ARN"),
        secrets.required("ORIGIN_KEY_ARN"),
    )?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let sqs = lazy(&aws, aws_sdk_sqs::Client::new);
    let open_for = Duration::from_secs(number("BREAKER_OPEN_SECONDS")?);
    let circuits =
        Circuits::new(dynamodb.clone(), required("BREAKER_TABLE")?, open_for).with_staff_timeout();
    let events_url = required("PROVIDER_EVENTS_QUEUE_URL")?;
    let state = AppState {
        database: Database::new(&required("DATABASE_URL")?, connections, &aws)?.with_standby(
            &required("DATABASE_STANDBY_URL")?,
            connections,
            &aws,
        )?,
        catalogue: Catalogue::new(dynamodb.clone(), required("CATALOGUE_TABLE")?),
        executions: Executions::new(
            lazy(&aws, aws_sdk_sfn::Client::new),
            required("ORDER_STATE_MACHINE_ARN")?,
            required("REFUND_STATE_MACHINE_ARN")?,
        ),
        parked: Parked::new(dynamodb, required("PARKED_TABLE")?),
        releases: Queue::new(sqs.clone(), required("RELEASES_QUEUE_URL")?),
        circuits,
        webhooks: Webhooks {
            payments_secret: secrets.lazy("PAYMENTS_WEBHOOK_ARN")?,
            shipping_keys: KeySet::new(providers::client()?, required("SHIPPING_KEYS_URL")?),
            events: Queue::new(sqs.clone(), events_url.clone()),
        },
        dead_letters: DeadLetters::new(sqs, required("DEAD_LETTERS_QUEUE_URL")?, events_url),
        users: Users::new(lazy(&aws, cognito), required("USER_POOL_ID")?),
        max_unpaid: UnpaidLimits {
            units: number("UNPAID_UNITS_LIMIT")?,
            cents: number("UNPAID_CENTS_LIMIT")?,
        },
        refund_rules: refund_rules()?,
        frontend_key,
        origin_key,
    };
    if let Some(address) = server::listen_address()? {
        let keys = KeySet::new(providers::client()?, required("TOKEN_KEYS_URL")?);
        let tokens =
            TokenVerifier::new(keys, &required("TOKEN_ISSUER")?, required("TOKEN_CLIENT")?);
        let host = Host::Container(Box::new(tokens));
        return server::serve(address, api::router(state, host)).await;
    }
    let router = api::router(state, Host::Lambda);
    let answer = async |event: LambdaEvent<GatewayEvent>| {
        Ok::<_, Infallible>(api::answer(router.clone(), event).await)
    };
    // Not `lambda_runtime::run`, which adds a span: the router has one already.
    Runtime::new(service_fn(answer))
        .run()
        .await
        .map_err(anyhow::Error::from_boxed)
}

fn refund_rules() -> anyhow::Result<RefundRules> {
    let approval_above: Cents = number::<i64>("REFUND_APPROVAL_CENTS")?.try_into()?;
    Ok(RefundRules {
        per_order: number::<i64>("SUPPORT_REFUND_LIMIT_CENTS")?.try_into()?,
        per_day: number::<i64>("SUPPORT_REFUND_DAY_LIMIT_CENTS")?.try_into()?,
        // Zero: no refund needs approval.
        approval_above: (approval_above > Cents::ZERO).then_some(approval_above),
    })
}

/// The Cognito client, with [`COGNITO_TIMEOUT`].
fn cognito(aws: &SdkConfig) -> aws_sdk_cognitoidentityprovider::Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(COGNITO_TIMEOUT)
        .build();
    let config = aws_sdk_cognitoidentityprovider::config::Builder::from(aws);
    aws_sdk_cognitoidentityprovider::Client::from_conf(config.timeout_config(timeouts).build())
}
