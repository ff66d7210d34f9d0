//! An invalid request is refused with the name of its field, and writes nothing.

use reqwest::Method;
use serde_json::json;
use tests::{Database, OrderRequest, Person, Response, Stack, shipped};

const SKU: &str = "BOOKS-0010";

fn order_request() -> OrderRequest {
    OrderRequest::of(SKU, 1)
}

async fn send_body(shopper: &Person, body: impl Into<reqwest::Body>) -> Response {
    Response::of(shopper.order_request("a-key").body(body)).await
}

async fn assert_nothing_written(database: &Database, shopper: &Person) {
    assert_eq!(database.count_rows_of(shopper).await, 0);
}

#[tokio::test]
async fn an_order_with_an_invalid_value_is_refused_with_its_field() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    let many = vec![json!({ "sku": SKU, "quantity": 1 }); 101];
    let wrong = [
        (
            order_request().with("/lines/0/sku", "NO-SUCH-SKU"),
            "lines[0].sku",
        ),
        (
            order_request().with("/lines/0/sku", "not a sku"),
            "lines[0].sku",
        ),
        (order_request().with("/lines/0/sku", 7), "lines[0].sku"),
        (
            order_request().with("/lines/0/quantity", 0),
            "lines[0].quantity",
        ),
        (
            order_request().with("/lines/0/quantity", -1),
            "lines[0].quantity",
        ),
        (
            order_request().with("/lines/0/quantity", 1_000),
            "lines[0].quantity",
        ),
        (
            order_request().with("/lines/0/quantity", u64::MAX),
            "lines[0].quantity",
        ),
        (
            order_request().with("/lines/0/quantity", 1.5),
            "lines[0].quantity",
        ),
        (
            order_request().with("/lines/0/quantity", "1"),
            "lines[0].quantity",
        ),
        (order_request().with("/lines", json!([])), "lines"),
        (order_request().with("/lines", many), "lines"),
        (order_request().with("/currency", "USD"), "currency"),
        (order_request().with("/currency", "euro"), "currency"),
        (order_request().with("/currency", "RSD"), "currency"),
        (
            order_request().with("/payment_method", "4242424242424242"),
            "payment_method",
        ),
        (
            order_request().with("/shipping_address/country", "Spain"),
            "shipping_address.country",
        ),
        (
            order_request().with("/shipping_address/name", ""),
            "shipping_address.name",
        ),
        (
            order_request().with("/shipping_address/name", "Ana\u{202e}zem\u{f3}G"),
            "shipping_address.name",
        ),
        (
            order_request().with("/shipping_address/city", "Mad\u{200b}rid"),
            "shipping_address.city",
        ),
        (
            order_request().with("/shipping_address", "here"),
            "shipping_address",
        ),
        (order_request().without("currency"), "currency"),
        (order_request().plus("discount", 100), "discount"),
    ];
    for (order_request, field) in wrong {
        shopper
            .try_place_order(&order_request)
            .await
            .assert_problem(422, "validation", Some(field));
    }
    assert_nothing_written(&database, &shopper).await;
}

#[tokio::test]
async fn an_invalid_body_is_refused() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    for body in ["", "{", "{\"currency\": }", "nonsense"] {
        send_body(&shopper, body)
            .await
            .assert_problem(400, "invalid-json", Some("body"));
    }
    send_body(&shopper, "[]")
        .await
        .assert_problem(422, "validation", Some("body"));
    // API Gateway forwards a body as text, so bytes that are not UTF-8 may arrive as replacement
    // characters. Then the JSON is valid, and the field is refused instead.
    let garbled: Vec<u8> = order_request()
        .with("/shipping_address/name", "An\u{7F}")
        .body()
        .bytes()
        .map(|byte| if byte == 0x7F { 0xFF } else { byte })
        .collect();
    let refused = send_body(&shopper, garbled).await;
    if refused.status == 400 {
        refused.assert_problem(400, "invalid-json", Some("body"));
    } else {
        refused.assert_problem(422, "validation", Some("shipping_address.name"));
    }
    send_body(&shopper, b"{\xFF}".to_vec())
        .await
        .assert_problem(400, "invalid-json", Some("body"));

    let ten_thousand = vec![json!({ "sku": SKU, "quantity": 1 }); 10_000];
    let large = shopper
        .try_place_order(&order_request().with("/lines", ten_thousand))
        .await;
    large.assert_problem(413, "payload-too-large", Some("body"));
    let huge = order_request().with("/shipping_address/name", "x".repeat(1_000_000));
    shopper
        .try_place_order(&huge)
        .await
        .assert_problem(413, "payload-too-large", Some("body"));

    let plain = shopper.order_request("a-key").body("hello");
    let plain = Response::of(plain.header("Content-Type", "text/plain")).await;
    plain.assert_problem(415, "unsupported-media-type", Some("Content-Type"));
    assert_nothing_written(&database, &shopper).await;
}

