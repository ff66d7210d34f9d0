//! Measures the cost of authorization, and prints it as one line of JSON, in microseconds.
//!
//! - `open_us` and `guarded_us`: a request to a route without a token and to one that requires a
//!   scope, from API Gateway's event to the response. `adds_us` is the difference.
//! - `start_us`: building all routes with their guards, once in a cold start.
//!
//! `cargo bench --quiet -p api --bench authorization`

#![expect(clippy::unwrap_used, reason = "a bench that fails measures nothing")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{hint::black_box, time::Instant};

use access::Role;
use api::Host;
use axum::{Router, http::Method};
use serde_json::{Value, json};

use self::common::{NOWHERE, answer, api, by, request, state};

/// The number of batches, and the number of requests in each.
const BATCHES: usize = 200;
const BATCH: u32 = 500;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let api = api(NOWHERE).await;
    let open = request(&Method::GET, "/healthz", &[], "");
    let guarded = by(Role::Shopper, request(&Method::GET, "/v1/me", &[], ""));
    let (mut open_us, mut guarded_us) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        open_us.push(microseconds(&api, &open, 204).await);
        guarded_us.push(microseconds(&api, &guarded, 200).await);
    }
    let (open_us, guarded_us) = (median(open_us), median(guarded_us));
    let mut start_us = Vec::new();
    for _ in 0..BATCHES {
        let state = state(NOWHERE).await;
        let begun = Instant::now();
        drop(black_box(api::router(state, Host::Lambda)));
        start_us.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let figures = json!({
        "open_us": open_us,
        "guarded_us": guarded_us,
        "adds_us": guarded_us - open_us,
        "start_us": median(start_us),
    });
    println!("{figures}");
}

/// The mean time of a request in one batch, in microseconds.
async fn microseconds(api: &Router, event: &Value, status: u16) -> f64 {
    let begun = Instant::now();
    for _ in 0..BATCH {
        let (found, ..) = answer(api.clone(), event.clone()).await;
        assert_eq!(found, status);
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    *times.get(times.len() / 2).unwrap()
}
