//! Attacks by shoppers, guests and anonymous callers.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use access::{Role, scopes_of};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tests::{
    Container, OrderRequest, Person, RawRequest, RawResponse, Response, Stack, eventually, filled,
    shipped, spellings_of,
};
use uuid::Uuid;

/// The number of concurrent attacks.
const AT_ONCE: usize = 8;

/// A server that is attacked. Its requests carry what the servers behind it require.
#[derive(Debug, Clone)]
enum Server {
    Gateway(String),
    Cdn { endpoint: String, host: String },
    Container(String),
}

impl Server {
    fn request(&self, stack: &Stack, method: &str, path: &str) -> RawRequest {
        match self {
            Self::Gateway(base) | Self::Container(base) => {
                RawRequest::new(method, base, path).header("Cauce-Origin-Key", &stack.origin_key)
            }
            Self::Cdn { endpoint, host } => {
                RawRequest::new(method, endpoint, &format!("/api{path}")).header("Host", host)
            }
        }
    }
}

/// Adds a token and the body of an attack to a request.
fn attack(request: RawRequest, token: &str) -> RawRequest {
    request
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", "attack")
        .body(r#"{"reason":"an attack","currency":"EUR","delta":1}"#)
}

/// The routes that require a scope, from the OpenAPI document: method, path, scope.
fn guarded_routes() -> Vec<(String, String, String)> {
    let document = include_str!("../../functions/api/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if let Some(scope) = operation["security"][0]["token"][0].as_str() {
                routes.push((method.to_uppercase(), filled(path), scope.to_owned()));
            }
        }
    }
    routes
}

/// A description of a response that is not a refusal, or that contains personal data.
async fn problem_with_response(request: RawRequest, what: String) -> Option<String> {
    let RawResponse { status, text } = request.send().await;
    let refused = matches!(status, 400 | 401 | 403 | 404 | 405);
    (!refused || text.contains("@cauce.example")).then(|| format!("{what}: {status} {text}"))
}

