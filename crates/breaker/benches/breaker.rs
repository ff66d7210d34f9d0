//! What a breaker costs, as one line of JSON. The times are this machine's; the counts are exact.
//!
//! `cargo bench --quiet -p breaker --no-default-features --bench breaker`

#![expect(clippy::unwrap_used, reason = "a bench that fails has nothing to say")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use breaker::{Admission, Breaker, Config, Memory, Store, Surroundings};
use jiff::Timestamp;
use serde_json::json;

/// How many times a batch of calls is timed, and how many calls are in it.
const BATCHES: usize = 400;
const BATCH: u32 = 5_000;

/// How many calls are counted, and how far apart they are.
const CALLS: u64 = 1_000;
const APART: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (first, last) = closed_ns().await;
    let healthy = healthy().await;
    let open = open().await;
    let figures = json!({
        "closed": { "median_ns_first_half": first, "median_ns_second_half": last },
        "healthy": healthy,
        "open": open,
    });
    println!("{figures}");
}

/// The median time of a call's admission and success, in nanoseconds: of the first calls, and of
/// the last, which must be no dearer.
async fn closed_ns() -> (f64, f64) {
    let breaker = Breaker::new(Memory::new(), "closed", Config::default());
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            succeeds(&breaker).await;
        }
        batches.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    let (first, last) = batches.split_at_mut(BATCHES / 2);
    (median(first), median(last))
}

/// Healthy calls, a hundred a second.
async fn healthy() -> serde_json::Value {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = clock.breaker(&store);
    for _ in 0..CALLS {
        succeeds(&breaker).await;
        clock.forward(APART);
    }
    let tally = store.tally();
    json!({
        "calls": CALLS,
        "seconds": (APART * 1_000).as_secs(),
        "reads": tally.reads,
        "writes": tally.writes,
    })
}

/// Calls of an open circuit that is not yet due.
async fn open() -> serde_json::Value {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = clock.breaker(&store);
    while let Admission::Admitted(permit) = breaker.admit().await {
        permit.failed(APART).await;
    }
    let before = store.tally();
    let mut let_through = 0;
    for _ in 0..CALLS {
        let admission = breaker.admit().await;
        let_through += u64::from(matches!(admission, Admission::Admitted(_)));
    }
    let tally = store.tally();
    json!({
        "calls": CALLS,
        "let_through": let_through,
        "reads": tally.reads - before.reads,
        "writes": tally.writes - before.writes,
    })
}

async fn succeeds<S: Store>(breaker: &Breaker<S>) {
    if let Admission::Admitted(permit) = breaker.admit().await {
        permit.succeeded(APART).await;
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2] * 10.0).round() / 10.0
}

/// A clock that only the bench moves, in milliseconds since 1970.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn breaker(&self, store: &Memory) -> Breaker<Memory> {
        let clock = self.clone();
        let surroundings = Surroundings {
            now: Box::new(move || Timestamp::from_millisecond(clock.0.load(Relaxed)).unwrap()),
            ..Surroundings::default()
        };
        Breaker::in_surroundings(store.clone(), "counted", Config::default(), surroundings)
    }

    fn forward(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Relaxed);
    }
}
