//! Each fault as a client sees it on the wire.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use orders::OrderId;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use common::Simulator;

/// How long to wait for an answer: much longer than one takes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The bytes that were received on a connection, and how it ended.
#[derive(Debug)]
struct Received {
    text: String,
    end: Result<(), ErrorKind>,
}

impl Received {
    fn status(&self) -> u16 {
        self.text[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    /// Whether the body has the length that the header announces.
    fn has_announced_length(&self) -> bool {
        self.header("content-length").unwrap() == self.body().len().to_string()
    }
}

struct Caller<'a> {
    simulator: &'a Simulator,
}

impl Caller<'_> {
    /// Authorizes a payment for an order, with the order id as the idempotency key.
    async fn authorize(&self, order_id: OrderId) -> Received {
        let form = format!(
            "amount=1299&currency=eur&payment_method=pm_card_visa&payment_method_types[]=card\
             &capture_method=manual&confirm=true&metadata[order_id]={order_id}"
        );
        let key = format!("Idempotency-Key: {order_id}\r\n");
        self.call("POST /v1/payment_intents", &form, &key).await
    }

    async fn capture(&self, payment_id: &str) -> Received {
        let call = format!("POST /v1/payment_intents/{payment_id}/capture");
        self.call(&call, "", "").await
    }

    async fn call(&self, operation: &str, form: &str, headers: &str) -> Received {
        timeout(TIMEOUT, self.call_without_timeout(operation, form, headers))
            .await
            .unwrap()
    }

    async fn call_without_timeout(&self, operation: &str, form: &str, headers: &str) -> Received {
        let address = self.simulator.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{operation} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer sk_test_ours\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let end = stream.read_to_string(&mut text).await;
        Received {
            text,
            end: end.map(|_| ()).map_err(|error| error.kind()),
        }
    }
}

async fn payments() -> Simulator {
    Simulator::start(simulators::PAYMENTS).await
}

impl Simulator {
    fn caller(&self) -> Caller<'_> {
        Caller { simulator: self }
    }
}

#[tokio::test]
async fn an_error_has_no_effect() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator
        .fail_next(json!({ "mode": "error", "status": 503 }))
        .await;
    let received = simulator.caller().authorize(order_id).await;
    assert_eq!(received.status(), 503);
    assert_eq!(received.json()["error"]["type"], "api_error");
    assert!(simulator.effects(order_id).await.is_empty());
    assert_eq!(simulator.caller().authorize(order_id).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_is_final_for_its_key() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fail_next(json!({ "mode": "refuse" })).await;
    for _ in 0..2 {
        let received = simulator.caller().authorize(order_id).await;
        assert_eq!(received.status(), 402);
        assert_eq!(received.json()["error"]["code"], "card_declined");
    }
    assert!(simulator.effects(order_id).await.is_empty());
}

#[tokio::test]
async fn a_rate_limit_says_when_to_retry() {
    let simulator = payments().await;
    simulator
        .fail_next(json!({ "mode": "rate_limited", "retry_after": 4 }))
        .await;
    let received = simulator.caller().authorize(OrderId::generate()).await;
    assert_eq!(received.status(), 429);
    assert_eq!(received.header("retry-after"), Some("4"));
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_effect() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    for (mode, effects) in [
        ("reset_before", &[][..]),
        ("reset_after", &["authorized"][..]),
    ] {
        simulator.fail_next(json!({ "mode": mode })).await;
        let received = simulator.caller().authorize(order_id).await;
        assert_eq!(received.text, "", "{mode}");
        assert_eq!(received.end, Err(ErrorKind::ConnectionReset), "{mode}");
        assert_eq!(simulator.effects(order_id).await, effects, "{mode}");
    }
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_without_a_reset() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fail_next(json!({ "mode": "lose_answer" })).await;
    let received = simulator.caller().authorize(order_id).await;
    assert_eq!(received.end, Ok(()));
    assert!(!received.text.contains("payment_intent"));
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_hang_ends_after_its_time_without_or_with_the_effect() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    for (mode, effects) in [("hang", &[][..]), ("hang_after", &["authorized"][..])] {
        simulator
            .fail_next(json!({ "mode": mode, "ms": 100 }))
            .await;
        let asked = Instant::now();
        let received = simulator.caller().authorize(order_id).await;
        assert!(asked.elapsed() >= Duration::from_millis(100), "{mode}");
        assert_eq!(received.status(), 504, "{mode}");
        assert_eq!(simulator.effects(order_id).await, effects, "{mode}");
    }
}