#[tokio::test]
async fn no_spelling_of_a_path_bypasses_the_scopes_of_a_shopper() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    let token = shopper.token.clone().unwrap();
    let container = Container::api(&stack).await;
    let servers = [
        Server::Gateway(stack.api.clone()),
        Server::Cdn {
            endpoint: stack.aws.endpoint.clone(),
            host: stack.site.trim_start_matches("http://").to_owned(),
        },
        Server::Container(container.url.clone()),
    ];
    let shoppers = scopes_of([Role::Shopper]);
    let mut attacks = Vec::new();
    for (method, path, scope) in guarded_routes() {
        if shoppers.iter().any(|own| own.name() == scope) {
            continue;
        }
        for spelling in spellings_of(&path).into_iter().filter(|it| *it != path) {
            // HTTP cannot carry these characters. `functions/api/tests` covers them.
            let on_the_wire = spelling.replace(['\t', '\n'], "%09");
            for server in &servers {
                let request = attack(server.request(&stack, &method, &on_the_wire), &token);
                attacks.push(problem_with_response(
                    request,
                    format!("{server:?} {method} {on_the_wire}"),
                ));
            }
        }
    }
    assert!(attacks.len() > 1_000, "{}", attacks.len());
    let wrong: Vec<String> = stream::iter(attacks)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_container_rejects_tokens_without_the_scope_for_every_spelling_of_a_path() {
    let stack = Stack::find();
    let container = Container::api(&stack).await;
    let server = Server::Container(container.url.clone());
    let mut wrong = Vec::new();
    for role in Role::iter() {
        let token = stack.staff(role.group()).await.token.unwrap();
        let own = scopes_of([role]);
        for (method, path, scope) in guarded_routes() {
            if own.iter().any(|own| own.name() == scope) {
                continue;
            }
            for spelling in spellings_of(&path) {
                let on_the_wire = spelling.replace(['\t', '\n'], "%09");
                let request = attack(server.request(&stack, &method, &on_the_wire), &token);
                wrong.extend(
                    problem_with_response(request, format!("{role:?} {method} {on_the_wire}"))
                        .await,
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_shopper_cannot_reach_refunds_or_stock_through_the_cancel_route() {
    let stack = Stack::find();
    let database = stack.database().await;
    database.restock("KITCHEN-0141", 5).await;
    let shopper = stack.new_shopper().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0141", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    let token = shopper.token.clone().unwrap();
    let server = Server::Gateway(stack.api.clone());

    for path in [
        format!("/v1/orders/{}%5crefunds%23/cancel", order.id),
        format!("/v1/orders/{}%2frefunds%23/cancel", order.id),
        "/v1/orders/..%5cstock%5cKITCHEN-0141%5cadjustments%23/cancel".to_owned(),
    ] {
        let request = server
            .request(&stack, "POST", &path)
            .header("Authorization", &format!("Bearer {token}"))
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", "an-attack")
            .body(r#"{"currency":"EUR","reason":"I want it all","delta":100}"#);
        let response = request.send().await;
        assert_eq!(response.status, 400, "{path}: {}", response.text);
        assert_eq!(
            response.json()["type"],
            "https://cauce.example/problems/invalid-path"
        );
    }
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(database.stock_of("KITCHEN-0141").await, 4);
}

#[tokio::test]
async fn requests_that_once_caused_a_panic_are_answered() {
    let stack = Stack::find();
    let server = Server::Gateway(stack.api.clone());
    for (target, header) in [
        ("/v1/products?q=<x>", None),
        ("/v1/products?q=\"x\"", None),
        ("/v1/products?q=%zz%", None),
        ("/v1/products", Some(("X-Forwarded-Proto", "http,https"))),
    ] {
        let request = server.request(&stack, "GET", target);
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let response = request.send().await;
        assert_eq!(response.status, 200, "{target}: {}", response.text);
    }
}

#[tokio::test]
async fn unfinished_bodies_do_not_block_other_requests() {
    let stack = Stack::find();
    let container = Container::api(&stack).await;
    let server = Server::Container(container.url.clone());
    let mut open = Vec::new();
    // More than the container serves at once, half of them without the origin key.
    for number in 0..160 {
        let request = match number % 2 {
            0 => RawRequest::new("POST", &container.url, "/v1/guest/orders"),
            _ => server.request(&stack, "POST", "/v1/guest/orders"),
        };
        let request = request.header("Content-Type", "application/json");
        open.push(request.open(1_000).await);
    }
    for _ in 0..5 {
        let response = server
            .request(&stack, "GET", "/v1/products?limit=1")
            .send()
            .await;
        assert_eq!(response.status, 200, "{}", response.text);
    }
    // Without the key, a request is refused before its body is read. With it, after a timeout.
    let response = RawResponse::read(&mut open[0]).await;
    assert_eq!(response.status, 403, "{}", response.text);
    let response = RawResponse::read(&mut open[1]).await;
    assert_eq!(response.status, 408, "{}", response.text);
    container.stop().await;
}

/// The audit rows of this actor with an action, once there is one.
async fn rows_of(stack: &Stack, actor: &Person, action: &str) -> Vec<Value> {
    let administrator = stack.staff("administrator").await;
    eventually("in the audit log", async || {
        let query = format!("action={action}&limit=100");
        let rows = administrator.search("/v1/audit/search", &query).await;
        let rows: Value = rows.with_status(200).json();
        let rows = rows["items"].as_array().cloned().unwrap_or_default();
        let id = actor.id().to_string();
        let own: Vec<Value> = rows
            .into_iter()
            .filter(|row| row["actor_id"] == id)
            .collect();
        if own.is_empty() {
            Err(action.to_owned())
        } else {
            Ok(own)
        }
    })
    .await
}

#[tokio::test]
async fn refused_requests_are_audited() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    // Forbidden.
    let refused = shopper.request(Method::POST, "/v1/stock/TEA-0001/adjustments");
    Response::of(refused.json(&json!({})))
        .await
        .with_status(403);
    let rows = rows_of(&stack, &shopper, "stock.adjust").await;
    assert_eq!(rows[0]["outcome"], "refused");
    assert_eq!(rows[0]["target"], "TEA-0001");
    assert_eq!(rows[0]["after"]["problem"], "forbidden");
    // The request is quoted in part, without characters that the database rejects.
    for unknown in ["\0".to_owned(), "x".repeat(10_000)] {
        let key = Uuid::new_v4().to_string();
        let refused = shopper.request(Method::POST, "/v1/orders/x/cancel");
        let refused = refused.header("Idempotency-Key", key);
        let refused = refused.json(&json!({ unknown: 1 }));
        Response::of(refused).await.with_status(422);
    }
    eventually("two rows", async || {
        let rows = rows_of(&stack, &shopper, "order.cancel").await;
        let details = rows.iter().map(|row| row["after"]["detail"].as_str());
        let lengths: Option<Vec<usize>> = details.map(|it| Some(it?.len())).collect();
        match lengths {
            Some(lengths) if lengths.len() == 2 && lengths.iter().all(|it| *it <= 500) => Ok(()),
            _ => Err(format!("{rows:?}")),
        }
    })
    .await;
    // Too large.
    let manager = stack.staff("catalogue-manager").await;
    let sku = format!(
        "ATTACK-{}",
        &manager.id().simple().to_string()[..8].to_uppercase()
    );
    let large = manager.request(Method::PUT, &format!("/v1/products/{sku}"));
    let large = large.json(&json!({ "description": "x".repeat(70_000) }));
    Response::of(large).await.with_status(413);
    let rows = rows_of(&stack, &manager, "product.put").await;
    let row = rows.iter().find(|row| row["target"] == *sku).unwrap();
    assert_eq!(row["after"]["problem"], "payload-too-large");
}

#[tokio::test]
async fn reading_another_persons_order_is_audited() {
    let stack = Stack::find();
    stack.database().await.restock("KITCHEN-0142", 5).await;
    let shopper = stack.new_shopper().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0142", 1))
        .await;
    let support = stack.staff("support").await;
    for _ in 0..3 {
        support.order(&order).now().await;
    }
    let rows = rows_of(&stack, &support, "order.read").await;
    let of_this: Vec<&Value> = rows
        .iter()
        .filter(|row| row["target"] == order.id.to_string())
        .collect();
    assert_eq!(of_this.len(), 1, "once an hour: {rows:?}");
    // Reading one's own order is not audited.
    shopper.order(&order).now().await;
    let administrator = stack.staff("administrator").await;
    let query = format!("target={}&limit=100", order.id);
    let rows = administrator.search("/v1/audit/search", &query).await;
    let rows: Value = rows.with_status(200).json();
    let id = shopper.id().to_string();
    assert!(
        rows["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["actor_id"] != id)
    );
}
