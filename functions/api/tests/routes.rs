//! What API Gateway asks a token for is what the OpenAPI document says, and somebody can have it.

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
use serde_json::{Value, json};
use strum::IntoEnumIterator;

/// The scopes of each route that asks for one of some, such as `GET /v1/me`.
type Scopes = BTreeMap<String, Vec<String>>;

/// What anybody may ask for, without a token. Whoever adds a route here says why it needs no rule.
const PUBLIC: [&str; 10] = [
    // What is for sale.
    "GET /v1/categories",
    "GET /v1/products",
    "GET /v1/products/{sku}",
    // Guests have no account; each of these has limits of its own.
    "POST /v1/guest/orders",
    "POST /v1/guest/orders/cancel",
    "POST /v1/guest/orders/find",
    // The external services sign what they send.
    "POST /v1/webhooks/payments",
    "POST /v1/webhooks/shipping",
    // Whoever watches over us.
    "GET /healthz",
    "GET /readyz",
];

/// What a handler looks for in a token, beyond the scope that its route asks for.
const IN_HANDLERS: [Scope; 2] = [
    // Another's order, not only one's own.
    Scope::OrdersCancelAny,
    // As much money as was taken, not only up to a limit.
    Scope::OrdersRefundAnyAmount,
];

/// The routes of the template, each with the scopes that stand below it.
fn of_the_template() -> Scopes {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let (mut scopes, mut route) = (Scopes::new(), None);
    for line in template.lines() {
        match line.trim().split_once(": ") {
            Some(("RouteKey", key)) => {
                let before = route.replace(key.to_owned());
                let only_default = before.is_none_or(|key| key == "$default");
                assert!(only_default, "the route before {key} asks for no scope");
            }
            Some(("AuthorizationScopes", list)) => {
                let list = serde_json::from_str(list).unwrap();
                let route = route.take().unwrap();
                assert_eq!(scopes.insert(route, list), None, "a route is there twice");
            }
            _ => {}
        }
    }
    scopes
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
fn a_route_asks_for_the_scope_that_the_openapi_document_names() {
    let scopes = of_the_template();
    assert_eq!(
        scopes["PUT /v1/ops/circuits/{provider}"],
        ["circuits:write"]
    );
    let mut document = of_the_document();
    document.retain(|_, scopes| !scopes.is_empty());
    assert_eq!(scopes, document);
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