#[tokio::test]
async fn hanging_calls_do_not_block_others() {
    let simulator = payments().await;
    let hang = json!({ "mode": "hang", "operation": "/capture" });
    simulator.set_faults(hang).await;
    let caller = simulator.caller();
    let hanging = (0..50)
        .map(|_| caller.call_without_timeout("POST /v1/payment_intents/pi_1/capture", "", ""));
    let hanging = futures::future::join_all(hanging);
    let others = async {
        // Until the hanging calls have arrived.
        while simulator.get("/_calls").await["total"] != 50 {}
        caller.authorize(OrderId::generate()).await
    };
    tokio::select! {
        _ = hanging => panic!("a hanging call was answered"),
        received = others => assert_eq!(received.status(), 200),
    }
    assert_eq!(simulator.get("/_faults").await["struck"]["hang"], 50);
}

#[tokio::test]
async fn a_slow_call_is_answered_late() {
    let simulator = payments().await;
    let faults = json!({ "seed": 1, "faults": [
        { "mode": "slow", "ms": 100, "next": 1 },
        { "mode": "slow_recovery", "ms": 60_000, "over_ms": 1 },
    ]});
    simulator.set_faults(faults).await;
    let asked = Instant::now();
    let order_id = OrderId::generate();
    assert_eq!(simulator.caller().authorize(order_id).await.status(), 200);
    assert!(asked.elapsed() >= Duration::from_millis(100));
    let received = simulator.caller().authorize(order_id).await;
    assert_eq!(received.status(), 200);
    let struck = &simulator.get("/_faults").await["struck"];
    assert_eq!(*struck, json!({ "slow": 1, "slow_recovery": 1 }));
}

#[tokio::test]
async fn a_truncated_answer_looks_complete() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fail_next(json!({ "mode": "truncated" })).await;
    let received = simulator.caller().authorize(order_id).await;
    assert_eq!(received.status(), 200);
    assert!(received.has_announced_length());
    assert!(received.body().starts_with('{'));
    assert!(serde_json::from_str::<Value>(received.body()).is_err());
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_malformed_answer_or_a_page_is_not_json() {
    let simulator = payments().await;
    for (mode, content_type) in [
        ("malformed", "application/json"),
        ("wrong_content_type", "text/html; charset=utf-8"),
    ] {
        let order_id = OrderId::generate();
        simulator.fail_next(json!({ "mode": mode })).await;
        let received = simulator.caller().authorize(order_id).await;
        assert_eq!(received.status(), 200, "{mode}");
        assert_eq!(received.header("content-type"), Some(content_type));
        assert!(serde_json::from_str::<Value>(received.body()).is_err());
        assert_eq!(simulator.effects(order_id).await, ["authorized"], "{mode}");
    }
}

#[tokio::test]
async fn a_duplicate_is_processed_twice_with_one_effect() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fail_next(json!({ "mode": "duplicate" })).await;
    let received = simulator.caller().authorize(order_id).await;
    assert_eq!(received.header("idempotent-replayed"), Some("true"));
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_duplicate_does_not_strike_the_purchase_of_a_label() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    simulator.set_faults(json!({ "mode": "duplicate" })).await;
    let key = "API-Key: TEST_ours\r\n";
    simulator.caller().call("POST /v1/labels", "", key).await;
    assert_eq!(simulator.get("/_faults").await["struck"], json!({}));
    let received = simulator.caller().call("GET /v1/carriers", "", key).await;
    assert_eq!(received.status(), 200);
    assert_eq!(simulator.get("/_faults").await["struck"]["duplicate"], 1);
}

#[tokio::test]
async fn a_refusal_has_the_form_of_shipengine() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    simulator.fail_next(json!({ "mode": "refuse" })).await;
    let key = "API-Key: TEST_ours\r\n";
    let received = simulator.caller().call("GET /v1/carriers", "", key).await;
    assert_eq!(received.status(), 400);
    assert_eq!(received.json()["errors"][0]["error_type"], "validation");
}

#[tokio::test]
async fn a_forgotten_key_is_charged_again() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    caller.authorize(order_id).await;
    let old_keys = json!({ "mode": "forget_keys", "older_than_ms": 3_600_000 });
    simulator.fail_next(old_keys).await;
    caller.authorize(order_id).await;
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
    simulator
        .fail_next(json!({ "mode": "forget_keys", "older_than_ms": 0 }))
        .await;
    caller.authorize(order_id).await;
    assert_eq!(
        simulator.effects(order_id).await,
        ["authorized", "authorized"]
    );
}

