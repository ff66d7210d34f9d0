//! Changes of products and stock by catalogue managers.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{OrderRequest, Person, Response, Stack, eventually, shipped};
use uuid::Uuid;

/// A SKU that no other test uses.
fn new_sku() -> String {
    format!("STORY-{}", Uuid::new_v4().simple()).to_uppercase()
}

/// A product that only a search for the SKU's last letters search.
fn document(sku: &str) -> Value {
    let word = &sku[sku.len() - 12..];
    json!({
        "category": "tea",
        "title": { "en": format!("Cloud tea {word}"), "es": format!("Té de nubes {word}") },
        "description": { "en": "It grows above the clouds.", "es": "Crece sobre las nubes." },
        "price": { "cents": 1250, "currency": "EUR" },
        "attributes": { "origin": "Japan", "organic": true },
        "image": sku.to_lowercase()[..20].to_owned(),
    })
}

async fn put(person: &Person, sku: &str, condition: (&str, &str), document: &Value) -> Response {
    let path = format!("/v1/products/{sku}");
    let request = person.request(Method::PUT, &path).json(document);
    Response::of(request.header(condition.0, condition.1)).await
}

async fn delete(person: &Person, sku: &str, tag: &str) -> Response {
    let path = format!("/v1/products/{sku}");
    let request = person.request(Method::DELETE, &path);
    Response::of(request.header("If-Match", tag)).await
}

/// Creates the product and returns its `ETag`.
async fn create(manager: &Person, sku: &str) -> String {
    let made = put(manager, sku, ("If-None-Match", "*"), &document(sku)).await;
    made.with_status(201).header("etag").to_owned()
}

async fn read_document(manager: &Person, sku: &str) -> Response {
    manager.get(&format!("/v1/products/{sku}/document")).await
}

/// The SKUs that a search search.
async fn search(visitor: &Person, search: &str) -> Vec<Value> {
    let path = format!("/v1/products?{search}");
    let page: Value = visitor.get(&path).await.with_status(200).json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["sku"].clone()).collect()
}

async fn adjust_stock(person: &Person, sku: &str, key: &str, body: &Value) -> Response {
    let path = format!("/v1/stock/{sku}/adjustments");
    let request = person.request(Method::POST, &path).json(body);
    Response::of(request.header("Idempotency-Key", key)).await
}

#[tokio::test]
async fn a_product_is_created_changed_and_deleted() {
    let stack = Stack::find();
    let (manager, visitor) = (stack.staff("catalogue-manager").await, stack.anonymous());
    let sku = new_sku();
    let word = sku[sku.len() - 12..].to_owned();
    let first = create(&manager, &sku).await;

    let read = read_document(&manager, &sku).await.with_status(200);
    assert_eq!(read.header("etag"), first);
    assert_eq!(read.json::<Value>(), document(&sku));
    assert_eq!(search(&visitor, &format!("q={word}")).await, [json!(sku)]);

    let mut changed = document(&sku);
    changed["title"]["en"] = json!("Mist tea");
    changed["title"]["es"] = json!("Té de niebla");
    changed["attributes"] = json!({ "origin": "China", "organic": true });
    let response = put(&manager, &sku, ("If-Match", &first), &changed).await;
    let second = response.with_status(200).header("etag").to_owned();
    assert_ne!(first, second);
    assert_eq!(read_document(&manager, &sku).await.json::<Value>(), changed);
    // Searches find its new words and attributes, and no longer its old ones.
    assert!(search(&visitor, &format!("q={word}")).await.is_empty());
    let mist = search(&visitor, "q=mist%20niebla&attr.origin=China").await;
    assert!(mist.contains(&json!(sku)), "{mist:?}");
    let japan = search(&visitor, "q=mist%20niebla&attr.origin=Japan").await;
    assert!(!japan.contains(&json!(sku)), "{japan:?}");

    delete(&manager, &sku, &first).await.assert_problem(
        412,
        "precondition-failed",
        Some("If-Match"),
    );
    delete(&manager, &sku, &second).await.with_status(204);
    read_document(&manager, &sku)
        .await
        .assert_problem(404, "not-found", None);
    let mist = search(&visitor, "q=mist%20niebla").await;
    assert!(!mist.contains(&json!(sku)), "{mist:?}");

    let audit = stack.database().await.audit_of(&sku).await;
    let actions: Vec<_> = audit.iter().map(|row| row["action"].as_str()).collect();
    let (put, delete) = (Some("product.put"), Some("product.delete"));
    assert_eq!(actions, [put, put, delete, delete]);
    assert_eq!(audit[0]["before"], Value::Null);
    assert_eq!(audit[1]["before"], document(&sku));
    assert_eq!(audit[1]["after"], changed);
    assert_eq!(audit[2]["outcome"], "refused");
    assert_eq!(audit[3]["before"], changed);
}

