//! A simulator on a free port with a folder of its own, and a listener for its webhooks.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]
#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::Duration;

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use orders::{OrderId, ShopId};
use providers::client;
use reqwest::Method;
use serde_json::Value;
use simulators::{Service, Storage, serve_on};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// The shop of the tests.
pub(crate) fn shop_id() -> ShopId {
    "cauce".parse().unwrap()
}

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

    pub(crate) async fn set_faults(&self, faults: Value) {
        let answer = self.control(Method::PUT, "/_faults", Some(faults)).await;
        assert_eq!(answer.status(), 204);
    }

    /// Lets the fault strike the next call only.
    pub(crate) async fn fail_next(&self, mut fault: Value) {
        fault["next"] = 1.into();
        self.set_faults(fault).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
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

    /// The names of the effects in the ledger of an order.
    pub(crate) async fn effects(&self, order_id: OrderId) -> Vec<String> {
        let entries = self.get(&format!("/_ledger?order_id={order_id}")).await;
        let name = |entry: &Value| entry["effect"].as_str().unwrap().to_owned();
        entries.as_array().unwrap().iter().map(name).collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // A folder that cannot be removed does not fail the test.
        drop(std::fs::remove_dir_all(&self.data));
    }
}

/// How long to wait for an event: much longer than one takes.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type Delivery = (HeaderMap, Bytes);

/// A listener for a simulator's webhooks.
pub(crate) struct Listener {
    url: String,
    deliveries: UnboundedReceiver<Delivery>,
}

impl Listener {
    async fn start() -> Self {
        async fn receive(
            State(deliveries): State<UnboundedSender<Delivery>>,
            headers: HeaderMap,
            body: Bytes,
        ) {
            deliveries.send((headers, body)).unwrap();
        }
        let (sender, deliveries) = unbounded_channel();
        let app = Router::new().route("/", post(receive)).with_state(sender);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, deliveries }
    }

    pub(crate) async fn of(simulator: &Simulator, mut settings: Value) -> Self {
        let listener = Self::start().await;
        settings["url"] = listener.url.clone().into();
        let answer = simulator
            .control(Method::PUT, "/_webhooks", Some(settings))
            .await;
        assert_eq!(answer.status(), 204);
        listener
    }

    /// Waits for the next delivery.
    pub(crate) async fn next(&mut self) -> Delivery {
        let delivery = timeout(TIMEOUT, self.deliveries.recv()).await;
        delivery.unwrap().unwrap()
    }
}
