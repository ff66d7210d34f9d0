//! The model's providers against the simulators: the same calls with the same faults, made by the real
//! clients, are answered alike and leave the same behind.

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

/// How many sequences of calls are made.
const CASES: u32 = 100;

/// How long an effect may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has `compare` make many sequences of calls, at a simulator of the service at that URL too.
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

/// Has the next call at a simulator suffer a fault.
async fn order_fault(url: &str, mut fault: Value) {
    fault["next"] = 1.into();
    let request = client().unwrap().put(format!("{url}/_faults"));
    let answer = request.json(&fault).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}
