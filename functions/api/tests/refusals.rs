//! What the API refuses before it asks anything of the stores, which are away here.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{fmt::Write, time::Duration};

use api::{Shop, Webhooks};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::config::Credentials;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
    routing::post,
};
use circuits::Circuits;
use jiff::Timestamp;
use lambda_http::{
    aws_lambda_events::apigw::ApiGatewayV2httpRequestContext, request::RequestContext,
};
use providers::KeySet;
use serde_json::{Value, json};
use settings::{LazySecret, Secrets};
use store::{Database, DeadLetters, Executions, Parked, Queue, Users, catalogue::Catalogue, lazy};
use tokio::sync::mpsc;
use tower::ServiceExt;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";
const SECRET: &str = "whsec_test";
const ORIGIN_KEY: &str = "cdn";

/// All of AWS, which is away.
async fn aws() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(NOWHERE)
        .load()
        .await
}

/// What the API has, with its stores away and a queue at `queue`.
async fn shop(queue: &str) -> Shop {
    let aws = aws().await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let here = aws.to_builder().endpoint_url(queue).build();
    let sqs = lazy(&here, aws_sdk_sqs::Client::new);
    let http = providers::client().unwrap();
    let circuits = Circuits::new(dynamodb.clone(), "breaker", Duration::from_secs(5));
    Shop {
        database: Database::new("postgres://nobody@127.0.0.1:1/none", 1, &aws).unwrap(),
        catalogue: Catalogue::new(dynamodb.clone(), "catalogue"),
        executions: Executions::new(lazy(&aws, aws_sdk_sfn::Client::new), "order", "refund"),
        parked: Parked::new(dynamodb, "parked"),
        releases: Queue::new(sqs.clone(), format!("{queue}/releases")),
        circuits,
        webhooks: Webhooks {
            payments_secret: LazySecret::known(SECRET),
            shipping_keys: KeySet::new(http, format!("{NOWHERE}/jwks")),
            events: Queue::new(sqs.clone(), format!("{queue}/events")),
        },
        dead_letters: DeadLetters::new(sqs, format!("{queue}/dead"), format!("{queue}/events")),
        users: Users::new(
            lazy(&aws, aws_sdk_cognitoidentityprovider::Client::new),
            "us-east-1_none",
        ),
        refund_limit: orders::Cents::MAX,
        frontend_key: "frontend".to_owned(),
        origin_key: ORIGIN_KEY.to_owned(),
    }
}

async fn api(queue: &str) -> Router {
    api::router(shop(queue).await)
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("Cauce-Origin-Key", ORIGIN_KEY);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// The same, as API Gateway passes an operator's on.
fn by_operator(mut request: Request<Body>) -> Request<Body> {
    let context = json!({
        "timeEpoch": 0,
        "http": { "method": "PUT", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
            "userAgent": "test" },
        "authorizer": { "jwt": { "scopes": null, "claims": {
            "sub": "0190f3c0-0000-7000-8000-000000000001",
            "email": "operator@example.com",
        } } },
    });
    let context: ApiGatewayV2httpRequestContext = serde_json::from_value(context).unwrap();
    let context = RequestContext::ApiGatewayV2(context);
    request.extensions_mut().insert(context);
    request
}

async fn answer(api: Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let (parts, body) = api.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 64 * 1024).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    (parts.status, parts.headers, body)
}

