//! How fast parked orders resume once the payment service has recovered.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tests::{EVERYTHING, Response, Stack, chaos::Pending};

use crate::workload::{open_books, place_orders, wait_until};

/// How many orders are parked, and how many of them are placed at once.
const PARKED: usize = 1_000;
const AT_ONCE: usize = 16;

/// How parked orders resumed.
#[derive(Debug, Serialize)]
pub(crate) struct Drain {
    /// How many orders were parked.
    parked: usize,
    /// The configured limit for the calls of resumed orders.
    released_calls_per_second: f64,
    /// From the provider's recovery to the end of the last order.
    seconds: f64,
    /// The most payments that the provider authorized in one second.
    most_payments_a_second: usize,
    /// The most calls of any kind that the payment service received in one second.
    most_calls_a_second: u64,
    /// The most concurrent calls that it received.
    most_at_once: u64,
    /// How often its circuit opened after the recovery.
    opened_again: usize,
}

/// Parks a thousand orders, has the payment service recover, and measures how they resume.
pub(crate) async fn drain(stack: &Stack) -> Drain {
    let books = open_books(stack).await;
    stack.payments.fail_all(EVERYTHING).await;
    place_orders(stack, PARKED, AT_ONCE).await;
    wait_until(stack, &books, |pending| pending.tokens == PARKED).await;

    stack.payments.reset_calls().await;
    let recovered = Timestamp::now();
    stack.payments.recover().await;
    wait_until(stack, &books, Pending::is_nothing).await;
    let seconds = Timestamp::now().duration_since(recovered).as_secs_f64();

    let calls = read(stack, "_calls").await;
    let calls_by_second = calls["by_second"].as_array().into_iter().flatten();
    let most = calls_by_second.filter_map(|second| second[1].as_u64());
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

/// The most payments that were authorized in one second.
async fn most_payments_a_second(stack: &Stack, since: Timestamp) -> usize {
    let ledger = read(stack, "_ledger").await;
    let mut by_second: HashMap<i64, usize> = HashMap::new();
    for effect in ledger.as_array().into_iter().flatten() {
        let at = timestamp(&effect["at"]);
        if effect["effect"] == "authorized" && at >= since {
            *by_second.entry(at.as_second()).or_default() += 1;
        }
    }
    by_second.into_values().max().unwrap_or_default()
}

/// How often the circuit of the payment service opened.
async fn openings_since(stack: &Stack, since: Timestamp) -> usize {
    let circuit = stack.circuit("payments").await;
    let history = circuit["history"].as_array().into_iter().flatten();
    history
        .filter(|change| change["to"] == "open" && timestamp(&change["at"]) >= since)
        .count()
}

/// The rate that the stack is deployed with.
async fn released_calls_per_second(stack: &Stack) -> f64 {
    let environment = stack.environment_of("retry").await;
    let rate = environment.get("RELEASED_CALLS_PER_SECOND");
    let rate = rate.and_then(|rate| rate.parse().ok());
    rate.expect("the worker should have a rate of releases")
}

/// Reads a record of the payment service's simulator.
async fn read(stack: &Stack, record: &str) -> Value {
    let request = stack.http.get(format!("{}/{record}", stack.payments.url));
    Response::of(request).await.with_status(200).json()
}

fn timestamp(value: &Value) -> Timestamp {
    let timestamp = value.as_str().and_then(|text| text.parse().ok());
    timestamp.expect("a timestamp should be valid")
}
