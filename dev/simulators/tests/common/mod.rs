//! A simulator on a free port, with a folder of its own, and what a test asks of it.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]
#![allow(dead_code, reason = "each test program uses a part of it")]

use orders::OrderId;
use providers::client;
use reqwest::Method;
use serde_json::Value;
use simulators::{Service, Storage, serve_on};

pub(crate) struct Simulator {
    pub(crate) url: String,
    data: std::path::PathBuf,
}

impl Simulator {
    pub(crate) async fn start(service: Service) -> Self {
        let data = std::env::temp_dir().join(format!("simulator-{}", OrderId::generate()));
        let storage = Storage::open(&data, "test").unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve_on(listener, service, storage));
        Self { url, data }
    }

    pub(crate) async fn suffers(&self, faults: Value) {
        let answer = self.control(Method::PUT, "/_faults", Some(faults)).await;
        assert_eq!(answer.status(), 204);
    }

    pub(crate) async fn fails_next(&self, mut fault: Value) {
        fault["next"] = 1.into();
        self.suffers(fault).await;
    }

    pub(crate) async fn shows(&self, path: &str) -> Value {
        let answer = self.control(Method::GET, path, None).await;
        answer.json().await.unwrap()
    }

    pub(crate) async fn control(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Response {
        let address = format!("{}{path}", self.url);
        let request = client().unwrap().request(method, address);
        let request = body
            .into_iter()
            .fold(request, |request, body| request.json(&body));
        request.send().await.unwrap()
    }

    pub(crate) async fn effects(&self, order_id: OrderId) -> Vec<String> {
        let entries = self.shows(&format!("/_ledger?order_id={order_id}")).await;
        let name = |entry: &Value| entry["effect"].as_str().unwrap().to_owned();
        entries.as_array().unwrap().iter().map(name).collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // A folder that stays behind is no failure of the test.
        drop(std::fs::remove_dir_all(&self.data));
    }
}