#[tokio::test]
async fn concurrent_changes_do_not_overwrite_each_other() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let seen = create(&manager, &sku).await;

    let (mut hers, mut his) = (document(&sku), document(&sku));
    hers["price"]["cents"] = json!(1300);
    his["price"]["cents"] = json!(1400);
    let (hers, his) = tokio::join!(
        put(&manager, &sku, ("If-Match", &seen), &hers),
        put(&manager, &sku, ("If-Match", &seen), &his),
    );
    let (first, late) = if hers.status == 200 {
        (hers, his)
    } else {
        (his, hers)
    };
    let first = first.with_status(200);
    late.assert_problem(412, "precondition-failed", Some("If-Match"));
    assert_eq!(late.header("etag"), first.header("etag"));
    let now = read_document(&manager, &sku).await;
    assert_eq!(now.json::<Value>(), first.json::<Value>());

    // A repeated change after a lost response gets the same response.
    let again = put(&manager, &sku, ("If-Match", &seen), &first.json()).await;
    assert_eq!(again.with_status(200).header("etag"), first.header("etag"));
    delete(&manager, &sku, first.header("etag"))
        .await
        .with_status(204);
}

#[tokio::test]
async fn a_change_requires_a_precondition() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let path = format!("/v1/products/{sku}");
    for method in [Method::PUT, Method::DELETE] {
        let request = manager.request(method, &path).json(&document(&sku));
        let response = Response::of(request).await;
        response.assert_problem(428, "precondition-required", Some("If-Match"));
    }
    let absent = format!("\"{}\"", Uuid::new_v4());
    let change = put(&manager, &sku, ("If-Match", &absent), &document(&sku)).await;
    change.assert_problem(404, "not-found", None);

    let tag = create(&manager, &sku).await;
    let mut other = document(&sku);
    other["price"]["cents"] = json!(1);
    let anew = put(&manager, &sku, ("If-None-Match", "*"), &other).await;
    anew.assert_problem(412, "precondition-failed", Some("If-Match"));
    assert_eq!(anew.header("etag"), tag);
    delete(&manager, &sku, &tag).await.with_status(204);
}

#[tokio::test]
async fn all_errors_of_a_document_are_returned_at_once() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let mut wrong = document(&sku);
    wrong["title"]["es"] = json!("");
    wrong["description"]["en"] = json!("x".repeat(1_001));
    wrong["price"] = json!({ "cents": -1, "currency": "euro" });
    wrong["attributes"] = json!({ "origin": "Atlantis", "organic": "yes", "pages": 7 });
    let response = put(&manager, &sku, ("If-None-Match", "*"), &wrong).await;
    response.assert_problem(422, "validation", Some("title.es"));
    let problem: Value = response.json();
    let errors = problem["errors"].as_array().unwrap().iter();
    let fields: Vec<_> = errors
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    let expected = [
        "title.es",
        "description.en",
        "price.cents",
        "price.currency",
        "attributes.organic",
        "attributes.origin",
        "attributes.pages",
    ];
    assert_eq!(fields, expected);

    let mut many = document(&sku);
    let words: Vec<String> = (0..30).map(|word| format!("w{word}")).collect();
    many["title"]["en"] = json!(words.join(" "));
    let words: Vec<String> = (30..60).map(|word| format!("w{word}")).collect();
    many["title"]["es"] = json!(words.join(" "));
    let response = put(&manager, &sku, ("If-None-Match", "*"), &many).await;
    response.assert_problem(422, "validation", Some("title.en"));

    for (wrong, status, kind, field) in [
        ("[]", 422, "validation", "body"),
        ("{", 400, "invalid-json", "body"),
    ] {
        let request = manager.request(Method::PUT, &format!("/v1/products/{sku}"));
        let request = request.header("Content-Type", "application/json");
        let response = Response::of(request.header("If-None-Match", "*").body(wrong)).await;
        response.assert_problem(status, kind, Some(field));
    }
    let bad_name = put(&manager, "story-1", ("If-None-Match", "*"), &document(&sku)).await;
    bad_name.assert_problem(422, "validation", Some("sku"));
    read_document(&manager, &sku)
        .await
        .assert_problem(404, "not-found", None);
}

