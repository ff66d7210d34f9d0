//! What an order costs, counted while some go from the shopper's click to the parcel: calls of AWS's services,
//! statements of the database, and what the functions do.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{PLENTY, SKU, until};
use tests::{
    Answer, Order, Stack, Wish,
    chaos::{Books, Pending},
};

/// How many orders are counted, after how many that are not, and how many are placed at a time.
const ORDERS: u32 = 200;
const WARM_UP: usize = 20;
const AT_ONCE: usize = 4;

/// How long nothing may be done until all is.
const QUIET: Duration = Duration::from_secs(2);

/// How the functions' own calls are told from those of others.
const OF_THE_FUNCTIONS: &str = "aws-sdk-rust";

/// Lambda's receiving a message and deleting it, for each that is sent.
const REQUESTS_OF_A_MESSAGE: f64 = 3.0;

/// List prices of us-east-1 in November 2026, in dollars for a million; Lambda's for a million GB seconds.
mod price {
    pub(super) const TRANSITIONS: f64 = 25.0;
    pub(super) const INVOCATIONS: f64 = 0.20;
    pub(super) const GB_SECONDS: f64 = 13.33;
    pub(super) const API_CALLS: f64 = 1.00;
    pub(super) const DYNAMODB_READS: f64 = 0.125;
    pub(super) const DYNAMODB_WRITES: f64 = 0.625;
    pub(super) const SQS_REQUESTS: f64 = 0.40;
    pub(super) const AUDITED_CALLS: f64 = 1.00;
}

/// The memory of the functions, in GB, as the template has it.
const API_MEMORY: f64 = 0.5;
const WORKER_MEMORY: f64 = 0.25;

/// An assumption: what the real providers take to answer, in seconds, over the three steps of an order.
const PROVIDERS_TAKE: f64 = 3.0 * 0.8;

/// What one order takes, on average.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// How many were counted.
    pub orders: u32,
    /// Calls of each service, by its own name and that of the call.
    pub calls: BTreeMap<String, f64>,
    /// What DynamoDB counts as reads: an eventually consistent one is half of one.
    pub dynamodb_reads: f64,
    /// What it counts as writes.
    pub dynamodb_writes: f64,
    /// Requests of SQS, those of Lambda among them.
    pub sqs_requests: f64,
    /// Steps of a state machine.
    pub transitions: f64,
    /// Statements, and so round trips to the database.
    pub statements: f64,
    /// What each function did.
    pub functions: BTreeMap<String, Work>,
    /// What a million orders cost by all that is counted here.
    pub dollars_per_million: f64,
}

/// What a function does for an order, on average.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Work {
    /// How often it is called.
    pub invocations: f64,
    /// How long it takes in all; the simulators of the providers answer at once.
    pub milliseconds: f64,
}

/// A call, as the audit trail has it.
#[derive(Deserialize)]
struct Call {
    #[serde(rename = "EventId")]
    id: String,
    #[serde(rename = "EventName")]
    name: String,
    #[serde(rename = "EventSource")]
    service: String,
    #[serde(rename = "EventTime")]
    at: f64,
    /// All of it, as JSON in a string.
    #[serde(rename = "CloudTrailEvent")]
    all: String,
}

/// Counts what some orders take from the click to the parcel.
pub async fn cost(stack: &Stack) -> Cost {
    let database = stack.database().await;
    let extension = "create extension if not exists pg_stat_statements";
    database
        .rows(extension, &[])
        .await
        .expect("the owner may create it");
    let books = Books::open(stack, vec![(SKU.to_owned(), PLENTY)]).await;
    let books = books.expect("the books should be readable");
    places(stack, &books, WARM_UP).await;

    let statements = statements(stack).await;
    let functions = done(stack).await;
    let since = Timestamp::now();
    let orders = places(stack, &books, ORDERS as usize).await;
    let each = |all: f64| all / f64::from(ORDERS);
    let events = events(stack, since).await;
    let sent = events
        .iter()
        .filter(|it| it.name.starts_with("SendMessage"))
        .count();
    let mut calls = BTreeMap::new();
    for event in &events {
        let service = event.service.trim_end_matches(".amazonaws.com");
        *calls
            .entry(format!("{service}:{}", event.name))
            .or_default() += each(1.0);
    }
    let mut cost = Cost {
        orders: ORDERS,
        calls,
        dynamodb_reads: each(events.iter().map(reads).sum()),
        dynamodb_writes: each(events.iter().map(writes).sum()),
        sqs_requests: each(count(sent) * REQUESTS_OF_A_MESSAGE),
        transitions: transitions(stack, &orders[0]).await,
        statements: each(self::statements(stack).await - statements),
        functions: done(stack)
            .await
            .into_iter()
            .map(|(name, after)| {
                let before = functions.get(&name).copied().unwrap_or_default();
                let work = Work {
                    invocations: each(after.invocations - before.invocations),
                    milliseconds: each(after.milliseconds - before.milliseconds),
                };
                (name, work)
            })
            .collect(),
        dollars_per_million: 0.0,
    };
    cost.dollars_per_million = cost.dollars();
    cost
}