#[tokio::test]
async fn an_order_needs_a_valid_idempotency_key() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    let without = shopper
        .request(Method::POST, "/v1/orders")
        .header("Content-Type", "application/json")
        .body(order_request().body());
    Response::of(without).await.assert_problem(
        400,
        "idempotency-key-missing",
        Some("Idempotency-Key"),
    );
    for key in ["with a space", "", &"k".repeat(65)] {
        let response = shopper
            .try_place_order_with_key(&order_request(), key)
            .await;
        response.assert_problem(422, "validation", Some("Idempotency-Key"));
    }
    assert_nothing_written(&database, &shopper).await;
}

#[tokio::test]
async fn unknown_or_invalid_query_parameters_are_refused() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    let wrong = [
        (
            "/v1/products?cursor=nonsense",
            400,
            "invalid-cursor",
            "cursor",
        ),
        (
            "/v1/orders?cursor=nonsense",
            400,
            "invalid-cursor",
            "cursor",
        ),
        ("/v1/products?q=%FF", 422, "validation", "q"),
        ("/v1/products?limit=0", 422, "validation", "limit"),
        ("/v1/products?limit=101", 422, "validation", "limit"),
        ("/v1/orders?limit=many", 422, "validation", "limit"),
        ("/v1/products?colour=red", 422, "validation", "colour"),
        ("/v1/products?sku=tea-0001", 422, "validation", "sku"),
        ("/v1/products?sku=", 422, "validation", "sku"),
        ("/v1/products?sku=TEA-0001&q=tea", 422, "validation", "q"),
        (
            "/v1/products?limit=1&sku=TEA-0001",
            422,
            "validation",
            "limit",
        ),
        ("/v1/orders?colour=red", 422, "validation", "colour"),
        ("/v1/orders?limit=1&limit=0", 422, "validation", "limit"),
        (
            "/v1/products?category=Not%20One",
            422,
            "validation",
            "category",
        ),
    ];
    for (path, status, kind, field) in wrong {
        shopper
            .get(path)
            .await
            .assert_problem(status, kind, Some(field));
    }
}

#[tokio::test]
async fn missing_resources_are_not_found() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    for path in ["/v1/nothing", "/v1/products/NO-SUCH-SKU"] {
        shopper
            .get(path)
            .await
            .assert_problem(404, "not-found", None);
    }
    let encoded = shopper.get("/v1/products/%F0%9F%98%80").await;
    encoded.assert_problem(400, "invalid-path", Some("path"));
    let no_order = format!("/v1/orders/{}", "0".repeat(32));
    shopper
        .get(&no_order)
        .await
        .assert_problem(404, "not-found", None);
    let delete = Response::of(shopper.request(Method::DELETE, "/v1/products")).await;
    delete.assert_problem(405, "method-not-allowed", None);
}

/// API Gateway itself refuses an invalid token. The body of that response cannot be configured.
#[tokio::test]
async fn an_invalid_token_is_refused() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    let token = shopper.token.clone().unwrap();
    let mut tampered: Vec<&str> = token.split('.').collect();
    let other = stack.new_shopper().await.token.unwrap();
    tampered[1] = other.split('.').nth(1).unwrap();
    let people = [
        stack.anonymous(),
        stack.bearer("nonsense"),
        stack.bearer(&tampered.join(".")),
        stack.bearer(&format!("{token}x")),
    ];
    for person in people {
        person
            .try_place_order(&order_request())
            .await
            .with_status(401);
        person.get("/v1/me").await.with_status(401);
    }
    assert_nothing_written(&database, &shopper).await;
    database.restock(SKU, 10).await;
    let order = shopper.place_order(&order_request()).await;
    shopper.order(&order).until(shipped).await;
}

/// An ID token is valid and belongs to the shopper, but grants no access.
#[tokio::test]
async fn an_id_token_grants_no_access() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    let bearer = stack.bearer(&shopper.id_token);
    bearer
        .try_place_order(&order_request())
        .await
        .with_status(401);
    bearer.get("/v1/orders").await.with_status(401);
    bearer.get("/v1/me").await.with_status(401);
    assert_nothing_written(&database, &shopper).await;
}

#[tokio::test]
async fn a_refused_order_reserves_no_stock() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("BOOKS-0163", 5).await;
    let order_request = OrderRequest::of("BOOKS-0163", 1);
    for (refused, status) in [
        (order_request.clone().and("NO-SUCH-SKU", 1), 422),
        (order_request.clone().and("BOOKS-0163", 0), 422),
        (order_request.clone().and("BOOKS-0163", 999), 409),
        (order_request.clone().with("/currency", "USD"), 422),
    ] {
        shopper.try_place_order(&refused).await.with_status(status);
    }
    assert_eq!(database.stock_of("BOOKS-0163").await, 5);
    assert_nothing_written(&database, &shopper).await;
}