#[tokio::test]
async fn a_price_that_the_provider_cannot_charge_is_refused() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    for (cents, currency, field) in [
        (1_250, "RSD", "price.currency"),
        (1_250, "eur", "price.currency"),
        (1_250, "ISK", "price.cents"),
        (1_250, "HUF", "price.cents"),
        (1_255, "KWD", "price.cents"),
        (100_000_000, "EUR", "price.cents"),
    ] {
        let mut wrong = document(&sku);
        wrong["price"] = json!({ "cents": cents, "currency": currency });
        let response = put(&manager, &sku, ("If-None-Match", "*"), &wrong).await;
        response.assert_problem(422, "validation", Some(field));
    }
    read_document(&manager, &sku)
        .await
        .assert_problem(404, "not-found", None);
}

#[tokio::test]
async fn an_order_in_a_zero_decimal_currency_is_charged_and_refunded_in_whole_units() {
    let stack = Stack::find();
    let (manager, support) = (
        stack.staff("catalogue-manager").await,
        stack.staff("support").await,
    );
    let shopper = stack.new_shopper().await;
    let sku = new_sku();
    let mut tea = document(&sku);
    // 150 ISK. Two articles reach the minimum charge in ISK.
    tea["price"] = json!({ "cents": 15_000, "currency": "ISK" });
    put(&manager, &sku, ("If-None-Match", "*"), &tea)
        .await
        .with_status(201);
    let arrived = json!({ "delta": 9, "reason": "A test." });
    adjust_stock(&manager, &sku, &Uuid::new_v4().to_string(), &arrived)
        .await
        .with_status(201);

    let one = OrderRequest::of(&sku, 1).with("/currency", "ISK");
    let too_little = shopper.try_place_order(&one).await;
    too_little.assert_problem(422, "validation", Some("lines"));
    let two = OrderRequest::of(&sku, 2).with("/currency", "ISK");
    let order = shopper.place_order(&two).await;
    let order = shopper.order(&order).until(shipped).await;
    let charged = ["authorized 30000 ISK", "captured 30000 ISK"];
    assert_eq!(stack.payments.ledger_of(&order).await, charged);

    let path = format!("/v1/orders/{}/refunds", order.id);
    let refund = async |cents: i64| {
        let body = json!({ "amount_cents": cents, "currency": "ISK", "reason": "A test." });
        let request = support.request(Method::POST, &path).json(&body);
        let key = Uuid::new_v4().to_string();
        Response::of(request.header("Idempotency-Key", key)).await
    };
    let fraction = refund(1_050).await;
    fraction.assert_problem(422, "validation", Some("amount_cents"));
    refund(1_000).await.with_status(202);
}

