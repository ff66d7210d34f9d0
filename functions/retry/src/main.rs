//! The entry point of the worker's Lambda: builds the clients once, and runs.
#![recursion_limit = "256"] // The future of all that a worker can do is deep.

use std::time::Duration;

use aws_config::BehaviorVersion;
use circuits::Circuits;
use jiff::SignedDuration;
use lambda_runtime::{LambdaEvent, service_fn};
use orders::Provider;
use providers::{Payments, Shipping};
use retry::{Commands, Guard, Limits, Request, Worker};
use settings::{number, required};
use store::{Database, Executions, Parked, Queue};

/// One environment of a Lambda runs one step at a time; a sweep has more to do at once.
const CONNECTIONS: usize = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let http = providers::client()?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let releases = Queue::new(sqs.clone(), required("RELEASES_QUEUE_URL")?);
    let commands = Commands {
        probes: Queue::new(sqs, required("PROBES_QUEUE_URL")?),
        releases: releases.clone(),
    };
    let open_for = Duration::from_secs(number("BREAKER_OPEN_SECONDS")?);
    let circuits = Circuits::new(dynamodb.clone(), required("BREAKER_TABLE")?, open_for);
    let guard = |provider| Guard::new(&circuits, provider, commands.clone());
    let worker = Worker {
        database: Database::new(&required("DATABASE_URL")?, CONNECTIONS)?,
        executions: Executions::new(
            aws_sdk_sfn::Client::new(&aws),
            required("ORDER_STATE_MACHINE_ARN")?,
            required("REFUND_STATE_MACHINE_ARN")?,
        ),
        parked: Parked::new(dynamodb, required("PARKED_TABLE")?),
        releases,
        payments: Payments::new(
            http.clone(),
            required("PAYMENTS_URL")?,
            required("PAYMENTS_KEY")?,
        ),
        payments_guard: guard(Provider::Payments),
        shipping: Shipping::new(http, required("SHIPPING_URL")?, required("SHIPPING_KEY")?),
        shipping_guard: guard(Provider::Shipping),
        limits: Limits {
            max_wait: SignedDuration::from_hours(number("ORDER_DEADLINE_HOURS")?),
            look_up_after: SignedDuration::from_secs(number("LOOK_UP_AFTER_SECONDS")?),
            reconcile_after: SignedDuration::from_secs(number("RECONCILE_AFTER_SECONDS")?),
            released_calls_per_second: number("RELEASED_CALLS_PER_SECOND")?,
        },
    };
    let handler = service_fn(async |event: LambdaEvent<Request>| {
        Box::pin(worker.handle(event.payload))
            .await
            .map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}
