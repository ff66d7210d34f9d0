//! The guard of each route asks for the scope that the OpenAPI document names, API Gateway for a token where the guard
//! does, and every scope is some role's.

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

/// The scopes of each route that asks for one of some, such as `GET /v1/me`.
type Scopes = BTreeMap<String, Vec<String>>;

/// The routes without a token. A new one needs the reason why it has no rule.
const PUBLIC: [&str; 13] = [
    // What is for sale.
    "GET /v1/categories",
    "GET /v1/products",
    "GET /v1/products/{sku}",
    // Guests have no account; each of these has limits of its own.
    "POST /v1/guest/orders",
    "POST /v1/guest/orders/cancel",
    "POST /v1/guest/orders/erase",
    "POST /v1/guest/orders/find",
    "POST /v1/guest/orders/placed",
    // The frontend proves itself by its key; no one has signed in yet.
    "POST /v1/attempts",
    // The external services sign what they send.
    "POST /v1/webhooks/payments",
    "POST /v1/webhooks/shipping",
    // Health checks.
    "GET /healthz",
    "GET /readyz",
];

/// What a handler looks for in a token, beyond the scope that its route asks for.
const IN_HANDLERS: [Scope; 1] = [
    // Another's order, not only one's own.
    Scope::OrdersCancelAny,
];

/// The routes of infra/routes.yaml, each with whether API Gateway asks for a token.
fn of_the_template() -> BTreeMap<String, bool> {
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

/// All routes of the document, each with its scopes.
fn of_the_document() -> Scopes {
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
fn api_gateway_asks_for_a_token_where_the_guard_does() {
    let guarded = api::gateway_routes()
        .map(|GatewayRoute { key, access, .. }| (key, matches!(access, Access::Token(_))));
    // What no route names is answered 404, to anyone.
    let rest = ("$default".to_owned(), false);
    let expected: BTreeMap<String, bool> = guarded.chain([rest]).collect();
    assert_eq!(of_the_template(), expected);
}

#[test]
fn the_openapi_document_names_the_scope_that_the_guard_asks_for() {
    let guarded = api::gateway_routes().filter(|route| route.key != "GET /openapi.json");
    let guarded: Scopes = guarded
        .map(|GatewayRoute { key, access, .. }| match access {
            Access::Token(scope) => (key, vec![scope.name().to_owned()]),
            Access::Probe | Access::Signed | Access::Public | Access::Frontend => (key, vec![]),
        })
        .collect();
    assert_eq!(guarded, of_the_document());
}

#[test]
fn every_route_has_a_rule_or_is_for_everybody() {
    let open: BTreeSet<String> = of_the_document()
        .into_iter()
        .filter_map(|(route, scopes)| scopes.is_empty().then_some(route))
        .collect();
    assert_eq!(open, BTreeSet::from(PUBLIC.map(str::to_owned)));
}

#[test]
fn what_a_route_asks_for_some_role_may() {
    for (route, scopes) in of_the_document() {
        for scope in scopes {
            let known: Scope = scope
                .parse()
                .unwrap_or_else(|_| panic!("{route} asks for {scope}, which is no scope"));
            let may = |role: Role| role.scopes().contains(&known);
            assert!(Role::iter().any(may), "{route}: nobody may {scope}");
        }
    }
}

#[test]
fn every_scope_is_asked_for_somewhere() {
    let by_routes: BTreeSet<String> = of_the_document().into_values().flatten().collect();
    for scope in Scope::iter() {
        let asked = by_routes.contains(scope.name());
        let in_handlers = IN_HANDLERS.contains(&scope);
        assert!(asked != in_handlers, "{scope}: by a route: {asked}");
    }
}