#[tokio::test]
async fn a_product_in_an_unsupported_currency_is_shown_but_not_sold() {
    let stack = Stack::find();
    let (manager, shopper) = (
        stack.staff("catalogue-manager").await,
        stack.new_shopper().await,
    );
    let sku = new_sku();
    let tag = create(&manager, &sku).await;
    let arrived = json!({ "delta": 3, "reason": "A test." });
    adjust_stock(&manager, &sku, &Uuid::new_v4().to_string(), &arrived)
        .await
        .with_status(201);
    // Products could have such a currency before there was a list of supported ones.
    let update = json!({
        "TableName": stack.aws.catalogue_table,
        "Key": { "pk": { "S": format!("product#{sku}") }, "sk": { "S": "product" } },
        "UpdateExpression": "set #document.#price.#currency = :currency",
        "ExpressionAttributeNames": {
            "#document": "document", "#price": "price", "#currency": "currency",
        },
        "ExpressionAttributeValues": { ":currency": { "S": "RSD" } },
    });
    let updated = stack.aws_request("DynamoDB_20120810.UpdateItem", &update);
    Response::of(updated).await.with_status(200);

    let shown: Value = shopper
        .get(&format!("/v1/products/{sku}"))
        .await
        .with_status(200)
        .json();
    assert_eq!(shown["price"]["currency"], "RSD");
    for currency in ["RSD", "EUR"] {
        let order_request = OrderRequest::of(&sku, 1).with("/currency", currency);
        let refused = shopper.try_place_order(&order_request).await;
        refused.assert_problem(422, "validation", Some("currency"));
    }
    let mut stored: Value = read_document(&manager, &sku).await.with_status(200).json();
    let same = put(&manager, &sku, ("If-Match", &tag), &stored).await;
    same.assert_problem(422, "validation", Some("price.currency"));
    stored["price"]["currency"] = json!("EUR");
    put(&manager, &sku, ("If-Match", &tag), &stored)
        .await
        .with_status(200);
}

#[tokio::test]
async fn an_order_keeps_the_title_and_price_of_a_deleted_product() {
    let stack = Stack::find();
    let (manager, shopper) = (
        stack.staff("catalogue-manager").await,
        stack.new_shopper().await,
    );
    let sku = new_sku();
    let tag = create(&manager, &sku).await;
    let key = Uuid::new_v4().to_string();
    let arrived = json!({ "delta": 3, "reason": "A test." });
    adjust_stock(&manager, &sku, &key, &arrived)
        .await
        .with_status(201);
    let order = shopper.place_order(&OrderRequest::of(&sku, 2)).await;
    delete(&manager, &sku, &tag).await.with_status(204);

    let path = format!("/v1/orders/{}", order.id);
    let kept: Value = shopper.get(&path).await.with_status(200).json();
    assert_eq!(kept["lines"][0]["title"], document(&sku)["title"]["en"]);
    assert_eq!(kept["lines"][0]["unit_cents"], 1250);
    // The API caches products for some seconds. Until then the order is refused because the stock
    // is too short.
    let another = eventually("not for sale", async || {
        let another = shopper.try_place_order(&OrderRequest::of(&sku, 2)).await;
        if another.status == 409 {
            return Err(another.body);
        }
        Ok(another)
    });
    let another = another.await;
    another.assert_problem(422, "validation", Some("lines[0].sku"));
}

