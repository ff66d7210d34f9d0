//! Each fault as it looks on the wire.

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

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came back by a connection before it ended.
#[derive(Debug)]
struct Heard {
    text: String,
    end: Result<(), ErrorKind>,
}

impl Heard {
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

    fn is_whole(&self) -> bool {
        self.header("content-length").unwrap() == self.body().len().to_string()
    }
}

struct Caller<'a> {
    simulator: &'a Simulator,
}

impl Caller<'_> {
    /// Authorises a payment for an order, under a key of that order.
    async fn authorizes(&self, order_id: OrderId) -> Heard {
        let form = format!(
            "amount=1299&currency=eur&payment_method=pm_card_visa&payment_method_types[]=card\
             &capture_method=manual&confirm=true&metadata[order_id]={order_id}"
        );
        let key = format!("Idempotency-Key: {order_id}\r\n");
        self.calls("POST /v1/payment_intents", &form, &key).await
    }

    async fn captures(&self, payment_id: &str) -> Heard {
        let call = format!("POST /v1/payment_intents/{payment_id}/capture");
        self.calls(&call, "", "").await
    }

    async fn calls(&self, operation: &str, form: &str, headers: &str) -> Heard {
        timeout(PATIENCE, self.hears(operation, form, headers))
            .await
            .unwrap()
    }

    async fn hears(&self, operation: &str, form: &str, headers: &str) -> Heard {
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
        Heard {
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
async fn an_error_does_nothing() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator
        .fails_next(json!({ "mode": "error", "status": 503 }))
        .await;
    let heard = simulator.caller().authorizes(order_id).await;
    assert_eq!(heard.status(), 503);
    assert_eq!(heard.json()["error"]["type"], "api_error");
    assert!(simulator.effects(order_id).await.is_empty());
    assert_eq!(simulator.caller().authorizes(order_id).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_is_final_for_its_key() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fails_next(json!({ "mode": "refuse" })).await;
    for _ in 0..2 {
        let heard = simulator.caller().authorizes(order_id).await;
        assert_eq!(heard.status(), 402);
        assert_eq!(heard.json()["error"]["code"], "card_declined");
    }
    assert!(simulator.effects(order_id).await.is_empty());
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_back() {
    let simulator = payments().await;
    simulator
        .fails_next(json!({ "mode": "rate_limited", "retry_after": 4 }))
        .await;
    let heard = simulator.caller().authorizes(OrderId::generate()).await;
    assert_eq!(heard.status(), 429);
    assert_eq!(heard.header("retry-after"), Some("4"));
}

#[tokio::test]
async fn a_reset_before_does_nothing_and_one_after_has_done_all() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    for (mode, effects) in [
        ("reset_before", &[][..]),
        ("reset_after", &["authorized"][..]),
    ] {
        simulator.fails_next(json!({ "mode": mode })).await;
        let heard = simulator.caller().authorizes(order_id).await;
        assert_eq!(heard.text, "", "{mode}");
        assert_eq!(heard.end, Err(ErrorKind::ConnectionReset), "{mode}");
        assert_eq!(simulator.effects(order_id).await, effects, "{mode}");
    }
}

#[tokio::test]
async fn a_lost_answer_ends_in_good_order() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fails_next(json!({ "mode": "lose_answer" })).await;
    let heard = simulator.caller().authorizes(order_id).await;
    assert_eq!(heard.end, Ok(()));
    assert!(!heard.text.contains("payment_intent"));
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_hang_ends_after_its_time_with_nothing_or_all_done() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    for (mode, effects) in [("hang", &[][..]), ("hang_after", &["authorized"][..])] {
        simulator
            .fails_next(json!({ "mode": mode, "ms": 100 }))
            .await;
        let asked = Instant::now();
        let heard = simulator.caller().authorizes(order_id).await;
        assert!(asked.elapsed() >= Duration::from_millis(100), "{mode}");
        assert_eq!(heard.status(), 504, "{mode}");
        assert_eq!(simulator.effects(order_id).await, effects, "{mode}");
    }
}

#[tokio::test]
async fn hanging_calls_hold_up_nobody() {
    let simulator = payments().await;
    let hang = json!({ "mode": "hang", "operation": "/capture" });
    simulator.suffers(hang).await;
    let caller = simulator.caller();
    let hanging = (0..50).map(|_| caller.hears("POST /v1/payment_intents/pi_1/capture", "", ""));
    let hanging = futures::future::join_all(hanging);
    let others = async {
        // The hanging ones are there by then.
        while simulator.shows("/_calls").await["total"] != 50 {}
        caller.authorizes(OrderId::generate()).await
    };
    tokio::select! {
        _ = hanging => panic!("a hanging call was answered"),
        heard = others => assert_eq!(heard.status(), 200),
    }
    assert_eq!(simulator.shows("/_faults").await["struck"]["hang"], 50);
}

#[tokio::test]
async fn a_slow_call_is_answered_late() {
    let simulator = payments().await;
    let faults = json!({ "seed": 1, "faults": [
        { "mode": "slow", "ms": 100, "next": 1 },
        { "mode": "slow_recovery", "ms": 60_000, "over_ms": 1 },
    ]});
    simulator.suffers(faults).await;
    let asked = Instant::now();
    let order_id = OrderId::generate();
    assert_eq!(simulator.caller().authorizes(order_id).await.status(), 200);
    assert!(asked.elapsed() >= Duration::from_millis(100));
    let heard = simulator.caller().authorizes(order_id).await;
    assert_eq!(heard.status(), 200);
    let struck = &simulator.shows("/_faults").await["struck"];
    assert_eq!(*struck, json!({ "slow": 1, "slow_recovery": 1 }));
}

#[tokio::test]
async fn half_an_answer_says_that_it_is_whole() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fails_next(json!({ "mode": "truncated" })).await;
    let heard = simulator.caller().authorizes(order_id).await;
    assert_eq!(heard.status(), 200);
    assert!(heard.is_whole());
    assert!(heard.body().starts_with('{'));
    assert!(serde_json::from_str::<Value>(heard.body()).is_err());
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn an_answer_is_no_json_or_says_so() {
    let simulator = payments().await;
    for (mode, content_type) in [
        ("malformed", "application/json"),
        ("wrong_content_type", "text/html; charset=utf-8"),
    ] {
        let order_id = OrderId::generate();
        simulator.fails_next(json!({ "mode": mode })).await;
        let heard = simulator.caller().authorizes(order_id).await;
        assert_eq!(heard.status(), 200, "{mode}");
        assert_eq!(heard.header("content-type"), Some(content_type));
        assert!(serde_json::from_str::<Value>(heard.body()).is_err());
        assert_eq!(simulator.effects(order_id).await, ["authorized"], "{mode}");
    }
}

#[tokio::test]
async fn a_duplicate_is_handled_twice_and_done_once() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    simulator.fails_next(json!({ "mode": "duplicate" })).await;
    let heard = simulator.caller().authorizes(order_id).await;
    assert_eq!(heard.header("idempotent-replayed"), Some("true"));
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_label_is_never_asked_for_twice_by_a_duplicate() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    simulator.suffers(json!({ "mode": "duplicate" })).await;
    let key = "API-Key: TEST_ours\r\n";
    simulator.caller().calls("POST /v1/labels", "", key).await;
    assert_eq!(simulator.shows("/_faults").await["struck"], json!({}));
    let heard = simulator.caller().calls("GET /v1/carriers", "", key).await;
    assert_eq!(heard.status(), 200);
    assert_eq!(simulator.shows("/_faults").await["struck"]["duplicate"], 1);
}

