//! Support for shoppers: finding orders, reading their payments, cancelling and refunding them up
//! to a limit, with a reason and audited.

use serde_json::{Value, json};
use tests::{
    BUY_LABEL, Order, OrderRequest, Person, Response, Stack, eventually, shipped, voided, waiting,
};
use uuid::Uuid;

async fn get(person: &Person, path: &str) -> Value {
    person.get(path).await.with_status(200).json()
}

async fn search(person: &Person, query: &str) -> Response {
    person.search("/v1/orders/search", query).await
}

/// The ids of the orders that a search finds, over all pages.
async fn search_all(person: &Person, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = search(person, &format!("{query}{cursor}")).await;
        let page: Value = page.with_status(200).json();
        let items = page["items"].as_array().cloned().unwrap_or_default();
        ids.extend(
            items
                .iter()
                .filter_map(|it| Some(it["id"].as_str()?.to_owned())),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

fn email_of(person: &Person) -> String {
    let claims = person.claims();
    claims["email"].as_str().unwrap_or_default().to_owned()
}

/// Requests that an order is cancelled, with this body.
async fn cancel(person: &Person, order: &Order, body: &Value) -> Response {
    let key = Uuid::new_v4().to_string();
    Response::of(person.cancel_request(order, &key).json(body)).await
}

async fn request_refund(person: &Person, order: &Order, cents: i64) -> Response {
    let key = Uuid::new_v4().to_string();
    Response::of(person.refund_request(order, cents, &key)).await
}

#[tokio::test]
async fn support_finds_an_order_by_any_detail_that_the_shopper_knows() {
    let stack = Stack::find();
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    stack.database().await.restock("STATIONERY-0110", 10).await;
    let _lock = stack.lock_providers().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shopper
            .place_order(&OrderRequest::of("STATIONERY-0110", 1))
            .await;
        orders.push(shopper.order(&order).until(shipped).await);
    }
    let newest_first: Vec<String> = orders.iter().rev().map(|it| it.id.to_string()).collect();
    let email = email_of(&shopper);

    let order = &orders[1];
    let (id, number) = (order.id.to_string(), order.number.to_lowercase());
    assert_eq!(
        search_all(&support, &format!("order={id}")).await,
        [id.as_str()]
    );
    assert_eq!(
        search_all(&support, &format!("order={number}")).await,
        [id.as_str()]
    );

    let shouted = email.to_uppercase();
    for query in [
        format!("email={shouted}"),
        format!("email={email}&limit=1"),
        format!("email={email}&status=completed&payment=captured&fulfilment=shipped&limit=2"),
        format!("email={email}&placed_from=2026-01-01T00:00:00Z&placed_to=9000-01-01T00:00:00Z"),
    ] {
        assert_eq!(search_all(&support, &query).await, newest_first, "{query}");
    }
    for query in [
        format!("email={email}&status=cancelled"),
        format!("email={email}&payment=refunded"),
        format!("email={email}&fulfilment=delivered"),
        format!("email={email}&placed_to=2026-01-01T00:00:00Z"),
        format!("email={email}&order={}", Uuid::now_v7()),
        format!("email=x{email}"),
    ] {
        let none: [&str; 0] = [];
        assert_eq!(search_all(&support, &query).await, none, "{query}");
    }

    let placed: Value = get(&support, &format!("/v1/orders/{id}")).await;
    let placed = placed["placed_at"].as_str().unwrap_or_default().to_owned();
    let from_then_on = search_all(&support, &format!("email={email}&placed_from={placed}")).await;
    assert_eq!(from_then_on, newest_first[..2]);
    let before = search_all(&support, &format!("email={email}&placed_to={placed}")).await;
    assert_eq!(before, newest_first[2..]);

    let page = search(&support, &format!("order={id}")).await;
    let page: Value = page.with_status(200).json();
    assert_eq!(page["items"][0]["email"], email);
    assert_eq!(page["items"][0]["is_guest"], false);
}

#[tokio::test]
async fn unknown_or_invalid_search_parameters_are_refused() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    for (query, field) in [
        ("order=", "order"),
        ("order=<script>alert(1)</script>", "order"),
        ("email=ana", "email"),
        ("email=\0@example.com", "email"),
        ("status=captured", "status"),
        ("payment=paid", "payment"),
        ("fulfilment=", "fulfilment"),
        ("placed_from=yesterday", "placed_from"),
        ("placed_to=2026-13-01T00:00:00Z", "placed_to"),
        ("limit=101", "limit"),
        ("colour=red", "colour"),
    ] {
        let response = search(&support, query).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let response = search(&support, "cursor=nonsense").await;
    response.assert_problem(400, "invalid-cursor", Some("cursor"));
}

#[tokio::test]
async fn searching_requires_the_scope_to_read_any_order() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    let manager = stack.staff("catalogue-manager").await;
    let query = format!("email={}", email_of(&shopper));
    for person in [&shopper, &manager] {
        search(person, &query).await.with_status(403);
    }
    search(&stack.anonymous(), &query).await.with_status(401);
    let operator = stack.staff("operator").await;
    search(&operator, &query).await.with_status(200);
}

