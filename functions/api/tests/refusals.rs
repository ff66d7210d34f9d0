//! Requests that the API refuses before it calls a store. All stores are unreachable here.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use std::{fmt::Write, time::Duration};

use access::Role;
use api::Host;
use axum::{
    Json, Router,
    http::{HeaderMap, Method, StatusCode},
    routing::post,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use settings::Secrets;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use self::common::{NOWHERE, SECRET, answer, api, aws, by, request, state};

fn assert_problem(found: &(StatusCode, HeaderMap, Value), status: u16, kind: &str) {
    let (found_status, headers, body) = found;
    assert_eq!(found_status.as_u16(), status, "{body}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let kind = format!("https://cauce.example/problems/{kind}");
    assert_eq!(body["type"], kind, "{body}");
    assert!(body["trace_id"].is_string());
}

fn by_administrator(event: Value) -> Value {
    by(Role::Administrator, event)
}

/// The signature header that Stripe sends with `body`.
fn stripe_signature(body: &str, signed_at: i64) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, format!("{signed_at}.{body}").as_bytes());
    let mut header = format!("t={signed_at},v1=");
    for byte in tag.as_ref() {
        write!(header, "{byte:02x}").unwrap();
    }
    header
}

fn captured() -> String {
    let object = json!({ "id": "pi_1", "metadata": {} });
    let event =
        json!({ "id": "evt_1", "type": "payment_intent.succeeded", "data": { "object": object } });
    event.to_string()
}

fn payment_event(body: &str, signed_at: i64) -> Value {
    let signature = stripe_signature(body, signed_at);
    let headers = [("stripe-signature", signature.as_str())];
    request(&Method::POST, "/v1/webhooks/payments", &headers, body)
}

