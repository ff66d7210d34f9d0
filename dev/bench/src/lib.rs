//! Figures of one run on a stack: what the guard of a provider costs, how parked orders drain, and what an
//! order costs.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a benchmark that fails has no result"
)]

mod accept;
mod boundary;
mod catalogue;
mod cold;
mod cost;
mod growth;
mod page;
mod processors;
mod read;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use breaker::{Admission, Breaker, Config, DynamoDb};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use providers::Payments;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

pub use self::{
    accept::{Acceptance, Contention, acceptance, contention},
    catalogue::{CatalogueGrowth, catalogue_growth},
    cold::{ColdStart, cold_starts},
    cost::{Cost, Work, cost},
    growth::{Growth, growth},
    page::{Pages, pages},
    read::{Reading, reading},
};
use tests::{
    Answer, EVERYTHING, Stack, Wish,
    chaos::{Books, Pending},
};

/// How many pairs of calls are timed, after how many that are not.
const PAIRS: usize = 2_000;
const WARM_UP: usize = 200;

/// How many orders are parked, how many of them are placed at a time, and what is ordered.
const PARKED: usize = 1_000;
const AT_ONCE: usize = 16;
const SKU: &str = "COFFEE-0001";
const PLENTY: i64 = 1_000_000;

/// How long all of them may take to be parked, and to drain.
const LIMIT: Duration = Duration::from_mins(15);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The times of some calls, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// Half of them took less.
    pub median_ms: f64,
    /// A quarter took less.
    pub lower_quartile_ms: f64,
    /// A quarter took more.
    pub upper_quartile_ms: f64,
}

/// What the guard costs.
#[derive(Debug, Serialize)]
pub struct GuardCosts {
    /// Calls of each kind, taking turns.
    pub calls: usize,
    /// A call of the payment service by itself.
    pub bare: Times,
    /// The same, through the circuit breaker on DynamoDB.
    pub guarded: Times,
    /// What the guard adds at the median.
    pub adds_ms: f64,
}

/// How parked orders drain.
#[derive(Debug, Serialize)]
pub struct Drain {
    /// How many were parked.
    pub parked: usize,
    /// The most calls that released orders may make of a service in a second.
    pub released_calls_per_second: f64,
    /// From the provider's recovery to the end of the last order.
    pub seconds: f64,
    /// The most payments that were begun in a second, as the provider saw it.
    pub most_payments_a_second: usize,
    /// The most calls of any kind that the payment service saw in a second.
    pub most_calls_a_second: u64,
    /// The most that it saw at once.
    pub most_at_once: u64,
    /// How often its circuit opened after the recovery.
    pub opened_again: usize,
}

/// A figure of several rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    /// Of the round in the middle.
    pub median: f64,
    /// Of the round with the least.
    pub least: f64,
    /// Of the round with the most.
    pub most: f64,
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_unstable_by(f64::total_cmp);
        Self {
            median: rounds[rounds.len() / 2],
            least: rounds[0],
            most: rounds[rounds.len() - 1],
        }
    }

    /// Of how much each round has of another that was measured beside it.
    fn of_ratios(these: &[f64], beside: &[f64]) -> Self {
        Self::of(
            these
                .iter()
                .zip(beside)
                .map(|(this, that)| this / that)
                .collect(),
        )
    }
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |quarter: usize| times[times.len() * quarter / 4].as_secs_f64() * 1e3;
        Self {
            median_ms: at(2),
            lower_quartile_ms: at(1),
            upper_quartile_ms: at(3),
        }
    }
}

/// Times a call with and without its guard, in turns, so that both see the same machine.
pub async fn guard_costs(stack: &Stack) -> GuardCosts {
    let http = providers::client().expect("there should be a client");
    let payments = Payments::new(http, &stack.payments.url, "sk_test_bench");
    let breaker = Breaker::new(circuits(stack), "bench", Config::default());
    let (mut bare, mut guarded) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + PAIRS {
        let begun = Instant::now();
        payments.ping().await.expect("the simulator should answer");
        bare.push(begun.elapsed());

        let begun = Instant::now();
        let Admission::Admitted(permit) = breaker.admit().await else {
            panic!("the circuit of a healthy provider is open");
        };
        let called = Instant::now();
        payments.ping().await.expect("the simulator should answer");
        permit.record_success(called.elapsed()).await;
        guarded.push(begun.elapsed());
    }
    let bare = Times::of(bare.split_off(WARM_UP));
    let guarded = Times::of(guarded.split_off(WARM_UP));
    GuardCosts {
        calls: PAIRS,
        adds_ms: guarded.median_ms - bare.median_ms,
        bare,
        guarded,
    }
}

