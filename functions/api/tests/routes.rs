//! Checks that the guards, the OpenAPI document and API Gateway agree: each guard requires the
//! scope that the document names, API Gateway verifies a token where a guard requires one, and
//! every scope belongs to a role.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use access::{Role, Scope};
use api::{Access, GatewayRoute};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

/// The scopes of each route, by its key, such as `GET /v1/me`.
type Scopes = BTreeMap<String, Vec<String>>;

/// The routes without a token. A new one needs a reason here.
const PUBLIC: [&str; 13] = [
    // The catalogue.
    "GET /v1/categories",
    "GET /v1/products",
    "GET /v1/products/{sku}",
    // Guests have no account. Each route has its own rate limit.
    "POST /v1/guest/orders",
    "POST /v1/guest/orders/cancel",
    "POST /v1/guest/orders/erase",
    "POST /v1/guest/orders/find",
    "POST /v1/guest/orders/placed",
    // The frontend authenticates with its key, before a user has signed in.
    "POST /v1/attempts",
    // The external services sign what they send.
    "POST /v1/webhooks/payments",
    "POST /v1/webhooks/shipping",
    // Health checks.
    "GET /healthz",
    "GET /readyz",
];

/// The scopes that only a handler checks, in addition to that of its route.
const CHECKED_BY_HANDLERS: [Scope; 1] = [
    // For the orders of other shoppers.
    Scope::OrdersCancelAny,
];

/// The routes of infra/routes.yaml, each with whether API Gateway verifies a token.
fn template_routes() -> BTreeMap<String, bool> {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/routes.yaml");
    let template = fs::read_to_string(template).unwrap();
    let (mut routes, mut route) = (BTreeMap::new(), String::new());
    for line in template.lines() {
        match line.trim().split_once(": ") {
            Some(("RouteKey", key)) => {
                key.clone_into(&mut route);
                let before = routes.insert(key.to_owned(), false);
                assert_eq!(before, None, "the route {key} is there twice");
            }
            Some(("AuthorizationType", "JWT")) => {
                routes.insert(route.clone(), true);
            }
            _ => {}
        }
    }
    routes
}

/// The routes of the OpenAPI document, each with its scopes.
fn documented_scopes() -> Scopes {
    let document = json!(api::openapi());
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap();
        operations.iter().map(move |(method, operation)| {
            let scopes = operation["security"][0]["token"].as_array();
            let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
            let scopes: Vec<String> = scopes.map(str::to_owned).collect();
            (format!("{} {path}", method.to_uppercase()), scopes)
        })
    });
    operations.collect()
}

#[test]
fn api_gateway_verifies_a_token_where_the_guard_requires_one() {
    let guarded = api::gateway_routes()
        .map(|GatewayRoute { key, access, .. }| (key, matches!(access, Access::Token(_))));
    // Unknown paths are 404 for every caller.
    let rest = ("$default".to_owned(), false);
    let expected: BTreeMap<String, bool> = guarded.chain([rest]).collect();
    assert_eq!(template_routes(), expected);
}

#[test]
fn the_openapi_document_names_the_scope_that_the_guard_requires() {
    let guarded = api::gateway_routes().filter(|route| route.key != "GET /openapi.json");
    let guarded: Scopes = guarded
        .map(|GatewayRoute { key, access, .. }| match access {
            Access::Token(scope) => (key, vec![scope.name().to_owned()]),
            Access::Probe | Access::Signed | Access::Public | Access::Frontend => (key, vec![]),
        })
        .collect();
    assert_eq!(guarded, documented_scopes());
}

#[test]
fn every_route_without_a_token_is_listed_here() {
    let open: BTreeSet<String> = documented_scopes()
        .into_iter()
        .filter_map(|(route, scopes)| scopes.is_empty().then_some(route))
        .collect();
    assert_eq!(open, BTreeSet::from(PUBLIC.map(str::to_owned)));
}

#[test]
fn every_required_scope_belongs_to_a_role() {
    for (route, scopes) in documented_scopes() {
        for scope in scopes {
            let known: Scope = scope
                .parse()
                .unwrap_or_else(|_| panic!("{route} requires the unknown scope {scope}"));
            let has_scope = |role: Role| role.scopes().contains(&known);
            assert!(Role::iter().any(has_scope), "{route}: no role has {scope}");
        }
    }
}

#[test]
fn every_scope_is_required_by_a_route_or_a_handler() {
    let by_routes: BTreeSet<String> = documented_scopes().into_values().flatten().collect();
    for scope in Scope::iter() {
        let by_route = by_routes.contains(scope.name());
        let by_handler = CHECKED_BY_HANDLERS.contains(&scope);
        assert!(by_route != by_handler, "{scope}: by a route: {by_route}");
    }
}
