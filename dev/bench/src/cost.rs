//! What an order costs from its placement to its shipment: calls to AWS, database statements, and
//! the invocations and durations of functions.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tests::{
    Order, Response, Stack,
    chaos::{Books, Pending},
};
use tokio::time::sleep;

use crate::workload::{open_books, place_orders, wait_until};

/// How many orders are measured, after how many that are not, and how many are placed at once.
const ORDERS: u32 = 200;
const WARM_UP: usize = 20;
const AT_ONCE: usize = 4;

/// How long no function may be invoked before all work is taken to be done.
const QUIET: Duration = Duration::from_secs(2);

/// Marks the calls that our functions make.
const USER_AGENT: &str = "aws-sdk-rust";

/// A message is sent by us, and received and deleted by Lambda.
const REQUESTS_PER_MESSAGE: f64 = 3.0;

/// List prices in us-east-1 in November 2026, in dollars per million.
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

/// The memory of the functions in GB, as the template configures it.
const API_MEMORY: f64 = 0.5;
const WORKER_MEMORY: f64 = 0.25;

/// An assumption: the duration of the real providers' calls in the three steps of an order, in
/// seconds. The simulators answer at once.
const PROVIDER_SECONDS: f64 = 3.0 * 0.8;

/// The average cost of one order.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    /// How many orders were measured.
    orders: u32,
    /// Calls to AWS, by `service:operation`.
    calls: BTreeMap<String, f64>,
    /// Read units of DynamoDB. An eventually consistent read is half a unit.
    dynamodb_reads: f64,
    /// Write units of DynamoDB.
    dynamodb_writes: f64,
    /// Requests to SQS, including those of Lambda.
    sqs_requests: f64,
    /// Transitions of the state machine.
    transitions: f64,
    /// Database statements. Each is one round trip.
    statements: f64,
    /// The work of each function.
    functions: BTreeMap<String, Work>,
    /// The price of a million orders, from all figures above.
    dollars_per_million: f64,
}

/// The work of a function.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Work {
    invocations: f64,
    /// The duration of all invocations.
    milliseconds: f64,
}

/// An event of `CloudTrail`: one call to AWS.
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
    /// The whole event, as JSON in a string.
    #[serde(rename = "CloudTrailEvent")]
    json: String,
}

/// Measures some orders from their placement to their shipment.
pub(crate) async fn cost(stack: &Stack) -> Cost {
    let database = stack.database().await;
    let extension = "create extension if not exists pg_stat_statements";
    database
        .rows(extension, &[])
        .await
        .expect("the owner may create it");
    let books = open_books(stack).await;
    process_orders(stack, &books, WARM_UP).await;

    let statements = statements(stack).await;
    let functions = work(stack).await;
    let since = Timestamp::now();
    let orders = process_orders(stack, &books, ORDERS as usize).await;
    let each = |all: f64| all / f64::from(ORDERS);
    let events = calls_since(stack, since).await;
    let messages = events
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
        dynamodb_reads: each(events.iter().map(read_units).sum()),
        dynamodb_writes: each(events.iter().map(write_units).sum()),
        sqs_requests: each(count(messages) * REQUESTS_PER_MESSAGE),
        transitions: transitions(stack, &orders[0]).await,
        statements: each(self::statements(stack).await - statements),
        functions: work(stack)
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
            + (worker.milliseconds / 1e3 + PROVIDER_SECONDS) * WORKER_MEMORY;
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

/// Places orders, and waits until all work for them is done.
async fn process_orders(stack: &Stack, books: &Books, count: usize) -> Vec<Order> {
    let orders = place_orders(stack, count, AT_ONCE).await;
    wait_until(stack, books, Pending::is_nothing).await;
    let mut before = invocations(stack).await;
    loop {
        sleep(QUIET).await;
        let now = invocations(stack).await;
        if now.to_bits() == before.to_bits() {
            return orders;
        }
        before = now;
    }
}

async fn invocations(stack: &Stack) -> f64 {
    let work = work(stack).await;
    work.values().map(|work| work.invocations).sum()
}

/// The work of each function since the host of the functions started.
async fn work(stack: &Stack) -> BTreeMap<String, Work> {
    let request = stack.http.get(format!("{}/_done", stack.functions));
    Response::of(request).await.with_status(200).json()
}

/// How many statements the functions have executed.
async fn statements(stack: &Stack) -> f64 {
    let query = "select coalesce(sum(calls), 0)::float8 from pg_stat_statements
        where userid = 'cauce_app'::regrole";
    let rows = stack.database().await.rows(query, &[]).await;
    rows.expect("statements should be counted")[0].get(0)
}

/// The functions' calls to AWS, the newest first. The emulator pages by time alone, so the pages
/// overlap.
async fn calls_since(stack: &Stack, since: Timestamp) -> Vec<Call> {
    let target = "CloudTrail_20131101.LookupEvents";
    let since = since.as_duration().as_secs_f64();
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    let mut until = Timestamp::now().as_duration().as_secs_f64() + 1.0;
    loop {
        let wanted = json!({ "StartTime": since, "EndTime": until });
        let page: Value = Response::of(stack.aws_request(target, &wanted))
            .await
            .with_status(200)
            .json();
        let page: Vec<Call> =
            serde_json::from_value(page["Events"].clone()).expect("the events should be valid");
        let before = known.len();
        for event in page {
            until = event.at;
            if known.insert(event.id.clone()) {
                found.push(event);
            }
        }
        if known.len() == before {
            found.retain(|event| event.json.contains(USER_AGENT));
            return found;
        }
    }
}

/// What DynamoDB bills as reads for a call.
fn read_units(event: &Call) -> f64 {
    let parameters = parameters(event);
    let units = |request: &Value| {
        if request["ConsistentRead"] == true {
            1.0
        } else {
            0.5
        }
    };
    match event.name.as_str() {
        "GetItem" | "Query" => units(&parameters),
        "BatchGetItem" => {
            let tables = parameters["RequestItems"].as_object().into_iter().flatten();
            let keys = |table: &Value| count(table["Keys"].as_array().map_or(0, Vec::len));
            tables.map(|(_, table)| keys(table) * units(table)).sum()
        }
        _ => 0.0,
    }
}

/// What DynamoDB bills as writes for a call.
fn write_units(event: &Call) -> f64 {
    match event.name.as_str() {
        "PutItem" | "UpdateItem" | "DeleteItem" => 1.0,
        // A write in a transaction is two units.
        "TransactWriteItems" => {
            let items = &parameters(event)["TransactItems"];
            2.0 * count(items.as_array().map_or(0, Vec::len))
        }
        _ => 0.0,
    }
}

fn parameters(event: &Call) -> Value {
    let event: Value = serde_json::from_str(&event.json).unwrap_or_default();
    event["requestParameters"].clone()
}

/// The transitions of the order's execution, as AWS counts them: the states that it has entered.
async fn transitions(stack: &Stack, order: &Order) -> f64 {
    let machine = stack.aws.order_state_machine_arn.as_str();
    let machine = machine.replacen(":stateMachine:", ":execution:", 1);
    let execution =
        json!({ "executionArn": format!("{machine}:{}", order.id), "maxResults": 1000 });
    let history = stack.aws_request("AWSStepFunctions.GetExecutionHistory", &execution);
    let history: Value = Response::of(history).await.with_status(200).json();
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
