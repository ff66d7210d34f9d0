//! An API whose stores are unreachable: every response comes from the code in front of them.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::time::Duration;

use access::{Role, scopes_of};
use api::{AppState, GatewayEvent, Host, RefundRules, Webhooks};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::config::Credentials;
use axum::{
    Router,
    http::{HeaderMap, Method, StatusCode},
};
use circuits::Circuits;
use lambda_http::{Body, Context, LambdaEvent};
use orders::Cents;
use providers::KeySet;
use serde_json::{Value, json};
use settings::LazySecret;
use store::{
    Database, DeadLetters, Executions, Parked, Queue, UnpaidLimits, Users, catalogue::Catalogue,
    lazy,
};

/// An address at which nothing listens.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";
pub(crate) const SECRET: &str = "whsec_test";
pub(crate) const ORIGIN_KEY: &str = "cdn";

/// AWS, with every service unreachable.
pub(crate) async fn aws() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(NOWHERE)
        .load()
        .await
}

/// The API's state with unreachable stores, and its queues at `queue`.
pub(crate) async fn state(queue: &str) -> AppState {
    let aws = aws().await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let queues = aws.to_builder().endpoint_url(queue).build();
    let sqs = lazy(&queues, aws_sdk_sqs::Client::new);
    let http = providers::client().unwrap();
    let circuits = Circuits::new(dynamodb.clone(), "breaker", Duration::from_secs(5));
    AppState {
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
        max_unpaid: UnpaidLimits { units: 1, cents: 1 },
        refund_rules: RefundRules {
            per_order: Cents::MAX,
            per_day: Cents::MAX,
            approval_above: None,
        },
        frontend_key: "frontend".to_owned(),
        origin_key: ORIGIN_KEY.to_owned(),
    }
}

pub(crate) async fn api(queue: &str) -> Router {
    api::router(state(queue).await, Host::Lambda)
}

/// API Gateway's event for a request through the CDN.
pub(crate) fn request(method: &Method, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut event = json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": { "cauce-origin-key": ORIGIN_KEY },
        "body": body,
        "isBase64Encoded": false,
        "requestContext": { "http": { "method": method.as_str(), "sourceIp": "192.0.2.1" } },
    });
    for (name, value) in headers {
        event["headers"][*name] = (*value).into();
    }
    event
}

/// Adds the claims of a user with the role, as API Gateway does after verifying a token.
pub(crate) fn by(role: Role, mut event: Value) -> Value {
    let scopes: Vec<&str> = scopes_of([role]).iter().map(|scope| scope.name()).collect();
    event["requestContext"]["authorizer"]["jwt"] = json!({ "scopes": null, "claims": {
        "sub": "0190f3c0-0000-7000-8000-000000000001",
        "token_use": "access",
        "email": "someone@example.com",
        "scope": scopes.join(" "),
    } });
    event
}

/// The response to an event. A body that is not JSON is returned as a string.
pub(crate) async fn answer(api: Router, event: Value) -> (StatusCode, HeaderMap, Value) {
    let event: GatewayEvent = serde_json::from_value(event).unwrap();
    let answer = api::answer(api, LambdaEvent::new(event, Context::default())).await;
    let status = u16::try_from(answer.status_code).unwrap();
    let body = match answer.body {
        Some(Body::Text(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(Body::Binary(bytes)) => Value::String(format!("{} bytes", bytes.len())),
        _ => Value::Null,
    };
    (StatusCode::from_u16(status).unwrap(), answer.headers, body)
}
