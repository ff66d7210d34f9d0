//! The functions' programs in containers, over plain HTTP instead of Lambda and API Gateway.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Container, OrderRequest, Response, Stack, eventually, new_key, shipped};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};

#[tokio::test]
async fn the_api_in_a_container_accepts_orders() {
    let stack = Stack::find();
    let api = Container::api(&stack).await;
    stack.database().await.restock("BOOKS-0170", 10).await;
    let shopper = stack.new_shopper().await.at(&api.url);

    let order = shopper
        .place_order(&OrderRequest::of("BOOKS-0170", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    // Requests that bypass the CDN are rejected here too.
    let bypassing = reqwest::Client::new().get(format!("{}/v1/products", api.url));
    let problem: Value = Response::of(bypassing).await.with_status(403).json();
    assert_eq!(
        problem["type"],
        "https://cauce.example/problems/not-by-the-entrance"
    );
    api.stop().await;
}

#[tokio::test]
async fn an_action_is_completed_and_audited_even_if_its_caller_disconnects() {
    let stack = Stack::find();
    let api = Container::api(&stack).await;
    let (database, other) = (stack.database().await, stack.database().await);
    let (sku, reason) = ("BOOKS-0168", "A caller hangs up.");
    database.restock(sku, 10).await;
    let staff = stack.staff("catalogue-manager").await.at(&api.url);

    // The stock's row is locked for less time than the API waits for it.
    let lock = format!("begin; select from stock where sku = '{sku}' for update");
    other.execute(&lock).await;
    let request = staff
        .request(Method::POST, &format!("/v1/stock/{sku}/adjustments"))
        .header("Idempotency-Key", new_key())
        .json(&json!({ "delta": 5, "reason": reason }));
    let response = timeout(Duration::from_millis(700), Response::of(request)).await;
    assert!(response.is_err(), "{response:?}");
    sleep(Duration::from_millis(300)).await;
    other.execute("rollback").await;

    eventually("audited", async || {
        let rows = database.audit_of(sku).await;
        let mut rows = rows.iter().filter(|row| row["reason"] == reason);
        let row = rows.next().ok_or("there is no row")?;
        (row["outcome"] == "done")
            .then_some(())
            .ok_or_else(|| row.to_string())
    })
    .await;
    assert_eq!(database.stock_of(sku).await, 15);
    api.stop().await;
}

#[tokio::test]
async fn a_container_reports_its_health() {
    let stack = Stack::find();
    for (program, ready) in [("api", 200), ("retry", 204), ("breaker-probe", 204)] {
        let container = match program {
            "api" => Container::api(&stack).await,
            worker => Container::start(&stack, worker, &[]).await,
        };
        let http = reqwest::Client::new();
        let get = |path| http.get(format!("{}{path}", container.url));
        Response::of(get("/healthz")).await.with_status(204);
        Response::of(get("/readyz")).await.with_status(ready);
        container.stop().await;
    }
}

#[tokio::test]
async fn a_worker_in_a_container_is_invoked_like_a_lambda() {
    let stack = Stack::find();
    let worker = Container::start(&stack, "retry", &[]).await;
    stack.database().await.restock("BOOKS-0169", 10).await;
    let shopper = stack.new_shopper().await;
    let order = shopper
        .place_order(&OrderRequest::of("BOOKS-0169", 1))
        .await;

    let invoke = async |event: Value| {
        let path = "/2015-03-31/functions/retry/invocations";
        let request = stack
            .http
            .request(Method::POST, format!("{}{path}", worker.url));
        Response::of(request.json(&event)).await
    };
    // The order's own execution runs the step too. It takes effect once.
    let step = json!({ "order_id": order.id, "step": "authorize_payment" });
    let outcome: Value = invoke(step).await.with_status(200).json();
    assert_eq!(outcome["outcome"], "done", "{outcome}");
    invoke(json!({ "sweep": {} })).await.with_status(200);
    invoke(json!({ "dance": {} })).await.with_status(400);

    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    worker.stop().await;
}

#[tokio::test]
async fn a_call_to_a_provider_is_part_of_the_trace() {
    let stack = Stack::find();
    let xray = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let daemon = xray.local_addr().unwrap().to_string();
    let worker = Container::start(&stack, "retry", &[("AWS_XRAY_DAEMON_ADDRESS", &daemon)]).await;

    // A sweep lists the records of the providers.
    let invoked = stack
        .http
        .post(format!(
            "{}/2015-03-31/functions/retry/invocations",
            worker.url
        ))
        .header(
            "X-Amzn-Trace-Id",
            "Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1",
        )
        .json(&json!({ "sweep": {} }));
    Response::of(invoked).await.with_status(200);

    let mut datagram = [0; 4_096];
    let length = timeout(Duration::from_secs(10), xray.recv(&mut datagram)).await;
    let length = length.expect("X-Ray should receive a segment").unwrap();
    let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
    let (preamble, segment) = text.split_once('\n').unwrap();
    assert_eq!(preamble, r#"{"format":"json","version":1}"#);
    let segment: Value = serde_json::from_str(segment).unwrap();
    assert_eq!(segment["trace_id"], "1-581cf771-a006649127e371903a2de979");
    assert_eq!(segment["parent_id"], "53995c3f42cd8ad8");
    assert_eq!(segment["http"]["response"]["status"], 200, "{segment}");
    worker.stop().await;
}
