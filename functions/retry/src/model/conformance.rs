//! Compares the model's providers with the simulators. The same calls with the same faults must get
//! the same responses and leave the same state. The real clients call the simulators.

mod payments;
mod shipping;

use std::{fmt::Debug, time::Duration};

use ::providers::client;
use orders::OrderId;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;
use simulators::{Service, Storage, serve_on};
use tokio::{net::TcpListener, runtime::Runtime};

/// How many sequences of calls each test makes.
const CASES: u32 = 100;

/// How long a test waits for a late effect.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a simulator of the service, and runs `compare` with its URL on many sequences of
/// calls.
fn check<C: Debug, F: Future<Output = ()>>(
    service: Service,
    calls: impl Strategy<Value = C>,
    compare: impl Fn(String, C) -> F,
) {
    let runtime = Runtime::new().unwrap();
    let data = std::env::temp_dir().join(format!("model-{}", OrderId::generate()));
    let url = runtime.block_on(async {
        let storage = Storage::open(&data, "model").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve_on(listener, service, storage));
        url
    });
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let compared = runner.run(&calls, |calls| {
        runtime.block_on(compare(url.clone(), calls));
        Ok(())
    });
    drop(std::fs::remove_dir_all(data));
    compared.unwrap();
}

/// Injects a fault into the next call to a simulator.
async fn order_fault(url: &str, mut fault: Value) {
    fault["next"] = 1.into();
    let request = client().unwrap().put(format!("{url}/_faults"));
    let answer = request.json(&fault).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}
