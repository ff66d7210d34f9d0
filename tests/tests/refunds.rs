//! Refunds, in part or in full: never more than was captured, never twice, and only by staff.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Order, OrderRequest, Person, REFUND, Response, Stack, eventually, shipped, waiting};
use uuid::Uuid;

/// A shipped order of one article.
async fn paid(stack: &Stack, sku: &str) -> (Person, Order) {
    let shopper = stack.new_shopper().await;
    stack.database().await.restock(sku, 10).await;
    let order = shopper.place_order(&OrderRequest::of(sku, 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    (shopper, order)
}

/// Requests a refund with this body.
async fn request_refund(person: &Person, order: &Order, key: &str, words: &Value) -> Response {
    let path = format!("/v1/orders/{}/refunds", order.id);
    let request = person.request(Method::POST, &path);
    Response::of(request.header("Idempotency-Key", key).json(words)).await
}

/// Requests a refund of this amount, with a new key.
async fn request_amount(person: &Person, order: &Order, cents: i64) -> Response {
    let key = Uuid::new_v4().to_string();
    Response::of(person.refund_request(order, cents, &key)).await
}

fn full_refund() -> Value {
    json!({ "currency": "EUR", "reason": "It was damaged." })
}

/// The payment ledger of an order that was paid once and refunded in these parts.
fn refunded_ledger(order: &Order, parts: &[i64]) -> Vec<String> {
    let parts = parts.iter().map(|cents| format!("refunded {cents} EUR"));
    order.paid_once().into_iter().chain(parts).collect()
}

fn refunded(order: &Order) -> bool {
    order.payment == "refunded"
}

fn partially_refunded(order: &Order) -> bool {
    order.payment == "partially_refunded"
}

#[tokio::test]
async fn a_replayed_error_delays_a_refund_but_does_not_prevent_it() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0109").await;

    stack.payments.replay_error(REFUND).await;
    request_amount(&support, &order, 300).await.with_status(202);
    let order = shopper.order(&order).until(partially_refunded).await;
    let ledger = stack.payments.ledger_of(&order).await;
    assert_eq!(ledger, refunded_ledger(&order, &[300]));
    stack.payments.assert_fault_used_up().await;
}

#[tokio::test]
async fn a_refund_made_after_an_error_is_not_made_again() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0110").await;

    stack.payments.delay_next_effect(1_500, REFUND).await;
    request_amount(&support, &order, 300).await.with_status(202);
    let order = shopper.order(&order).until(partially_refunded).await;
    let ledger = stack.payments.ledger_of(&order).await;
    assert_eq!(ledger, refunded_ledger(&order, &[300]));
    stack.payments.assert_fault_used_up().await;
    // The refund is found by its id, and no other was made.
    assert_eq!(stack.payments.ledger_of(&order).await.len(), 3);
}

#[tokio::test]
async fn a_full_refund_is_made_once_and_the_shopper_sees_it_without_the_reason() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0101").await;

    let key = Uuid::new_v4().to_string();
    let first = request_refund(&support, &order, &key, &full_refund())
        .await
        .with_status(202);
    let refund: Value = first.json();
    assert_eq!(refund["amount_cents"], order.total_cents);
    let order = shopper.order(&order).until(refunded).await;
    assert_eq!(
        stack.payments.ledger_of(&order).await,
        refunded_ledger(&order, &[order.total_cents])
    );

    let again = request_refund(&support, &order, &key, &full_refund())
        .await
        .with_status(202);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &first.body)
    );
    let other = json!({ "amount_cents": 1, "currency": "EUR", "reason": "It was late." });
    let reused = request_refund(&support, &order, &key, &other).await;
    reused.assert_problem(422, "idempotency-key-reused", Some("Idempotency-Key"));

    let timeline = shopper.timeline_of(&order).await;
    assert!(timeline.ends_with(&["refund_requested".into(), "refunded".into()]));
    for path in ["", "/events"] {
        let path = format!("/v1/orders/{}{path}", order.id);
        let seen = shopper.get(&path).await.with_status(200);
        assert!(!seen.body.contains("damaged"), "{}", seen.body);
    }
    let audit = stack.database().await.audit_of(&order.id.to_string()).await;
    let done: Vec<_> = audit.iter().filter(|it| it["outcome"] == "done").collect();
    assert_eq!(done.len(), 1, "{audit:?}");
    assert_eq!(done[0]["actor"], support.claims()["email"]);
    assert_eq!(done[0]["reason"], "It was damaged.");
}