#[tokio::test]
async fn a_carrier_refuses_in_its_own_words() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    simulator.fails_next(json!({ "mode": "refuse" })).await;
    let key = "API-Key: TEST_ours\r\n";
    let heard = simulator.caller().calls("GET /v1/carriers", "", key).await;
    assert_eq!(heard.status(), 400);
    assert_eq!(heard.json()["errors"][0]["error_type"], "validation");
}

#[tokio::test]
async fn a_forgotten_key_is_charged_again() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    caller.authorizes(order_id).await;
    let young = json!({ "mode": "forget_keys", "older_than_ms": 3_600_000 });
    simulator.fails_next(young).await;
    caller.authorizes(order_id).await;
    assert_eq!(simulator.effects(order_id).await, ["authorized"]);
    simulator
        .fails_next(json!({ "mode": "forget_keys", "older_than_ms": 0 }))
        .await;
    caller.authorizes(order_id).await;
    assert_eq!(
        simulator.effects(order_id).await,
        ["authorized", "authorized"]
    );
}

#[tokio::test]
async fn a_key_is_kept_as_long_as_it_is_told() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    for (kept_ms, holds) in [(3_600_000, 1), (0, 2)] {
        let memory = json!({ "kept_ms": kept_ms });
        let set = simulator.control(Method::PUT, "/_keys", Some(memory)).await;
        assert_eq!(set.status(), 204);
        caller.authorizes(order_id).await;
        assert_eq!(simulator.effects(order_id).await, vec!["authorized"; holds]);
    }
}