fn assert_problem(found: &(StatusCode, HeaderMap, Value), status: u16, kind: &str) {
    let (found_status, headers, body) = found;
    assert_eq!(found_status.as_u16(), status, "{body}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let kind = format!("https://cauce.example/problems/{kind}");
    assert_eq!(body["type"], kind, "{body}");
    assert!(body["trace_id"].is_string());
}

/// The header that Stripe would send with `body`.
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

fn payment_event(body: &str, signed_at: i64) -> Request<Body> {
    let signature = stripe_signature(body, signed_at);
    let headers = [("stripe-signature", signature.as_str())];
    request(Method::POST, "/v1/webhooks/payments", &headers, body)
}

#[tokio::test]
async fn what_is_described_is_there() {
    let api = api(NOWHERE).await;
    for (path, item) in api::openapi().paths.paths {
        let path = path.replace(['{', '}'], "");
        let described = [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ];
        for (method, _) in described.into_iter().filter(|(_, described)| *described) {
            let asked = request(method.clone(), &path, &[], "{}");
            let response = api.clone().oneshot(asked).await.unwrap();
            assert_ne!(
                response.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap();
            let body = String::from_utf8_lossy(&body);
            assert!(!body.contains("no such address"), "{method} {path}: {body}");
        }
    }
}

#[tokio::test]
async fn an_event_that_nobody_signed_is_forged() {
    for path in ["/v1/webhooks/payments", "/v1/webhooks/shipping"] {
        let unsigned = request(Method::POST, path, &[], &captured());
        let found = answer(api(NOWHERE).await, unsigned).await;
        assert_problem(&found, 400, "webhook-forged");
    }
    let now = Timestamp::now().as_second();
    let signature = stripe_signature("another body", now);
    let headers = [("stripe-signature", signature.as_str())];
    let forged = request(Method::POST, "/v1/webhooks/payments", &headers, &captured());
    let found = answer(api(NOWHERE).await, forged).await;
    assert_problem(&found, 400, "webhook-forged");
}

#[tokio::test]
async fn an_event_that_was_signed_long_ago_is_stale() {
    let long_ago = Timestamp::now().as_second() - 3_600;
    let found = answer(api(NOWHERE).await, payment_event(&captured(), long_ago)).await;
    assert_problem(&found, 400, "webhook-stale");
}

#[tokio::test]
async fn what_the_provider_signs_must_still_be_an_event() {
    let now = Timestamp::now().as_second();
    let found = answer(api(NOWHERE).await, payment_event("[]", now)).await;
    assert_problem(&found, 400, "webhook-unreadable");
    let long = "x".repeat(65 * 1024);
    let found = answer(api(NOWHERE).await, payment_event(&long, now)).await;
    assert_problem(&found, 413, "payload-too-large");
}

#[tokio::test]
async fn an_event_that_cannot_be_handed_on_is_not_acknowledged() {
    let now = Timestamp::now().as_second();
    let found = answer(api(NOWHERE).await, payment_event(&captured(), now)).await;
    assert_problem(&found, 503, "unavailable");
    assert!(found.1.contains_key("retry-after"));
}

#[tokio::test]
async fn while_the_secret_cannot_be_had_a_payment_event_is_not_judged() {
    let mut shop = shop(NOWHERE).await;
    shop.webhooks.payments_secret = Secrets::new(&aws().await).lazy("PATH").unwrap();
    let forged = request(Method::POST, "/v1/webhooks/payments", &[], &captured());
    let found = answer(api::router(shop), forged).await;
    assert_problem(&found, 503, "unavailable");
    assert!(found.1.contains_key("retry-after"));
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_a_tracking_event_is_not_judged() {
    let headers = [
        ("x-shipengine-rsa-sha256-key-id", "k1"),
        ("x-shipengine-rsa-sha256-signature", "AAAA"),
        ("x-shipengine-timestamp", "2026-11-24T12:00:00Z"),
    ];
    let event = request(Method::POST, "/v1/webhooks/shipping", &headers, "{}");
    let found = answer(api(NOWHERE).await, event).await;
    assert_problem(&found, 503, "unavailable");
}

#[tokio::test]
async fn an_event_is_acknowledged_once_the_queue_has_it() {
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
async fn nothing_is_shown_or_done_for_nobody() {
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
        (Method::GET, "/v1/users".to_owned()),
        (Method::GET, format!("/v1/users/{id}")),
        (Method::PUT, format!("/v1/users/{id}/roles")),
        (Method::POST, format!("/v1/users/{id}/disable")),
        (Method::POST, format!("/v1/users/{id}/enable")),
        (Method::POST, format!("/v1/users/{id}/sign-out")),
        (Method::GET, "/v1/audit".to_owned()),
    ] {
        let found = answer(api(NOWHERE).await, request(method, &path, &[], "{}")).await;
        assert_problem(&found, 401, "unauthorized");
    }
}

#[tokio::test]
async fn a_person_gives_a_reason_for_what_they_force() {
    let json = [("content-type", "application/json")];
    let force = async |provider: &str, body: Value| {
        let path = format!("/v1/ops/circuits/{provider}");
        let request = request(Method::PUT, &path, &json, &body.to_string());
        answer(api(NOWHERE).await, by_operator(request)).await
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

#[tokio::test]
async fn a_change_of_a_product_says_which_version_it_is_meant_for() {
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    for (method, headers) in [
        (Method::PUT, &headers[..1]),
        (Method::PUT, &headers[..]),
        (Method::DELETE, &headers[..1]),
    ] {
        let change = request(method, "/v1/products/TEA-0001", headers, "{}");
        let found = answer(api(NOWHERE).await, by_operator(change)).await;
        assert_problem(&found, 428, "precondition-required");
    }
}

#[tokio::test]
async fn a_file_of_products_is_csv_of_a_named_import_and_not_too_large() {
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
        let file = request(Method::POST, path, &[("content-type", content_type)], body);
        let found = answer(api(NOWHERE).await, by_operator(file)).await;
        assert_problem(&found, status, kind);
    }
}

#[tokio::test]
async fn a_guest_is_told_what_is_wrong_by_its_field() {
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
        let request = request(Method::POST, path, &json, &body.to_string());
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field, "{}", found.2);
    }
}

#[tokio::test]
async fn a_page_of_what_is_parked_is_asked_for_in_known_words() {
    for (query, field) in [
        ("?provider=weather", "provider"),
        ("?provider=payments&limit=0", "limit"),
        ("?provider=payments&colour=red", "colour"),
    ] {
        let path = format!("/v1/ops/parked{query}");
        let request = by_operator(request(Method::GET, &path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field);
    }
}

#[tokio::test]
async fn users_and_the_audit_log_are_searched_for_in_known_words() {
    let long = "x".repeat(501);
    for (path, field) in [
        ("/v1/users?email=", "email"),
        ("/v1/users?email=ana%20lopez", "email"),
        ("/v1/users?email=a%22%20or%20b", "email"),
        ("/v1/users?email=a%5C", "email"),
        (&format!("/v1/users?email={long}"), "email"),
        ("/v1/users?status=asleep", "status"),
        ("/v1/users?role=king", "role"),
        ("/v1/users?limit=101", "limit"),
        ("/v1/users?colour=red", "colour"),
        ("/v1/audit?actor=", "actor"),
        (&format!("/v1/audit?action={long}"), "action"),
        ("/v1/audit?target=a%00", "target"),
        ("/v1/audit?from=yesterday", "from"),
        ("/v1/audit?to=-009999-01-02T00:00:00Z", "to"),
        ("/v1/audit?limit=0", "limit"),
        ("/v1/audit?colour=red", "colour"),
    ] {
        let request = by_operator(request(Method::GET, path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 422, "validation");
        assert_eq!(found.2["field"], field);
    }
    for path in ["/v1/users?cursor=e30", "/v1/audit?cursor=x"] {
        let request = by_operator(request(Method::GET, path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 400, "invalid-cursor");
    }
    for path in ["/v1/users", "/v1/audit"] {
        let request = by_operator(request(Method::GET, path, &[], ""));
        let found = answer(api(NOWHERE).await, request).await;
        assert_problem(&found, 503, "unavailable");
    }
}

#[tokio::test]
async fn an_administrator_gives_a_reason_and_names_roles_that_there_are() {
    let json = [("content-type", "application/json")];
    let change = async |method: Method, path: &str, body: &Value| {
        let request = request(method, path, &json, &body.to_string());
        answer(api(NOWHERE).await, by_operator(request)).await
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

#[tokio::test]
async fn whoever_comes_past_the_cdn_is_turned_away() {
    for key in [None, Some(""), Some("another key")] {
        let mut past = request(Method::GET, "/v1/products", &[], "");
        past.headers_mut().remove("Cauce-Origin-Key");
        if let Some(key) = key {
            let key = key.parse().unwrap();
            past.headers_mut().insert("Cauce-Origin-Key", key);
        }
        let found = answer(api(NOWHERE).await, past).await;
        assert_problem(&found, 403, "not-by-the-entrance");
    }
    let mut probe = request(Method::GET, "/healthz", &[], "");
    probe.headers_mut().clear();
    let response = api(NOWHERE).await.oneshot(probe).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}