#[tokio::test]
async fn only_staff_see_the_payment_details() {
    let stack = Stack::find();
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    stack.database().await.restock("STATIONERY-0111", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("STATIONERY-0111", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    request_refund(&support, &order, 30).await.with_status(202);
    let partly = |order: &Order| order.payment == "partially_refunded";
    shopper.order(&order).until(partly).await;

    let path = format!("/v1/orders/{}", order.id);
    let seen = get(&support, &path).await["for_staff"].clone();
    assert_eq!(seen["email"], email_of(&shopper));
    let money = seen["money"].as_array().cloned().unwrap_or_default();
    let moved: Vec<_> = money
        .iter()
        .map(|it| {
            (
                it["kind"].as_str().unwrap_or_default(),
                it["cents"].as_i64(),
            )
        })
        .collect();
    let total = Some(order.total_cents);
    assert_eq!(
        moved,
        [("held", total), ("captured", total), ("refunded", Some(30))]
    );
    assert!(money.iter().all(|it| it["at"].is_string()), "{money:?}");
    assert!(money[2]["refund_id"].is_string(), "{money:?}");

    assert_eq!(get(&shopper, &path).await["for_staff"], Value::Null);
}

#[tokio::test]
async fn support_cancels_an_order_with_a_reason() {
    let stack = Stack::find();
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    let (operator, other) = (stack.staff("operator").await, stack.new_shopper().await);
    let database = stack.database().await;
    database.restock("STATIONERY-0112", 5).await;
    let _lock = stack.lock_providers().await;
    stack.shipping.fail_all(BUY_LABEL).await;
    let order = shopper
        .place_order(&OrderRequest::of("STATIONERY-0112", 2))
        .await;
    shopper.order(&order).until(waiting).await;

    let why = json!({ "reason": "The shopper rang and changed her mind." });
    cancel(&other, &order, &why)
        .await
        .assert_problem(404, "not-found", None);
    cancel(&operator, &order, &why)
        .await
        .assert_problem(403, "forbidden", None);
    support
        .cancel(&order)
        .await
        .assert_problem(422, "validation", Some("reason"));
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": null }), "reason"),
        (json!({ "reason": "" }), "reason"),
        (json!({ "reason": "no" }), "reason"),
        (json!({ "reason": "x".repeat(501) }), "reason"),
        (json!({ "reason": 7 }), "reason"),
        (json!({ "reason": "She rang.", "refund": true }), "refund"),
    ] {
        let response = cancel(&support, &order, &body).await;
        response.assert_problem(422, "validation", Some(field));
    }
    assert_eq!(shopper.order(&order).now().await.status, "confirmed");

    let cancelled = cancel(&support, &order, &why).await.with_status(200);
    assert_eq!(cancelled.json::<Order>().status, "cancelled");
    assert_eq!(database.stock_of("STATIONERY-0112").await, 5);
    stack.shipping.recover().await;
    let order = shopper.order(&order).until(voided).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());

    let end = |events: &[Value]| {
        let end = events.iter().find(|event| event["kind"] == "cancelled");
        end.map(|end| end["data"].clone()).unwrap_or_default()
    };
    let to_staff = end(&support.events_of(&order).await);
    assert_eq!(to_staff, json!({ "by": "staff", "reason": why["reason"] }));
    let to_shopper = end(&shopper.events_of(&order).await);
    assert_eq!(to_shopper, json!({ "by": "staff" }));

    let mut audit = database.audit_of(&order.id.to_string()).await;
    // Reading the order is audited too.
    audit.retain(|row| row["action"] != "order.read");
    let by_support: Vec<_> = audit
        .iter()
        .filter(|row| row["actor"] == email_of(&support))
        .collect();
    assert_eq!(by_support.len(), 9, "{audit:?}");
    assert!(by_support.iter().all(|row| row["action"] == "order.cancel"));
    let done: Vec<_> = audit
        .iter()
        .filter(|row| row["outcome"] == "done")
        .collect();
    assert_eq!(done.len(), 1, "{audit:?}");
    assert_eq!(done[0]["reason"], why["reason"]);
    assert_eq!(done[0]["before"]["status"], "confirmed");
    assert_eq!(done[0]["after"]["status"], "cancelled");
}