#[tokio::test(start_paused = true)]
async fn every_documented_operation_exists() {
    let api = api(NOWHERE).await;
    // With the frontend's key: some routes are 404 for other callers.
    let frontend = [("cauce-frontend-key", "frontend")];
    for (path, item) in api::openapi().paths.paths {
        let path = path.replace(['{', '}'], "");
        let described = [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ];
        for (method, _) in described.into_iter().filter(|(_, described)| *described) {
            let asked = request(&method, &path, &frontend, "{}");
            let (status, _, body) = answer(api.clone(), asked).await;
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let body = body.to_string();
            assert!(!body.contains("no such address"), "{method} {path}: {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_the_providers_signature_is_forged() {
    for path in ["/v1/webhooks/payments", "/v1/webhooks/shipping"] {
        let unsigned = request(&Method::POST, path, &[], &captured());
        let found = answer(api(NOWHERE).await, unsigned).await;
        assert_problem(&found, 400, "webhook-forged");
    }
    let now = Timestamp::now().as_second();
    let signature = stripe_signature("another body", now);
    let headers = [("stripe-signature", signature.as_str())];
    let forged = request(
        &Method::POST,
        "/v1/webhooks/payments",
        &headers,
        &captured(),
    );
    let found = answer(api(NOWHERE).await, forged).await;
    assert_problem(&found, 400, "webhook-forged");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_signed_long_ago_is_stale() {
    let long_ago = Timestamp::now().as_second() - 3_600;
    let found = answer(api(NOWHERE).await, payment_event(&captured(), long_ago)).await;
    assert_problem(&found, 400, "webhook-stale");
}

#[tokio::test(start_paused = true)]
async fn a_signed_body_must_still_be_an_event() {
    let now = Timestamp::now().as_second();
    let found = answer(api(NOWHERE).await, payment_event("[]", now)).await;
    assert_problem(&found, 400, "webhook-unreadable");
    let long = "x".repeat(65 * 1024);
    let found = answer(api(NOWHERE).await, payment_event(&long, now)).await;
    assert_problem(&found, 413, "payload-too-large");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_queued_is_not_acknowledged() {
    let now = Timestamp::now().as_second();
    let found = answer(api(NOWHERE).await, payment_event(&captured(), now)).await;
    assert_problem(&found, 503, "unavailable");
    assert!(found.1.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn without_the_secret_a_payment_event_is_not_called_forged() {
    let mut state = state(NOWHERE).await;
    state.webhooks.payments_secret = Secrets::new(&aws().await).lazy("PATH").unwrap();
    let forged = request(&Method::POST, "/v1/webhooks/payments", &[], &captured());
    let found = answer(api::router(state, Host::Lambda), forged).await;
    assert_problem(&found, 503, "unavailable");
    assert!(found.1.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn without_the_keys_a_tracking_event_is_not_called_forged() {
    let headers = [
        ("x-shipengine-rsa-sha256-key-id", "k1"),
        ("x-shipengine-rsa-sha256-signature", "AAAA"),
        ("x-shipengine-timestamp", "2026-11-24T12:00:00Z"),
    ];
    let event = request(&Method::POST, "/v1/webhooks/shipping", &headers, "{}");
    let found = answer(api(NOWHERE).await, event).await;
    assert_problem(&found, 503, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_queued_event_is_acknowledged() {
    let (sent, mut messages) = mpsc::unbounded_channel();
    let queue = Router::new().fallback(post(move |body: String| async move {
        sent.send(body).unwrap();
        Json(json!({ "MessageId": "m-1", "MD5OfMessageBody": "" }))
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, queue).await });

    let now = Timestamp::now().as_second();
    let (status, _, body) = answer(api(&url).await, payment_event(&captured(), now)).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({ "received": true }))
    );
    let message: Value = serde_json::from_str(&messages.recv().await.unwrap()).unwrap();
    assert_eq!(message["QueueUrl"], format!("{url}/events"));
    let event: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(event["provider"], "payments");
    assert_eq!(event["event"]["id"], "evt_1");
}

#[tokio::test]
async fn an_audited_action_runs_to_its_end_after_its_caller_disconnects() {
    let (call, mut calls) = mpsc::unbounded_channel();
    let (disconnect, disconnected) = watch::channel(false);
    let queue = Router::new().fallback(post(move |headers: HeaderMap| {
        let target = headers["x-amz-target"].to_str().unwrap().to_owned();
        call.send(target).unwrap();
        let mut disconnected = disconnected.clone();
        async move {
            disconnected.wait_for(|it| *it).await.unwrap();
            Json(json!({}))
        }
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, queue).await });

    let path = "/v1/ops/dead-letters/redrive";
    let event = by_administrator(request(&Method::POST, path, &[], ""));
    let caller = tokio::spawn(answer(api(&url).await, event));
    assert_eq!(calls.recv().await.unwrap(), "AmazonSQS.ReceiveMessage");
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    disconnect.send(true).unwrap();
    let next = timeout(Duration::from_secs(10), calls.recv()).await;
    assert_eq!(next.unwrap().unwrap(), "AmazonSQS.GetQueueAttributes");
}

#[tokio::test(start_paused = true)]
async fn routes_of_staff_are_refused_without_a_token() {
    let id = "0190f3c0-0000-7000-8000-000000000002";
    for (method, path) in [
        (Method::GET, "/v1/ops/circuits".to_owned()),
        (Method::PUT, "/v1/ops/circuits/payments".to_owned()),
        (Method::GET, "/v1/ops/parked?provider=payments".to_owned()),
        (Method::POST, format!("/v1/ops/parked/{id}/release")),
        (Method::GET, "/v1/ops/attention".to_owned()),
        (Method::POST, format!("/v1/ops/attention/{id}/resolve")),
        (Method::GET, "/v1/ops/dead-letters".to_owned()),
        (Method::POST, "/v1/ops/dead-letters/redrive".to_owned()),
        (Method::POST, format!("/v1/orders/{id}/refunds")),
        (Method::GET, "/v1/products/TEA-0001/document".to_owned()),
        (Method::PUT, "/v1/products/TEA-0001".to_owned()),
        (Method::DELETE, "/v1/products/TEA-0001".to_owned()),
        (Method::GET, "/v1/products/export".to_owned()),
        (Method::POST, "/v1/products/import".to_owned()),
        (Method::GET, "/v1/stock/TEA-0001".to_owned()),
        (Method::GET, "/v1/stock/TEA-0001/adjustments".to_owned()),
        (Method::POST, "/v1/stock/TEA-0001/adjustments".to_owned()),
        (Method::POST, "/v1/users/search".to_owned()),
        (Method::GET, format!("/v1/users/{id}")),
        (Method::PUT, format!("/v1/users/{id}/roles")),
        (Method::POST, format!("/v1/users/{id}/disable")),
        (Method::POST, format!("/v1/users/{id}/enable")),
        (Method::POST, format!("/v1/users/{id}/sign-out")),
        (Method::POST, "/v1/audit/search".to_owned()),
    ] {
        let found = answer(api(NOWHERE).await, request(&method, &path, &[], "{}")).await;
        assert_problem(&found, 401, "unauthorized");
    }
}

#[tokio::test(start_paused = true)]
async fn forcing_a_circuit_needs_a_reason_and_a_known_state() {
    let json = [("content-type", "application/json")];
    let force = async |provider: &str, body: Value| {
        let path = format!("/v1/ops/circuits/{provider}");
        let request = request(&Method::PUT, &path, &json, &body.to_string());
        answer(api(NOWHERE).await, by_administrator(request)).await
    };
    for (body, field) in [
        (json!({ "force": "open" }), "reason"),
        (json!({ "force": "open", "reason": "no" }), "reason"),
        (
            json!({ "force": "open", "reason": "x".repeat(501) }),
            "reason",
        ),
        (json!({ "reason": "to see what happens" }), "force"),
        (
            json!({ "force": "ajar", "reason": "to see what happens" }),
            "force",
        ),
    ] {
        let found = force("payments", body).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field, "{}", found.2);
    }
    let body = json!({ "force": null, "reason": "to see what happens" });
    assert_problem(&force("weather", body.clone()).await, 404, "not-found");
    assert_problem(&force("payments", body).await, 503, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_product_must_name_a_version() {
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    for (method, headers) in [
        (Method::PUT, &headers[..1]),
        (Method::PUT, &headers[..]),
        (Method::DELETE, &headers[..1]),
    ] {
        let change = request(&method, "/v1/products/TEA-0001", headers, "{}");
        let found = answer(api(NOWHERE).await, by_administrator(change)).await;
        assert_problem(&found, 428, "precondition-required");
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_must_be_csv_with_an_id_and_not_too_large() {
    let import = "/v1/products/import?import=0190f3c0-0000-7000-8000-000000000003";
    let huge = "x".repeat(2 * 1024 * 1024 + 1);
    for (content_type, path, body, status, kind) in [
        (
            "application/json",
            import,
            "{}",
            415,
            "unsupported-media-type",
        ),
        ("text/csv", import, huge.as_str(), 413, "payload-too-large"),
        ("text/csv", "/v1/products/import", "", 422, "validation"),
        ("text/csv; charset=utf-8", import, "", 503, "unavailable"),
    ] {
        let file = request(&Method::POST, path, &[("content-type", content_type)], body);
        let found = answer(api(NOWHERE).await, by_administrator(file)).await;
        assert_problem(&found, status, kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guests_invalid_field_is_named() {
    let json = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    for (path, body, field) in [
        ("/v1/guest/orders", json!({ "email": "ana" }), "email"),
        ("/v1/guest/orders/find", json!({ "number": "C7" }), "number"),
        (
            "/v1/guest/orders/cancel",
            json!({ "number": "C7K3-F9Q2-MX", "email": "<b>@example.com" }),
            "email",
        ),
    ] {
        let request = request(&Method::POST, path, &json, &body.to_string());
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field, "{}", found.2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_parameter_of_the_parked_list_is_named() {
    for (query, field) in [
        ("?provider=weather", "provider"),
        ("?provider=payments&limit=0", "limit"),
        ("?provider=payments&colour=red", "colour"),
    ] {
        let path = format!("/v1/ops/parked{query}");
        let request = by_administrator(request(&Method::GET, &path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_parameter_of_a_list_is_named() {
    let long = format!("/v1/products?attr.size={}", "x".repeat(201));
    for (path, status, kind, field) in [
        ("/v1/products?q=%FF", 422, "validation", "q"),
        (&long, 422, "validation", "attr.size"),
        ("/v1/products?attr.=L", 422, "validation", "attr."),
        ("/v1/products?category=Tea", 422, "validation", "category"),
        ("/v1/products?cursor=x", 400, "invalid-cursor", "cursor"),
        ("/v1/products?limit=1&sku=TEA-1", 422, "validation", "limit"),
        ("/v1/products?sku=TEA-1&sku=tea", 422, "validation", "sku"),
        ("/v1/products/export?limit=1", 422, "validation", "limit"),
        (
            "/v1/products/export?category=",
            422,
            "validation",
            "category",
        ),
        ("/v1/orders?limit=many", 422, "validation", "limit"),
        ("/v1/orders?limit=1&limit=1", 422, "validation", "limit"),
        ("/v1/orders?cursor=", 400, "invalid-cursor", "cursor"),
        ("/v1/me/export?colour=red", 422, "validation", "colour"),
        ("/v1/refund-approvals?limit=101", 422, "validation", "limit"),
        (
            "/v1/ops/attention?cursor=x",
            400,
            "invalid-cursor",
            "cursor",
        ),
        ("/v1/stock/TEA-1/adjustments?q=x", 422, "validation", "q"),
    ] {
        let request = by_administrator(request(&Method::GET, path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, status, kind);
        assert_eq!(found.2["field"], field, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_filter_of_users_or_the_audit_log_is_named() {
    let (users, audit) = ("/v1/users/search", "/v1/audit/search");
    let search = async |path: &str, body: &Value| {
        let headers = [("content-type", "application/json")];
        let request = request(&Method::POST, path, &headers, &body.to_string());
        answer(api(NOWHERE).await, by_administrator(request)).await
    };
    let long = "x".repeat(501);
    for (path, field, value) in [
        (users, "email", json!("")),
        (users, "email", json!("ana lopez")),
        (users, "email", json!("a\" or b")),
        (users, "email", json!("a\\")),
        (users, "email", json!(long)),
        (users, "status", json!("asleep")),
        (users, "role", json!("king")),
        (users, "limit", json!(101)),
        (users, "colour", json!("red")),
        (audit, "actor", json!("")),
        (audit, "action", json!(long)),
        (audit, "target", json!("a\0")),
        (audit, "from", json!("yesterday")),
        (audit, "to", json!("-009999-01-02T00:00:00Z")),
        (audit, "limit", json!(0)),
        (audit, "colour", json!("red")),
    ] {
        let found = search(path, &json!({ field: value })).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field, "{}", found.2);
    }
    for (path, cursor) in [(users, "e30"), (audit, "x")] {
        let found = search(path, &json!({ "cursor": cursor })).await;
        assert_problem(&found, 400, "invalid-cursor");
    }
    for path in [users, audit] {
        assert_problem(&search(path, &json!({})).await, 503, "unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_user_needs_a_reason_and_known_roles() {
    let json = [("content-type", "application/json")];
    let change = async |method: Method, path: &str, body: &Value| {
        let request = request(&method, path, &json, &body.to_string());
        answer(api(NOWHERE).await, by_administrator(request)).await
    };
    let user = "/v1/users/0190f3c0-0000-7000-8000-000000000002";
    for (body, field) in [
        (json!({ "roles": ["support"] }), "reason"),
        (json!({ "roles": ["support"], "reason": "no" }), "reason"),
        (
            json!({ "roles": ["king"], "reason": "New here." }),
            "roles[0]",
        ),
        (
            json!({ "roles": "support", "reason": "New here." }),
            "roles",
        ),
        (json!({ "reason": "New here." }), "roles"),
        (
            json!({ "roles": [], "reason": "New here.", "groups": [] }),
            "groups",
        ),
    ] {
        let found = change(Method::PUT, &format!("{user}/roles"), &body).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field, "{}", found.2);
    }
    for what in ["disable", "enable", "sign-out"] {
        let found = change(Method::POST, &format!("{user}/{what}"), &json!({})).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], "reason", "{}", found.2);
        let why = json!({ "reason": "Was asked to." });
        let found = change(Method::POST, &format!("/v1/users/ana/{what}"), &why).await;
        assert_problem(&found, 404, "not-found");
        let found = change(Method::POST, &format!("{user}/{what}"), &why).await;
        assert_problem(&found, 503, "unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_bypasses_the_cdn_is_refused() {
    for key in [None, Some(""), Some("another key")] {
        let mut direct = request(&Method::GET, "/v1/products", &[], "");
        match key {
            Some(key) => direct["headers"]["cauce-origin-key"] = key.into(),
            None => direct["headers"] = json!({}),
        }
        let found = answer(api(NOWHERE).await, direct).await;
        assert_problem(&found, 403, "not-by-the-entrance");
    }
    let mut probe = request(&Method::GET, "/healthz", &[], "");
    probe["headers"] = json!({});
    let (status, ..) = answer(api(NOWHERE).await, probe).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}