#[tokio::test]
async fn parts_are_refunded_until_nothing_is_left() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0102").await;

    let rest = order.total_cents - 300;
    for cents in [100, 200] {
        request_amount(&support, &order, cents)
            .await
            .with_status(202);
        shopper.order(&order).until(partially_refunded).await;
    }
    request_amount(&support, &order, rest + 1)
        .await
        .assert_problem(422, "refund-too-large", Some("amount_cents"));
    request_amount(&support, &order, rest)
        .await
        .with_status(202);
    let order = shopper.order(&order).until(refunded).await;
    let ledger = stack.payments.ledger_of(&order).await;
    assert_eq!(ledger.len(), 5, "{ledger:?}");
    for part in refunded_ledger(&order, &[100, 200, rest]) {
        assert!(ledger.contains(&part), "{part}: {ledger:?}");
    }

    request_amount(&support, &order, 1).await.assert_problem(
        422,
        "refund-too-large",
        Some("amount_cents"),
    );
    let full = request_refund(&support, &order, "full_refund", &full_refund()).await;
    full.assert_problem(409, "order-not-refundable", None);
}

#[tokio::test]
async fn concurrent_refunds_do_not_exceed_the_captured_amount() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0103").await;

    let part = order.total_cents / 3 + 1;
    let responses = join_all((0..6).map(|_| request_amount(&support, &order, part))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = responses.iter().partition(|it| it.status == 202);
    assert_eq!(taken.len(), 2, "{responses:?}");
    for response in refused {
        response.assert_problem(422, "refund-too-large", Some("amount_cents"));
    }
    let expected = refunded_ledger(&order, &[part, part]);
    eventually("refunded", async || {
        let ledger = stack.payments.ledger_of(&order).await;
        if ledger == expected {
            Ok(())
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await;
    shopper.order(&order).until(partially_refunded).await;
}

#[tokio::test]
async fn a_lost_response_causes_no_second_refund() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0104").await;

    // One call is enough if the event about the refund arrives before the second.
    stack.payments.lose_next_responses(1, REFUND).await;
    let key = Uuid::new_v4().to_string();
    request_refund(&support, &order, &key, &full_refund())
        .await
        .with_status(202);
    let order = shopper.order(&order).until(refunded).await;
    assert_eq!(
        stack.payments.ledger_of(&order).await,
        refunded_ledger(&order, &[order.total_cents])
    );
    stack.payments.assert_fault_used_up().await;
}

#[tokio::test]
async fn invalid_refunds_are_refused_and_audited() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (_, order) = paid(&stack, "CERAMICS-0105").await;

    let with = |field: &str, value: Value| {
        let mut words = full_refund();
        words[field] = value;
        words
    };
    for (words, field) in [
        (with("currency", json!("USD")), "currency"),
        (with("amount_cents", json!(0)), "amount_cents"),
        (with("amount_cents", json!(-1)), "amount_cents"),
        (with("amount_cents", json!("1")), "amount_cents"),
        (with("reason", json!("no")), "reason"),
        (with("colour", json!("red")), "colour"),
    ] {
        let response = request_refund(&support, &order, "bad", &words).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let too_much = with("amount_cents", json!(order.total_cents + 1));
    let too_much = request_refund(&support, &order, "bad", &too_much).await;
    too_much.assert_problem(422, "refund-too-large", Some("amount_cents"));

    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    let audit = stack.database().await.audit_of(&order.id.to_string()).await;
    assert_eq!(audit.len(), 7, "{audit:?}");
    assert!(audit.iter().all(|row| row["outcome"] == "refused"));
    assert_eq!(audit[0]["after"]["field"], "currency");
}

#[tokio::test]
async fn an_uncaptured_payment_cannot_be_refunded() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("CERAMICS-0106", 10).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(tests::BUY_LABEL).await;
    let order = shopper
        .place_order(&OrderRequest::of("CERAMICS-0106", 1))
        .await;
    let order = shopper.order(&order).until(waiting).await;
    let early = request_amount(&support, &order, 100).await;
    early.assert_problem(409, "order-not-refundable", None);
    stack.shipping.recover().await;

    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn a_shopper_cannot_refund() {
    let stack = Stack::find();
    let _lock = stack.lock_providers().await;
    let (shopper, order) = paid(&stack, "CERAMICS-0107").await;

    let key = Uuid::new_v4().to_string();
    request_refund(&shopper, &order, &key, &full_refund())
        .await
        .with_status(403);
    let stranger = stack.anonymous();
    request_refund(&stranger, &order, &key, &full_refund())
        .await
        .with_status(401);
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn an_unknown_order_cannot_be_refunded() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    for id in [Uuid::now_v7().to_string(), "tea".to_owned()] {
        let path = format!("/v1/orders/{id}/refunds");
        let request = support.request(Method::POST, &path).json(&full_refund());
        let response = Response::of(request.header("Idempotency-Key", "none")).await;
        response.assert_problem(404, "not-found", None);
    }
}
