//! Orders without an account: placed, found again by number and address, called off; and nobody gets
//! at another's by guessing.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Answer, BUY_LABEL, Guest, Order, OrderRequest, Stack, new_address, new_key, shipped, voided,
    waiting,
};
use uuid::Uuid;

/// What a problem says, but for the trace.
fn said(answer: &Answer) -> Value {
    let mut problem: Value = answer.json();
    problem["trace_id"] = Value::Null;
    problem
}

#[tokio::test]
async fn a_guest_orders_and_finds_the_order_again() {
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
async fn a_guest_who_lost_the_answer_finds_the_order_by_its_key() {
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
async fn a_wrong_number_and_a_wrong_address_are_answered_the_same() {
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
    assert_eq!(said(&not_theirs), said(&no_such_number));
    let cancelled = stranger.cancel(&order, &new_key()).await;
    assert_eq!(said(&cancelled), said(&no_such_number));

    // Who has an account signs in for its orders, so that nobody else finds them by their number.
    let email = shopper.claims()["email"].as_str().map(str::to_owned);
    let without_signing_in = Guest::at(&stack, email.unwrap_or_default(), new_address());
    let of_account = without_signing_in.find_order(&of_account.number).await;
    assert_eq!(said(&of_account), said(&no_such_number));
}

#[tokio::test]
async fn an_account_does_not_get_the_orders_that_its_address_placed_as_a_guest() {
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
        let answer = shopper.get(&path).await;
        answer.assert_problem(404, "not-found", None);
    }
    let cancelled = shopper.cancel(&order).await;
    cancelled.assert_problem(404, "not-found", None);
    guest.find_order(&order.number).await.with_status(200);
}

#[tokio::test]
async fn a_guest_calls_an_order_off_in_time() {
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

/// Counted by the minute: of any 21 tries one after the other, at least 11 fall into one minute, unless
/// they take longer than that.
const TOO_MANY: usize = 21;

async fn is_stopped(tries: impl AsyncFn() -> Answer) {
    for tried in 0..TOO_MANY {
        let answer = tries().await;
        if answer.status == 429 {
            assert!(tried >= 10, "stopped after {tried}");
            answer.assert_problem(429, "too-many-tries", None);
            let seconds: u32 = answer.header("retry-after").parse().unwrap_or_default();
            assert!((1..=60).contains(&seconds), "{answer:?}");
            return;
        }
        answer.assert_problem(404, "not-found", None);
    }
    panic!("not stopped after {TOO_MANY} tries");
}

#[tokio::test]
async fn who_guesses_is_stopped_and_nobody_else() {
    let stack = Stack::find();
    let (address, victim) = (new_address(), Guest::of(&stack));
    // One browser, many addresses.
    is_stopped(async || {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        let guesser = Guest::at(&stack, email, address.clone());
        guesser.find_order("0000-0000-00").await
    })
    .await;
    let answer = victim.find_order("0000-0000-00").await;
    answer.assert_problem(404, "not-found", None);
}

#[tokio::test]
async fn strangers_do_not_lock_a_guest_out_of_their_order() {
    let stack = Stack::find();
    stack.database().await.restock("STATIONERY-0101", 10).await;
    let guest = Guest::of(&stack);
    let order = guest
        .place_order(&OrderRequest::of("STATIONERY-0101", 1))
        .await;
    // Ten wrong tries are all that a stranger's network has in a minute; here are three networks.
    for _ in 0..3 {
        let address = new_address();
        is_stopped(async || {
            let stranger = Guest::at(&stack, guest.email.clone(), address.clone());
            stranger.find_order("0000-0000-00").await
        })
        .await;
    }
    let (found, _) = guest.order_and_events(&order).await;
    assert_eq!(found.id, order.id);
}

#[tokio::test]
async fn only_so_many_orders_are_taken_from_one_browser() {
    let stack = Stack::find();
    let address = new_address();
    // Each is refused for what it wants, and counts all the same.
    let order_request = OrderRequest::of("NO-SUCH-SKU", 1);
    for tried in 0..TOO_MANY {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        let guest = Guest::at(&stack, email, address.clone());
        let answer = guest.try_place_order(&order_request, &new_key()).await;
        if answer.status == 429 {
            assert!(tried >= 10, "stopped after {tried}");
            answer.assert_problem(429, "too-many-orders", None);
            return;
        }
        answer.assert_problem(422, "validation", Some("lines[0].sku"));
    }
    panic!("not stopped after {TOO_MANY} tries");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_wish_is_said_by_its_field() {
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
        // Each from another browser: none of them is one too many.
        let guest = Guest::at(&stack, good.email.clone(), new_address());
        let answer = guest
            .post("/v1/guest/orders", &new_key(), &order_request(field, value))
            .await;
        answer.assert_problem(422, "validation", Some(field));
    }
    let without_key = stack
        .anonymous()
        .request(Method::POST, "/v1/guest/orders")
        .json(&order_request("currency", json!("EUR")));
    Answer::of(without_key).await.assert_problem(
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
async fn whatever_is_wrong_with_a_question_is_said_by_its_field() {
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
            let answer = Guest::of(&stack).post(path, &new_key(), &words).await;
            answer.assert_problem(422, "validation", Some(field));
        }
    }
}
