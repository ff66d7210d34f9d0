//! Every event of API Gateway gets a response: none makes the function panic, and no spelling of a
//! path bypasses the scopes.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;
#[expect(unreachable_pub, reason = "another crate uses the module, too")]
#[path = "../../../tests/src/spelling.rs"]
mod spelling;

use std::env;

use access::Role;
use api::{Access, GatewayRoute};
use axum::http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tokio::runtime::{Builder, Runtime};

use self::{
    common::{NOWHERE, answer, api, by, request},
    spelling::{filled, spellings_of},
};

#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_path_bypasses_the_scopes() {
    let api = api(NOWHERE).await;
    let mut wrong = Vec::new();
    for GatewayRoute { key, access, .. } in api::gateway_routes() {
        let (method, path) = key.split_once(' ').unwrap();
        let (method, path): (Method, _) = (method.parse().unwrap(), filled(path));
        let Access::Token(scope) = access else {
            continue;
        };
        let lesser = Role::iter().filter(|role| !access::scopes_of([*role]).contains(&scope));
        for role in lesser {
            for spelling in spellings_of(&path).iter().filter(|it| **it != path) {
                let event = by(role, request(&method, spelling, &[], "{}"));
                let (status, _, body) = answer(api.clone(), event).await;
                if status != StatusCode::BAD_REQUEST {
                    wrong.push(format!("{role:?} {method} {spelling:?}: {status} {body}"));
                }
            }
            let event = by(role, request(&method, &path, &[], "{}"));
            let (status, ..) = answer(api.clone(), event).await;
            if status != StatusCode::FORBIDDEN {
                wrong.push(format!("{role:?} {key}: {status}"));
            }
        }
        let (status, ..) = answer(api.clone(), request(&method, &path, &[], "{}")).await;
        if status != StatusCode::UNAUTHORIZED {
            wrong.push(format!("without a token, {key}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn api_gateway_must_have_chosen_the_same_route() {
    let api = api(NOWHERE).await;
    let id = "0190f3c0-0000-7000-8000-000000000002";
    let refunds = format!("/v1/orders/{id}/refunds");
    for (path, key, status) in [
        (refunds.as_str(), "POST /v1/orders/{id}/cancel", 400),
        (refunds.as_str(), "$default", 400),
        (refunds.as_str(), "POST /v1/orders/{id}/refunds", 415),
        ("/v1/guest/orders/find", "$default", 415),
        ("/v1/guest/orders/find", "POST /v1/guest/orders", 400),
    ] {
        let headers = [("idempotency-key", "k")];
        let mut event = by(
            Role::Administrator,
            request(&Method::POST, path, &headers, "{}"),
        );
        event["requestContext"]["routeKey"] = key.into();
        let (found, _, body) = answer(api.clone(), event).await;
        assert_eq!(found.as_u16(), status, "{key} for {path}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_lambda_http_panic_get_a_response() {
    let api = api(NOWHERE).await;
    for (query, headers, base64, status) in [
        ("q=<x>", json!({}), false, 503),
        ("q=\"x\"", json!({}), false, 503),
        ("q=%zz%", json!({}), false, 503),
        ("", json!({ "x-forwarded-proto": "http,https" }), false, 503),
        ("", json!({ "host": "a b" }), false, 503),
        ("", json!({ "x-note": "\u{e9}" }), false, 503),
        ("", json!({ "x-note": "a\nb" }), false, 400),
        ("", json!({ "x note": "a" }), false, 400),
        ("", json!({}), true, 400),
    ] {
        let mut event = request(&Method::GET, "/v1/categories", &[], "not base64!");
        event["rawQueryString"] = query.into();
        event["isBase64Encoded"] = base64.into();
        let all = event["headers"].as_object_mut().unwrap();
        all.extend(headers.as_object().unwrap().clone());
        let (found, _, body) = answer(api.clone(), event).await;
        assert_eq!(found.as_u16(), status, "{query} {headers}: {body}");
    }
}

/// The number of events without `PROPTEST_CASES`. In a debug build, each takes ten times as long.
const CASES: u32 = if cfg!(debug_assertions) {
    10_000
} else {
    100_000
};

fn problem(kind: &str) -> String {
    format!("https://cauce.example/problems/{kind}")
}

/// A path of the API, or nearly one.
fn any_path() -> impl Strategy<Value = String> {
    let known: Vec<String> = api::gateway_routes()
        .map(|route| filled(route.key.split_once(' ').unwrap().1))
        .collect();
    let known = prop::sample::select(known);
    let tail = "[ -~]{0,12}|\\PC{0,6}";
    prop_oneof![
        4 => known.clone(),
        2 => (known, tail).prop_map(|(path, tail)| path + &tail),
        1 => ".{0,40}",
    ]
}

fn any_header() -> impl Strategy<Value = (String, String)> {
    let names = [
        "accept-language",
        "authorization",
        "consistency-token",
        "content-type",
        "host",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "traceparent",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "cauce-viewer-address",
        "cauce-client-address",
        "stripe-signature",
        "content-length",
    ];
    let values = [
        "application/json",
        "text/csv",
        "Bearer x",
        "*",
        "\"1\"",
        "W/\"",
        "es,en;q=0.1",
        "0/0",
        "00-0-0-0",
        "Root=1",
    ];
    let name = prop_oneof![4 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"];
    let value = prop_oneof![
        prop::sample::select(values.to_vec()).prop_map(str::to_owned),
        ".{0,40}"
    ];
    (name, value)
}

fn any_body() -> impl Strategy<Value = String> {
    let bodies = [
        r#"{"lines":[{"sku":"TEA-0001","quantity":1}],"currency":"EUR"}"#,
        r#"{"email":"a@b.example","number":"C7K3-F9Q2-MX"}"#,
        r#"{"amount_cents":-9223372036854775808,"currency":"EUR","reason":"because"}"#,
        r#"{"roles":["support"],"reason":"because"}"#,
        r#"{"force":"open","reason":"because"}"#,
        r#"{"delta":9223372036854775807,"reason":"because"}"#,
        "[1e999]",
        "sku,title_en\n\"TEA",
    ];
    prop_oneof![
        2 => prop::sample::select(bodies.to_vec()).prop_map(str::to_owned),
        1 => ".{0,200}",
        1 => Just("[".repeat(5_000)),
    ]
}

fn any_query() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "q",
        "limit",
        "cursor",
        "email",
        "order",
        "category",
        "sort",
        "attr.size",
        "attr.",
        "min_cents",
        "sku",
        "import",
        "from",
        "to",
        "provider",
        "status",
        "first_line",
        "dry_run",
    ]);
    let pair = (names, ".{0,24}").prop_map(|(name, value)| format!("{name}={value}"));
    prop_oneof![
        prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&")),
        ".{0,60}",
    ]
}

fn any_event() -> impl Strategy<Value = Value> {
    let method = prop_oneof![
        8 => prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "HEAD"]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let headers = prop::collection::vec(any_header(), 0..5);
    let caller = prop::option::of(prop::sample::select(Role::iter().collect::<Vec<_>>()));
    let whole = (
        any_path(),
        any_query(),
        any_body(),
        method,
        headers,
        caller,
        any::<bool>(),
    );
    whole.prop_map(|(path, query, body, method, headers, caller, base64)| {
        let mut event = request(&Method::GET, "/", &[], &body);
        event["rawPath"] = path.into();
        event["rawQueryString"] = query.into();
        event["isBase64Encoded"] = (base64 && body.len() % 3 == 0).into();
        event["requestContext"]["http"]["method"] = method.into();
        for (name, value) in headers {
            event["headers"][name] = value.into();
        }
        match caller {
            Some(role) => by(role, event),
            None => event,
        }
    })
}

/// A runtime with a paused clock, so that retries of the unreachable stores do not wait.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// `PROPTEST_CASES=1000000 cargo test --release -p api --test entrance` tries a million events.
#[test]
fn any_event_gets_a_response_that_is_not_a_panic() {
    let runtime = runtime();
    let api = runtime.block_on(api(NOWHERE));
    let default = ProptestConfig::default();
    let config = ProptestConfig {
        cases: env::var_os("PROPTEST_CASES").map_or(CASES, |_| default.cases),
        failure_persistence: None,
        ..default
    };
    proptest!(config, |(event in any_event())| {
        let (status, _, body) = runtime.block_on(answer(api.clone(), event));
        prop_assert_ne!(status.as_u16(), 500, "{}", body);
        if status.is_client_error() || status.is_server_error() {
            let is_problem = body["type"].as_str().is_some_and(|kind| kind.starts_with(&problem("")));
            // A response to HEAD has no body, and /readyz lists the dependencies.
            let is_other = body == "" || body.get("database").is_some();
            prop_assert!(is_problem || is_other, "{}: {}", status, body);
        }
    });
}