#[tokio::test]
async fn stock_is_adjusted_once_audited_and_never_negative() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let tag = create(&manager, &sku).await;
    let key = Uuid::new_v4().to_string();
    let arrived = json!({ "delta": 5, "reason": "A pallet has arrived." });
    let first = adjust_stock(&manager, &sku, &key, &arrived)
        .await
        .with_status(201);
    let again = adjust_stock(&manager, &sku, &key, &arrived)
        .await
        .with_status(201);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = json!({ "delta": 6, "reason": "A pallet has arrived." });
    let refused = adjust_stock(&manager, &sku, &key, &other).await;
    refused.assert_problem(422, "idempotency-key-reused", Some("Idempotency-Key"));

    let keys = [(); 2].map(|()| Uuid::new_v4().to_string());
    let broken = json!({ "delta": -3, "reason": "They were broken." });
    let responses = keys
        .each_ref()
        .map(|key| adjust_stock(&manager, &sku, key, &broken));
    let mut responses = join_all(responses).await;
    responses.sort_by_key(|response| response.status);
    let [done, refused]: [Response; 2] = responses.try_into().unwrap();
    let done: Value = done.with_status(201).json();
    assert_eq!((&done["before"], &done["after"]), (&json!(5), &json!(2)));
    refused.assert_problem(409, "out-of-stock", Some("delta"));

    let stocked = manager
        .get(&format!("/v1/stock/{sku}"))
        .await
        .with_status(200);
    assert_eq!(
        stocked.json::<Value>(),
        json!({ "sku": sku, "available": 2 })
    );
    let path = format!("/v1/stock/{sku}/adjustments?limit=1");
    let page: Value = manager.get(&path).await.with_status(200).json();
    assert_eq!(page["items"][0]["reason"], "They were broken.");
    assert_eq!(page["items"][0]["by"], manager.claims()["email"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page: Value = manager.get(&format!("{path}&cursor={cursor}")).await.json();
    assert_eq!(page["items"][0]["delta"], 5);
    assert_eq!(page["next_cursor"], Value::Null);

    let audit = stack.database().await.audit_of(&sku).await;
    let adjusted = audit.iter().filter(|row| row["action"] == "stock.adjust");
    let outcomes: Vec<_> = adjusted
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    let count = |outcome: &str| outcomes.iter().filter(|it| **it == outcome).count();
    assert_eq!((count("done"), count("refused")), (2, 2), "{outcomes:?}");
    delete(&manager, &sku, &tag).await.with_status(204);
}

#[tokio::test]
async fn an_adjustment_requires_a_valid_amount_and_reason() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    for (body, field) in [
        (json!({ "delta": 0, "reason": "A test." }), "delta"),
        (json!({ "delta": 1_000_001, "reason": "A test." }), "delta"),
        (json!({ "delta": 1.5, "reason": "A test." }), "delta"),
        (json!({ "delta": "1", "reason": "A test." }), "delta"),
        (json!({ "delta": 1 }), "reason"),
        (json!({ "delta": 1, "reason": " " }), "reason"),
    ] {
        let response = adjust_stock(&manager, "TEA-0001", "a-key", &body).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let body = json!({ "delta": 1, "reason": "A test." });
    let nowhere = adjust_stock(&manager, &new_sku(), "a-key", &body).await;
    nowhere.assert_problem(404, "not-found", None);
    let path = "/v1/stock/TEA-0001/adjustments";
    let keyless = Response::of(manager.request(Method::POST, path).json(&body)).await;
    keyless.assert_problem(400, "idempotency-key-missing", Some("Idempotency-Key"));
}

#[tokio::test]
async fn a_shopper_cannot_edit_products_or_stock() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    for (method, path) in [
        (Method::GET, "/v1/products/TEA-0001/document"),
        (Method::PUT, "/v1/products/TEA-0001"),
        (Method::DELETE, "/v1/products/TEA-0001"),
        (Method::GET, "/v1/products/export"),
        (Method::POST, "/v1/products/import"),
        (Method::GET, "/v1/stock/TEA-0001"),
        (Method::GET, "/v1/stock/TEA-0001/adjustments"),
        (Method::POST, "/v1/stock/TEA-0001/adjustments"),
    ] {
        Response::of(shopper.request(method.clone(), path))
            .await
            .with_status(403);
        Response::of(stack.anonymous().request(method, path))
            .await
            .with_status(401);
    }
}

#[tokio::test]
async fn categories_list_their_attributes() {
    let stack = Stack::find();
    let request = stack.anonymous().request(Method::GET, "/v1/categories");
    let response = Response::of(request.header("Accept-Language", "es")).await;
    let list: Value = response.with_status(200).json();
    let mut categories = list["items"].as_array().unwrap().iter();
    let tea = categories.find(|it| it["id"] == "tea").unwrap();
    assert_eq!(tea["title"], "Té");
    let kind = |name: &str| {
        let mut attributes = tea["attributes"].as_array().unwrap().iter();
        attributes.find(|it| it["name"] == name).unwrap()["kind"].clone()
    };
    assert_eq!(kind("origin"), "text");
    assert_eq!(kind("organic"), "flag");
}
