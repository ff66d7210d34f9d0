//! Prints the cost of a breaker as one line of JSON. Times depend on the machine; counts do not.
//!
//! `cargo bench --quiet -p cauce-breaker --no-default-features --bench breaker`

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has no result")]

#[path = "../tests/clock/mod.rs"]
mod clock;

use std::time::{Duration, Instant};

use breaker::{Admission, Breaker, Config, Memory, Store};
use clock::Clock;
use serde_json::json;

/// The number of batches that are timed, and of calls in each.
const BATCHES: usize = 400;
const BATCH: u32 = 5_000;

/// The number of calls whose reads and writes are counted, and the time between two of them.
const CALLS: u32 = 1_000;
const INTERVAL: Duration = Duration::from_millis(10);

/// The duration of a call that is not slow.
const QUICK: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (first, second) = time_closed().await;
    let healthy = count_healthy().await;
    let open = count_open().await;
    let figures = json!({
        "closed": { "median_ns_first_half": first, "median_ns_second_half": second },
        "healthy": healthy,
        "open": open,
    });
    println!("{figures}");
}

/// Measures the median time to admit a call and to record its success, in nanoseconds: for the
/// first half of the calls, and for the second half, which must not be slower.
async fn time_closed() -> (f64, f64) {
    let breaker = Breaker::new(Memory::new(), "closed", Config::default());
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            succeed(&breaker).await;
        }
        batches.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    let (first, second) = batches.split_at_mut(BATCHES / 2);
    (median(first), median(second))
}

/// Counts the requests to the store for healthy calls.
async fn count_healthy() -> serde_json::Value {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = breaker(&store, &clock);
    for _ in 0..CALLS {
        succeed(&breaker).await;
        clock.advance(INTERVAL);
    }
    let tally = store.tally();
    json!({
        "calls": CALLS,
        "seconds": (INTERVAL * CALLS).as_secs(),
        "reads": tally.reads,
        "writes": tally.writes,
    })
}

/// Counts the calls that an open circuit admits before it is due, and its requests to the store.
async fn count_open() -> serde_json::Value {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = breaker(&store, &clock);
    while let Admission::Admitted(permit) = breaker.admit().await {
        permit.record_failure(QUICK).await;
    }
    let before = store.tally();
    let mut admitted = 0;
    for _ in 0..CALLS {
        let admission = breaker.admit().await;
        admitted += u64::from(matches!(admission, Admission::Admitted(_)));
    }
    let tally = store.tally();
    json!({
        "calls": CALLS,
        "let_through": admitted,
        "reads": tally.reads - before.reads,
        "writes": tally.writes - before.writes,
    })
}

/// A breaker with a manual clock.
fn breaker(store: &Memory, clock: &Clock) -> Breaker<Memory> {
    Breaker::with_env(store.clone(), "counted", Config::default(), clock.env())
}

async fn succeed<S: Store>(breaker: &Breaker<S>) {
    if let Admission::Admitted(permit) = breaker.admit().await {
        permit.record_success(QUICK).await;
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2] * 10.0).round() / 10.0
}