#[tokio::test]
async fn a_search_that_lags_does_not_find_what_is_young() {
    let simulator = payments().await;
    let order_id = OrderId::generate();
    let caller = simulator.caller();
    caller.authorizes(order_id).await;
    let search = format!("GET /v1/payment_intents/search?query=metadata['order_id']:'{order_id}'");
    for (lag_ms, found) in [(3_600_000, 0), (0, 1)] {
        let lag = json!({ "mode": "search_lag", "ms": lag_ms });
        simulator.fails_next(lag).await;
        let heard = caller.calls(&search, "", "").await.json();
        assert_eq!(heard["data"].as_array().unwrap().len(), found, "{heard}");
    }
}

#[tokio::test]
async fn a_fault_follows_its_order_through_every_call() {
    let simulator = payments().await;
    let caller = simulator.caller();
    let [struck, spared] = [(); 2].map(|()| OrderId::generate());
    let mut payments = Vec::new();
    for order_id in [struck, spared] {
        let heard = caller.authorizes(order_id).await;
        payments.push(heard.json()["id"].as_str().unwrap().to_owned());
    }
    let fault = json!({ "mode": "error", "status": 500, "order_id": struck });
    simulator.suffers(fault).await;
    assert_eq!(caller.captures(&payments[0]).await.status(), 500);
    assert_eq!(caller.captures(&payments[1]).await.status(), 200);
    let calls = json!([{
        "provider": "payments",
        "mode": "error",
        "operation": format!("POST /v1/payment_intents/{}/capture", payments[0]),
        "order_id": struck,
        "calls": 1,
    }]);
    assert_eq!(simulator.shows("/_faults/struck").await, calls);
    for (order_id, status) in [(struck, 500), (spared, 200)] {
        let search = format!(
            "GET /v1/payment_intents/search?query=metadata%5B%27order_id%27%5D%3A%27{order_id}%27"
        );
        assert_eq!(caller.calls(&search, "", "").await.status(), status);
    }
}

#[tokio::test]
async fn a_plan_is_shown_as_it_is_used_up() {
    let simulator = payments().await;
    let plan = json!({ "seed": 7, "faults": [
        { "mode": "error", "status": 500, "next": 2 },
        { "mode": "refuse", "next": 1, "probability": 0.0 },
    ]});
    simulator.suffers(plan).await;
    simulator.caller().authorizes(OrderId::generate()).await;
    let shown = simulator.shows("/_faults").await;
    assert_eq!(shown["seed"], 7);
    let left: Vec<_> = [0, 1].map(|n| shown["faults"][n]["next"].clone()).into();
    assert_eq!(left, [1, 1]);
    assert_eq!(shown["struck"], json!({ "error": 1 }));

    simulator.control(Method::DELETE, "/_faults", None).await;
    assert_eq!(
        simulator.shows("/_faults").await,
        json!({ "struck": { "error": 1 } })
    );
    simulator
        .control(Method::DELETE, "/_faults/struck", None)
        .await;
    assert_eq!(simulator.shows("/_faults").await, json!({ "struck": {} }));
}

#[tokio::test]
async fn a_fault_that_cannot_be_done_is_refused_in_words() {
    let simulator = payments().await;
    let fault = json!({ "mode": "refuse", "probability": 2.0 });
    let answer = simulator
        .control(Method::PUT, "/_faults", Some(fault))
        .await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("between 0 and 1"));
}

#[tokio::test]
async fn calls_are_counted_by_what_they_are_for() {
    let simulator = payments().await;
    let caller = simulator.caller();
    for id in ["pi_1", "pi_2"] {
        caller.captures(id).await;
    }
    caller.calls("GET /v1/nothing", "", "").await;
    let calls = simulator.shows("/_calls").await;
    assert_eq!(calls["total"], 3);
    let by_operation = json!({
        "POST /v1/payment_intents/{id}/capture": 2, "GET elsewhere": 1,
    });
    assert_eq!(calls["by_operation"], by_operation);
    assert_eq!(calls["most_at_once"], 1);
    let seconds = calls["by_second"].as_array().unwrap();
    let in_all: u64 = seconds.iter().map(|it| it[1].as_u64().unwrap()).sum();
    assert_eq!(in_all, 3);

    simulator.control(Method::DELETE, "/_calls", None).await;
    assert_eq!(simulator.shows("/_calls").await["total"], 0);
}
