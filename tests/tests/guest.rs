//! Orders without an account: they are placed, found by number and e-mail address, and cancelled,
//! and cannot be guessed.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    BUY_LABEL, Guest, Order, OrderRequest, Response, Stack, new_address, new_key, shipped, voided,
    waiting,
};
use uuid::Uuid;

/// A problem without its trace id.
fn problem_without_trace(response: &Response) -> Value {
    let mut problem: Value = response.json();
    problem["trace_id"] = Value::Null;
    problem
}

#[tokio::test]
async fn a_guest_places_an_order_and_finds_it() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0101", 10).await;
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let guest = Guest::of(&stack);

    let key = new_key();
    let first = guest
        .try_place_order(&OrderRequest::of("STATIONERY-0101", 1), &key)
        .await;
    let order: Order = first.clone().with_status(201).json();
    let again = guest
        .try_place_order(&OrderRequest::of("STATIONERY-0101", 1), &key)
        .await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &first.body)
    );
    let other = guest
        .try_place_order(&OrderRequest::of("STATIONERY-0101", 2), &key)
        .await;
    other.assert_problem(422, "idempotency-key-reused", Some("Idempotency-Key"));

    let order = support.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    let (found, events) = guest.order_and_events(&order).await;
    assert_eq!((found.id, found.status.as_str()), (order.id, "completed"));
    assert_eq!(events[0]["kind"], "accepted");
    assert!(events.iter().any(|event| event["kind"] == "shipped"));

    let sloppy = order.number.replace('-', " ").to_lowercase();
    let shouting = Guest::at(&stack, guest.email.to_uppercase(), new_address());
    shouting.find_order(&sloppy).await.with_status(200);
}

#[tokio::test]
async fn a_guest_finds_an_order_by_its_key_after_a_lost_response() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0106", 10).await;
    let _lock = stack.lock_providers().await;
    let (guest, stranger) = (Guest::of(&stack), Guest::of(&stack));

    let key = new_key();
    let none = guest.find_order_by_key(&key).await;
    assert_eq!(none.status, 204);
    let order = guest
        .try_place_order(&OrderRequest::of("STATIONERY-0106", 1), &key)
        .await;
    let order: Order = order.with_status(201).json();
    let found = guest.find_order_by_key(&key).await.with_status(200);
    assert_eq!(found.json::<Order>().number, order.number);

    let not_theirs = stranger.find_order_by_key(&key).await;
    let of_account = stack.new_shopper().await.find_order_by_key(&key).await;
    assert_eq!((not_theirs.status, of_account.status), (204, 204));
}

#[tokio::test]
async fn a_wrong_number_and_a_wrong_address_get_the_same_response() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0102", 10).await;
    let shopper = stack.new_shopper().await;
    let _lock = stack.lock_providers().await;
    let (guest, stranger) = (Guest::of(&stack), Guest::of(&stack));
    let order = guest
        .place_order(&OrderRequest::of("STATIONERY-0102", 1))
        .await;
    let of_account = shopper
        .place_order(&OrderRequest::of("STATIONERY-0102", 1))
        .await;

    let no_such_number = guest.find_order("0000-0000-00").await;
    no_such_number.assert_problem(404, "not-found", None);
    let not_theirs = stranger.find_order(&order.number).await;
    assert_eq!(
        problem_without_trace(&not_theirs),
        problem_without_trace(&no_such_number)
    );
    let cancelled = stranger.cancel(&order, &new_key()).await;
    assert_eq!(
        problem_without_trace(&cancelled),
        problem_without_trace(&no_such_number)
    );

    // Orders of an account are found only after sign-in, not by their number.
    let email = shopper.claims()["email"].as_str().map(str::to_owned);
    let without_signing_in = Guest::at(&stack, email.unwrap_or_default(), new_address());
    let of_account = without_signing_in.find_order(&of_account.number).await;
    assert_eq!(
        problem_without_trace(&of_account),
        problem_without_trace(&no_such_number)
    );
}

#[tokio::test]
async fn an_account_does_not_own_guest_orders_of_its_address() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0103", 10).await;
    let shopper = stack.new_shopper().await;
    let email = shopper.claims()["email"].as_str().map(str::to_owned);
    let guest = Guest::at(&stack, email.unwrap_or_default(), new_address());
    let order = guest
        .place_order(&OrderRequest::of("STATIONERY-0103", 1))
        .await;

    let orders: Value = shopper.get("/v1/orders").await.with_status(200).json();
    assert_eq!(orders["items"], json!([]));
    for path in ["", "/events"] {
        let path = format!("/v1/orders/{}{path}", order.id);
        let response = shopper.get(&path).await;
        response.assert_problem(404, "not-found", None);
    }
    let cancelled = shopper.cancel(&order).await;
    cancelled.assert_problem(404, "not-found", None);
    guest.find_order(&order.number).await.with_status(200);
}

#[tokio::test]
async fn a_guest_cancels_an_order_in_time() {
    let stack = Stack::find();
    let database = stack.database().await;
    database.restock("STATIONERY-0104", 5).await;
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let guest = Guest::of(&stack);

    stack.shipping.fail_all(BUY_LABEL).await;
    let order = guest
        .place_order(&OrderRequest::of("STATIONERY-0104", 2))
        .await;
    support.order(&order).until(waiting).await;
    let cancelled = guest.cancel(&order, "off").await.with_status(200);
    assert_eq!(cancelled.json::<Order>().status, "cancelled");
    assert_eq!(database.stock_of("STATIONERY-0104").await, 5);
    let again = guest.cancel(&order, "off").await.with_status(200);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &cancelled.body)
    );
    stack.shipping.recover().await;

    let order = support.order(&order).until(voided).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    let (_, events) = guest.order_and_events(&order).await;
    let end = events.iter().find(|event| event["kind"] == "cancelled");
    assert_eq!(end.map(|end| &end["data"]["by"]), Some(&"shopper".into()));
}