#[tokio::test]
async fn support_cannot_cancel_a_shipped_order_either() {
    let stack = Stack::find();
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    stack.database().await.restock("STATIONERY-0113", 5).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("STATIONERY-0113", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    let why = json!({ "reason": "The shopper rang and changed her mind." });
    let late = cancel(&support, &order, &why).await;
    late.assert_problem(409, "order-not-cancellable", None);
}

/// What support may refund of one order, from the template.
const LIMIT: i64 = 20_000;

/// What one person may refund of one order without approval, from the template.
const WITHOUT_APPROVAL: i64 = 50_000;

#[tokio::test]
async fn support_refunds_up_to_a_limit_and_an_administrator_the_rest() {
    let stack = Stack::find();
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    let administrator = stack.staff("administrator").await;
    let database = stack.database().await;
    database.restock("STATIONERY-0114", 500).await;
    let _lock = stack.lock_providers().await;
    let product = get(&shopper, "/v1/products/STATIONERY-0114").await;
    let price = product["price"]["cents"].as_i64().unwrap_or_default();
    let order = shopper
        .place_order(&OrderRequest::of("STATIONERY-0114", LIMIT / price + 2))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    assert!(order.total_cents > LIMIT + 1, "{order:?}");
    assert!(order.total_cents <= WITHOUT_APPROVAL, "{order:?}");

    let over = async |cents: i64| {
        let response = request_refund(&support, &order, cents).await;
        response.assert_problem(403, "refund-over-limit", Some("amount_cents"));
    };
    over(LIMIT + 1).await;
    over(order.total_cents).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    request_refund(&support, &order, LIMIT - 1)
        .await
        .with_status(202);
    // The limit is for the order, not for each refund.
    over(2).await;
    request_refund(&support, &order, 1).await.with_status(202);
    over(1).await;
    // A refund of more than was captured is refused first, for any role.
    let too_much = request_refund(&support, &order, order.total_cents).await;
    too_much.assert_problem(422, "refund-too-large", Some("amount_cents"));

    let rest = order.total_cents - LIMIT;
    request_refund(&administrator, &order, rest)
        .await
        .with_status(202);
    let refunded = |order: &Order| order.payment == "refunded";
    let order = shopper.order(&order).until(refunded).await;
    eventually("refunded to the cent", async || {
        let ledger = stack.payments.ledger_of(&order).await;
        let parts = [LIMIT - 1, 1, rest].map(|cents| format!("refunded {cents} EUR"));
        let all = ledger.len() == 5 && parts.iter().all(|part| ledger.contains(part));
        all.then_some(()).ok_or_else(|| format!("{ledger:?}"))
    })
    .await;

    let audit = database.audit_of(&order.id.to_string()).await;
    let refused = |kind: &str| {
        let of_kind = audit.iter().filter(|row| row["after"]["problem"] == kind);
        of_kind.count()
    };
    assert_eq!(refused("refund-over-limit"), 4, "{audit:?}");
    let done = audit.iter().filter(|row| row["outcome"] == "done");
    assert_eq!(done.count(), 3, "{audit:?}");
}

#[tokio::test]
async fn a_shopper_can_use_no_route_for_staff() {
    let stack = Stack::find();
    let (shopper, other) = (stack.new_shopper().await, stack.new_shopper().await);
    stack.database().await.restock("STATIONERY-0115", 5).await;
    let _lock = stack.lock_providers().await;
    let order = other
        .place_order(&OrderRequest::of("STATIONERY-0115", 1))
        .await;
    let order = other.order(&order).until(shipped).await;

    request_refund(&shopper, &order, 1).await.with_status(403);
    let body = json!({ "reason": "It is not mine at all." });
    let not_theirs = cancel(&shopper, &order, &body).await;
    not_theirs.assert_problem(404, "not-found", None);
    let path = format!("/v1/orders/{}", order.id);
    shopper
        .get(&path)
        .await
        .assert_problem(404, "not-found", None);
    search(&shopper, "").await.with_status(403);
}