#[tokio::test]
async fn a_key_is_kept_as_long_as_is_set() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    for (kept_ms, authorizations) in [(3_600_000, 1), (0, 2)] {
        let memory = json!({ "kept_ms": kept_ms });
        let set = simulator.control(Method::PUT, "/_keys", Some(memory)).await;
        assert_eq!(set.status(), 204);
        caller.authorize(order_id).await;
        assert_eq!(
            simulator.effects(order_id).await,
            vec!["authorized"; authorizations]
        );
    }
}

#[tokio::test]
async fn a_search_that_lags_does_not_find_new_payments() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    caller.authorize(order_id).await;
    let search = format!("GET /v1/payment_intents/search?query=metadata['order_id']:'{order_id}'");
    for (lag_ms, found) in [(3_600_000, 0), (0, 1)] {
        let lag = json!({ "mode": "search_lag", "ms": lag_ms });
        simulator.fail_next(lag).await;
        let received = caller.call(&search, "", "").await.json();
        assert_eq!(
            received["data"].as_array().unwrap().len(),
            found,
            "{received}"
        );
    }
}

#[tokio::test]
async fn a_fault_of_an_order_strikes_each_call_for_it() {
    let simulator = payments().await;
    let caller = simulator.caller();
    let [struck, spared] = [(); 2].map(|()| OrderId::generate());
    let mut payments = Vec::new();
    for order_id in [struck, spared] {
        let received = caller.authorize(order_id).await;
        payments.push(received.json()["id"].as_str().unwrap().to_owned());
    }
    let fault = json!({ "mode": "error", "status": 500, "order_id": struck });
    simulator.set_faults(fault).await;
    assert_eq!(caller.capture(&payments[0]).await.status(), 500);
    assert_eq!(caller.capture(&payments[1]).await.status(), 200);
    let calls = json!([{
        "provider": "payments",
        "mode": "error",
        "operation": format!("POST /v1/payment_intents/{}/capture", payments[0]),
        "order_id": struck,
        "calls": 1,
    }]);
    assert_eq!(simulator.get("/_faults/struck").await, calls);
    for (order_id, status) in [(struck, 500), (spared, 200)] {
        let search = format!(
            "GET /v1/payment_intents/search?query=metadata%5B%27order_id%27%5D%3A%27{order_id}%27"
        );
        assert_eq!(caller.call(&search, "", "").await.status(), status);
    }
}

#[tokio::test]
async fn the_rest_of_a_plan_is_shown() {
    let simulator = payments().await;
    let plan = json!({ "seed": 7, "faults": [
        { "mode": "error", "status": 500, "next": 2 },
        { "mode": "refuse", "next": 1, "probability": 0.0 },
    ]});
    simulator.set_faults(plan).await;
    simulator.caller().authorize(OrderId::generate()).await;
    let shown = simulator.get("/_faults").await;
    assert_eq!(shown["seed"], 7);
    let left: Vec<_> = [0, 1].map(|n| shown["faults"][n]["next"].clone()).into();
    assert_eq!(left, [1, 1]);
    assert_eq!(shown["struck"], json!({ "error": 1 }));

    simulator.control(Method::DELETE, "/_faults", None).await;
    assert_eq!(
        simulator.get("/_faults").await,
        json!({ "struck": { "error": 1 } })
    );
    simulator
        .control(Method::DELETE, "/_faults/struck", None)
        .await;
    assert_eq!(simulator.get("/_faults").await, json!({ "struck": {} }));
}

#[tokio::test]
async fn an_invalid_fault_is_refused_with_a_message() {
    let simulator = payments().await;
    let fault = json!({ "mode": "refuse", "probability": 2.0 });
    let answer = simulator
        .control(Method::PUT, "/_faults", Some(fault))
        .await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("between 0 and 1"));
}

#[tokio::test]
async fn calls_are_counted_by_operation() {
    let simulator = payments().await;
    let caller = simulator.caller();
    for id in ["pi_1", "pi_2"] {
        caller.capture(id).await;
    }
    caller.call("GET /v1/nothing", "", "").await;
    let calls = simulator.get("/_calls").await;
    assert_eq!(calls["total"], 3);
    let by_operation = json!({
        "POST /v1/payment_intents/{id}/capture": 2, "GET elsewhere": 1,
    });
    assert_eq!(calls["by_operation"], by_operation);
    assert_eq!(calls["most_at_once"], 1);
    let seconds = calls["by_second"].as_array().unwrap();
    let total: u64 = seconds.iter().map(|it| it[1].as_u64().unwrap()).sum();
    assert_eq!(total, 3);

    simulator.control(Method::DELETE, "/_calls", None).await;
    assert_eq!(simulator.get("/_calls").await["total"], 0);
}