/// The limit is 10 per minute. Of 21 consecutive attempts, at least 11 are in the same minute.
const TOO_MANY: usize = 21;

async fn assert_limited(attempt: impl AsyncFn() -> Response) {
    for attempts in 0..TOO_MANY {
        let response = attempt().await;
        if response.status == 429 {
            assert!(attempts >= 10, "limited after {attempts}");
            response.assert_problem(429, "too-many-tries", None);
            let seconds: u32 = response.header("retry-after").parse().unwrap_or_default();
            assert!((1..=60).contains(&seconds), "{response:?}");
            return;
        }
        response.assert_problem(404, "not-found", None);
    }
    panic!("not limited after {TOO_MANY} attempts");
}

#[tokio::test]
async fn only_the_guessing_browser_is_limited() {
    let stack = Stack::find();
    let (address, victim) = (new_address(), Guest::of(&stack));
    // One browser attempt many e-mail addresses.
    assert_limited(async || {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        let guesser = Guest::at(&stack, email, address.clone());
        guesser.find_order("0000-0000-00").await
    })
    .await;
    let response = victim.find_order("0000-0000-00").await;
    response.assert_problem(404, "not-found", None);
}

#[tokio::test]
async fn guesses_of_others_do_not_lock_a_guest_out() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0101", 10).await;
    let guest = Guest::of(&stack);
    let order = guest
        .place_order(&OrderRequest::of("STATIONERY-0101", 1))
        .await;
    // A network may fail ten times a minute. These are three networks.
    for _ in 0..3 {
        let address = new_address();
        assert_limited(async || {
            let stranger = Guest::at(&stack, guest.email.clone(), address.clone());
            stranger.find_order("0000-0000-00").await
        })
        .await;
    }
    let (found, _) = guest.order_and_events(&order).await;
    assert_eq!(found.id, order.id);
}

#[tokio::test]
async fn orders_from_one_browser_are_limited() {
    let stack = Stack::find();
    let address = new_address();
    // Each is refused because of its product, and counts nevertheless.
    let order_request = OrderRequest::of("NO-SUCH-SKU", 1);
    for attempts in 0..TOO_MANY {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        let guest = Guest::at(&stack, email, address.clone());
        let response = guest.try_place_order(&order_request, &new_key()).await;
        if response.status == 429 {
            assert!(attempts >= 10, "limited after {attempts}");
            response.assert_problem(429, "too-many-orders", None);
            return;
        }
        response.assert_problem(422, "validation", Some("lines[0].sku"));
    }
    panic!("not limited after {TOO_MANY} attempts");
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_its_field() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let good = Guest::of(&stack);
    let long = format!("{}@example.com", "a".repeat(250));
    let order_request = |field: &str, value: Value| {
        let order_request =
            OrderRequest::of("STATIONERY-0105", 1).plus("email", good.email.as_str());
        let mut order_request: Value =
            serde_json::from_str(&order_request.body()).expect("an order request is JSON");
        order_request[field] = value;
        order_request
    };
    for (field, value) in [
        ("email", json!("")),
        ("email", json!("ana")),
        ("email", json!("<script>alert(1)</script>@example.com")),
        ("email", json!(long)),
        ("email", json!(7)),
        ("email", Value::Null),
        ("lines", json!([])),
        ("lines", json!("two")),
        ("currency", json!("euro")),
        ("payment_method", json!("4242424242424242")),
        ("shipping_address", json!("here")),
        ("shopper", json!(Uuid::new_v4())),
    ] {
        // Each comes from another browser, so that no limit is reached.
        let guest = Guest::at(&stack, good.email.clone(), new_address());
        let response = guest
            .post("/v1/guest/orders", &new_key(), &order_request(field, value))
            .await;
        response.assert_problem(422, "validation", Some(field));
    }
    let without_key = stack
        .anonymous()
        .request(Method::POST, "/v1/guest/orders")
        .json(&order_request("currency", json!("EUR")));
    Response::of(without_key).await.assert_problem(
        400,
        "idempotency-key-missing",
        Some("Idempotency-Key"),
    );

    let query = format!("email={}", good.email);
    let found = support.search("/v1/orders/search", &query).await;
    let found: Value = found.with_status(200).json();
    assert_eq!(found["items"], json!([]));
}

#[tokio::test]
async fn an_invalid_search_is_refused_with_its_field() {
    let stack = Stack::find();
    for (words, field) in [
        (json!({ "email": "ana@example.com" }), "number"),
        (
            json!({ "number": "", "email": "ana@example.com" }),
            "number",
        ),
        (json!({ "number": 7, "email": "ana@example.com" }), "number"),
        (
            json!({ "number": "<b>", "email": "ana@example.com" }),
            "number",
        ),
        (json!({ "number": "0000-0000-00", "email": "" }), "email"),
        (
            json!({ "number": "0000-0000-00", "email": "x".repeat(300) }),
            "email",
        ),
        (
            json!({ "number": "0000-0000-00", "email": "ana@example.com", "id": 1 }),
            "id",
        ),
    ] {
        for path in ["/v1/guest/orders/find", "/v1/guest/orders/cancel"] {
            let response = Guest::of(&stack).post(path, &new_key(), &words).await;
            response.assert_problem(422, "validation", Some(field));
        }
    }
}
