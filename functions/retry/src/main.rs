//! The entry point of the worker's Lambda function. Builds the clients once, then handles requests.
#![recursion_limit = "256"] // The future of `Worker::handle` is deeply nested.

use std::time::Duration;

use circuits::Circuits;
use jiff::SignedDuration;
use orders::Provider;
use providers::{Payments, Shipping};
use retry::{Clients, Commands, Guard, Limits, Request, Retention, Steps, Worker};
use settings::{Secrets, number, required};
use store::{Database, Executions, Parked, Queue, Users, lazy};

/// The number of database connections of one execution environment. It runs one step at a time,
/// but a sweep sends several queries concurrently.
const CONNECTIONS: usize = 4;

fn main() -> anyhow::Result<()> {
    server::block_on(run())
}

async fn run() -> anyhow::Result<()> {
    telemetry::init();
    let connections = server::max_connections(CONNECTIONS)?;
    let aws = settings::aws().load().await;
    let secrets = Secrets::new(&aws);
    let (payments_key, shipping_key) = tokio::try_join!(
        secrets.required("PAYMENTS_KEY_ARN"),
        secrets.required("SHIPPING_KEY_ARN"),
    )?;
    let http = providers::client()?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let sqs = lazy(&aws, aws_sdk_sqs::Client::new);
    let releases = Queue::new(sqs.clone(), required("RELEASES_QUEUE_URL")?);
    let commands = Commands {
        probes: Queue::new(sqs, required("PROBES_QUEUE_URL")?),
        releases: releases.clone(),
    };
    let open_for = Duration::from_secs(number("BREAKER_OPEN_SECONDS")?);
    let circuits = Circuits::new(dynamodb.clone(), required("BREAKER_TABLE")?, open_for);
    let guard = |provider| Guard::new(&circuits, provider, commands.clone());
    let worker = Worker {
        steps: Steps {
            shop: required("SHOP_ID")?.parse()?,
            services: Clients {
                database: Database::new(&required("DATABASE_URL")?, connections, &aws)?,
                executions: Executions::new(
                    lazy(&aws, aws_sdk_sfn::Client::new),
                    required("ORDER_STATE_MACHINE_ARN")?,
                    required("REFUND_STATE_MACHINE_ARN")?,
                ),
                parked: Parked::new(dynamodb, required("PARKED_TABLE")?),
                releases,
                payments: Payments::new(http.clone(), required("PAYMENTS_URL")?, payments_key),
                payments_guard: guard(Provider::Payments),
                shipping: Shipping::new(http, required("SHIPPING_URL")?, shipping_key),
                shipping_guard: guard(Provider::Shipping),
                users: Users::new(
                    lazy(&aws, aws_sdk_cognitoidentityprovider::Client::new),
                    required("USER_POOL_ID")?,
                ),
            },
            limits: Limits {
                max_wait: SignedDuration::from_hours(number("ORDER_DEADLINE_HOURS")?),
                max_unauthorized_wait: SignedDuration::from_hours(number(
                    "UNAUTHORIZED_DEADLINE_HOURS",
                )?),
                look_up_after: SignedDuration::from_secs(number("LOOK_UP_AFTER_SECONDS")?),
                key_life: SignedDuration::from_secs(number("IDEMPOTENCY_KEY_SECONDS")?),
                reconcile_after: SignedDuration::from_secs(number("RECONCILE_AFTER_SECONDS")?),
                released_calls_per_second: number("RELEASED_CALLS_PER_SECOND")?,
            },
        },
        retention: Retention {
            idempotency: idempotency_hours()?,
            guests: days(number("GUEST_DATA_DAYS")?),
            accounts: days(number("ACCOUNT_DATA_DAYS")?),
            audit: days(number("AUDIT_DAYS")?),
            books: days(number("BOOKS_DAYS")?),
        },
    };
    server::run(move |request: Request| {
        let worker = worker.clone();
        async move { Box::pin(worker.handle(request)).await }
    })
    .await
}

fn days(days: i32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// Returns how long responses are kept under idempotency keys. This is at least 24 hours, because
/// the storefront looks up its last order by its key for nearly a day.
fn idempotency_hours() -> anyhow::Result<SignedDuration> {
    let hours = number("IDEMPOTENCY_HOURS")?;
    anyhow::ensure!(hours >= 24, "IDEMPOTENCY_HOURS must be at least 24");
    Ok(SignedDuration::from_hours(hours))
}
