//! What API Gateway asks a token for is what the OpenAPI document says.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// The scopes of each route that asks for some, such as `GET /v1/me`.
type Scopes = BTreeMap<String, Vec<String>>;

/// The routes of the template, each with the scopes that stand below it.
fn of_the_template() -> Scopes {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let (mut scopes, mut route) = (Scopes::new(), None);
    for line in template.lines() {
        match line.trim().split_once(": ") {
            Some(("RouteKey", key)) => route = Some(key.to_owned()),
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
    operations
        .filter(|(_, scopes)| !scopes.is_empty())
        .collect()
}

#[test]
fn a_route_asks_for_the_scope_that_the_openapi_document_names() {
    let scopes = of_the_template();
    assert_eq!(
        scopes["PUT /v1/ops/circuits/{provider}"],
        ["circuits:write"]
    );
    assert_eq!(scopes, of_the_document());
}