fn circuits(stack: &Stack) -> DynamoDb {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .endpoint_url(&stack.aws.endpoint)
        .build();
    DynamoDb::new(Client::from_conf(config), &stack.aws.breaker_table)
}

/// Has a thousand orders wait for the payment service, lets it recover, and looks how they go on.
pub async fn drain(stack: &Stack) -> Drain {
    let shelf = (SKU.to_owned(), PLENTY);
    let books = Books::open(stack, vec![shelf]).await;
    let books = books.expect("the books should be readable");
    let shoppers = stack.shoppers().await;

    stack.payments.fails_all(EVERYTHING).await;
    let orders = (0..PARKED).map(|number| &shoppers[number % shoppers.len()]);
    let wish = Wish::of(SKU, 1);
    let placed = stream::iter(orders)
        .map(|shopper| shopper.places(&wish))
        .buffer_unordered(AT_ONCE);
    placed.for_each(|_| async {}).await;
    until(&books, stack, |pending| pending.tokens == PARKED).await;

    stack.payments.forgets_calls().await;
    let recovered = Timestamp::now();
    stack.payments.recovers().await;
    until(&books, stack, Pending::is_nothing).await;
    let seconds = Timestamp::now().duration_since(recovered).as_secs_f64();

    let calls = get(stack, &format!("{}/_calls", stack.payments.url)).await;
    let seconds_of_calls = calls["by_second"].as_array().into_iter().flatten();
    let most = seconds_of_calls.filter_map(|second| second[1].as_u64());
    Drain {
        parked: PARKED,
        released_calls_per_second: released_calls_per_second(stack).await,
        seconds,
        most_payments_a_second: most_payments_a_second(stack, recovered).await,
        most_calls_a_second: most.max().unwrap_or_default(),
        most_at_once: calls["most_at_once"].as_u64().unwrap_or_default(),
        opened_again: openings_since(stack, recovered).await,
    }
}

async fn until(books: &Books, stack: &Stack, there: impl Fn(Pending) -> bool) {
    let begun = Instant::now();
    loop {
        let pending = books.pending(stack).await;
        let pending = pending.expect("the books should be readable");
        if there(pending) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "still {pending:?} after {LIMIT:?}");
        sleep(LOOK_EVERY).await;
    }
}

/// The most payments that were begun in one second.
async fn most_payments_a_second(stack: &Stack, since: Timestamp) -> usize {
    let ledger = get(stack, &format!("{}/_ledger", stack.payments.url)).await;
    let mut by_second: HashMap<i64, usize> = HashMap::new();
    for effect in ledger.as_array().into_iter().flatten() {
        let at = time(&effect["at"]);
        if effect["effect"] == "authorized" && at >= since {
            *by_second.entry(at.as_second()).or_default() += 1;
        }
    }
    by_second.into_values().max().unwrap_or_default()
}

/// How often the payments' circuit opened.
async fn openings_since(stack: &Stack, since: Timestamp) -> usize {
    let operator = stack.staff("operator").await;
    let circuits = operator.gets("/v1/ops/circuits").await.with_status(200);
    let circuits: Value = circuits.json();
    let circuits = circuits["items"].as_array().into_iter().flatten();
    circuits
        .filter(|circuit| circuit["provider"] == "payments")
        .flat_map(|circuit| circuit["history"].as_array().into_iter().flatten())
        .filter(|change| change["to"] == "open" && time(&change["at"]) >= since)
        .count()
}

/// The rate that the stack is set up with.
async fn released_calls_per_second(stack: &Stack) -> f64 {
    let environment = stack.environment_of("retry").await;
    let rate = environment.get("RELEASED_CALLS_PER_SECOND");
    let rate = rate.and_then(|rate| rate.parse().ok());
    rate.expect("the worker should have a rate of releases")
}

async fn get(stack: &Stack, url: &str) -> Value {
    Answer::of(stack.http.get(url))
        .await
        .with_status(200)
        .json()
}

fn time(value: &Value) -> Timestamp {
    let time = value.as_str().and_then(|text| text.parse().ok());
    time.expect("a time should be one")
}