impl Cost {
    fn dollars(&self) -> f64 {
        let work = |name| self.functions.get(name).copied().unwrap_or_default();
        let (api, worker) = (work("api"), work("retry"));
        let gb_seconds = api.milliseconds / 1e3 * API_MEMORY
            + (worker.milliseconds / 1e3 + PROVIDERS_TAKE) * WORKER_MEMORY;
        let invocations = api.invocations + worker.invocations;
        let of_tables = self
            .calls
            .iter()
            .filter(|(name, _)| name.starts_with("dynamodb:"));
        let audited = invocations + of_tables.map(|(_, calls)| calls).sum::<f64>();
        self.transitions * price::TRANSITIONS
            + invocations * price::INVOCATIONS
            + gb_seconds * price::GB_SECONDS
            + api.invocations * price::API_CALLS
            + self.dynamodb_reads * price::DYNAMODB_READS
            + self.dynamodb_writes * price::DYNAMODB_WRITES
            + self.sqs_requests * price::SQS_REQUESTS
            + audited * price::AUDITED_CALLS
    }
}

/// Places orders, and waits until nothing more is done for them.
async fn places(stack: &Stack, books: &Books, orders: usize) -> Vec<Order> {
    let shoppers = stack.shoppers().await;
    let wish = Wish::of(SKU, 1);
    let placed = (0..orders).map(|number| shoppers[number % shoppers.len()].places(&wish));
    let placed = stream::iter(placed)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    until(books, stack, Pending::is_nothing).await;
    let mut before = invocations(stack).await;
    loop {
        sleep(QUIET).await;
        let now = invocations(stack).await;
        if now.to_bits() == before.to_bits() {
            return placed;
        }
        before = now;
    }
}

async fn invocations(stack: &Stack) -> f64 {
    done(stack)
        .await
        .values()
        .map(|work| work.invocations)
        .sum()
}

/// What the functions have done since they were started.
async fn done(stack: &Stack) -> BTreeMap<String, Work> {
    let done = stack.http.get(format!("{}/_done", stack.functions));
    Answer::of(done).await.with_status(200).json()
}

/// How many statements the functions have had the database execute.
async fn statements(stack: &Stack) -> f64 {
    let query = "select coalesce(sum(calls), 0)::float8 from pg_stat_statements
        where userid = 'cauce_app'::regrole";
    let rows = stack.database().await.rows(query, &[]).await;
    rows.expect("statements should be counted")[0].get(0)
}

/// The calls of the functions since then, the newest first. The emulator's pages are cut by time alone.
async fn events(stack: &Stack, since: Timestamp) -> Vec<Call> {
    let target = "CloudTrail_20131101.LookupEvents";
    let since = since.as_duration().as_secs_f64();
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    let mut until = Timestamp::now().as_duration().as_secs_f64() + 1.0;
    loop {
        let wanted = json!({ "StartTime": since, "EndTime": until });
        let page: Value = Answer::of(stack.aws_request(target, &wanted))
            .await
            .with_status(200)
            .json();
        let page: Vec<Call> =
            serde_json::from_value(page["Events"].clone()).expect("events should be some");
        let before = known.len();
        for event in page {
            until = event.at;
            if known.insert(event.id.clone()) {
                found.push(event);
            }
        }
        if known.len() == before {
            found.retain(|event| event.all.contains(OF_THE_FUNCTIONS));
            return found;
        }
    }
}

fn reads(event: &Call) -> f64 {
    let parameters = parameters(event);
    let of = |request: &Value| {
        if request["ConsistentRead"] == true {
            1.0
        } else {
            0.5
        }
    };
    match event.name.as_str() {
        "GetItem" | "Query" => of(&parameters),
        "BatchGetItem" => {
            let tables = parameters["RequestItems"].as_object().into_iter().flatten();
            let keys = |table: &Value| count(table["Keys"].as_array().map_or(0, Vec::len));
            tables.map(|(_, table)| keys(table) * of(table)).sum()
        }
        _ => 0.0,
    }
}

fn writes(event: &Call) -> f64 {
    match event.name.as_str() {
        "PutItem" | "UpdateItem" | "DeleteItem" => 1.0,
        // A write in a transaction counts twice.
        "TransactWriteItems" => {
            let items = &parameters(event)["TransactItems"];
            2.0 * count(items.as_array().map_or(0, Vec::len))
        }
        _ => 0.0,
    }
}

fn parameters(event: &Call) -> Value {
    let event: Value = serde_json::from_str(&event.all).unwrap_or_default();
    event["requestParameters"].clone()
}

/// How many states the order's execution has entered, its start among them, as AWS counts.
async fn transitions(stack: &Stack, order: &Order) -> f64 {
    let machine = stack.aws.order_state_machine_arn.as_str();
    let machine = machine.replacen(":stateMachine:", ":execution:", 1);
    let execution =
        json!({ "executionArn": format!("{machine}:{}", order.id), "maxResults": 1000 });
    let history = stack.aws_request("AWSStepFunctions.GetExecutionHistory", &execution);
    let history: Value = Answer::of(history).await.with_status(200).json();
    let events = history["events"].as_array().into_iter().flatten();
    let entered = events.filter(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        kind.ends_with("StateEntered")
    });
    count(entered.count())
}

fn count(how_many: usize) -> f64 {
    u32::try_from(how_many).map_or(f64::INFINITY, f64::from)
}
