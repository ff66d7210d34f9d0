//! Orders during faults of a provider. A fault may delay an effect, but never duplicates or loses
//! it.

use jiff::SignedDuration;
use serde_json::Value;
use tests::{
    AUTHORIZE, BUY_LABEL, CAPTURE, LABEL_BOUGHT, LABEL_VOIDED, Order, OrderRequest, Stack,
    eventually, shipped, voided, waiting,
};

/// Waits until the order is shipped, and fails unless it was paid once and has one label.
async fn assert_shipped_once(stack: &Stack, shopper: &tests::Person, order: &Order) {
    let order = shopper.order(order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
}

#[tokio::test]
async fn a_lost_response_causes_no_second_charge() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0141", 10).await;

    for operation in [AUTHORIZE, CAPTURE] {
        let _lock = stack.lock_providers().await;
        stack.payments.lose_next_responses(1, operation).await;
        let order = shopper.place_order(&OrderRequest::of("TEA-0141", 1)).await;
        assert_shipped_once(&stack, &shopper, &order).await;
        stack.payments.assert_fault_used_up().await;
    }
}

#[tokio::test]
async fn an_order_waits_while_all_responses_are_lost_and_is_charged_once() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0142", 10).await;
    let _lock = stack.lock_providers().await;

    stack.payments.lose_all_responses().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0142", 1)).await;
    let order = shopper.order(&order).until(waiting).await;
    assert_eq!(order.payment, "unknown");
    assert_eq!(order.wait.as_ref().unwrap()["provider"], "payments");
    stack.payments.recover().await;

    assert_shipped_once(&stack, &shopper, &order).await;
}

#[tokio::test]
async fn a_lost_response_buys_no_second_label() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0143", 10).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.lose_next_responses(1, BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0143", 1)).await;
    assert_shipped_once(&stack, &shopper, &order).await;
    stack.shipping.assert_fault_used_up().await;
}

#[tokio::test]
async fn an_account_error_cancels_nothing_and_is_raised() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    let database = stack.database().await;
    database.restock("TEA-0136", 10).await;
    let _lock = stack.lock_providers().await;

    for (provider, name, code, operation) in [
        (&stack.payments, "payments", "account_invalid", AUTHORIZE),
        (&stack.shipping, "shipping", "insufficient_funds", BUY_LABEL),
    ] {
        provider.reject_account(operation).await;
        let order = shopper.place_order(&OrderRequest::of("TEA-0136", 1)).await;
        let order = shopper.order(&order).until(waiting).await;
        assert_eq!(order.wait.as_ref().unwrap()["provider"], name);
        let subject = format!("{name} {code}");
        assert_eq!(
            database.open_attention_about(&subject).await,
            ["not_served"]
        );
        provider.recover().await;
        assert_shipped_once(&stack, &shopper, &order).await;
    }
}

#[tokio::test]
async fn a_shipment_without_a_label_is_not_created_again() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0137", 10).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.replay_error(BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0137", 1)).await;
    assert_shipped_once(&stack, &shopper, &order).await;
    stack.shipping.assert_fault_used_up().await;
}

#[tokio::test]
async fn a_label_that_failed_is_bought_again() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0138", 10).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_next_labels(2).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0138", 1)).await;
    assert_shipped_once(&stack, &shopper, &order).await;
    stack.shipping.assert_fault_used_up().await;

    stack.shipping.delay_next_label(3_000).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0138", 1)).await;
    shopper.order(&order).until(waiting).await;
    assert_eq!(shopper.order(&order).now().await.payment, "authorized");
    assert_shipped_once(&stack, &shopper, &order).await;
    stack.shipping.assert_fault_used_up().await;
}

#[tokio::test]
async fn a_few_errors_do_not_make_an_order_wait() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0144", 10).await;
    // Earlier failures would open the circuit or have spent the retry budget.
    let lock = stack.lock_providers().await;
    eventually("healthy circuits", || stack.circuits_are_healthy()).await;

    for (provider, operation) in [
        (&stack.payments, AUTHORIZE),
        (&stack.payments, CAPTURE),
        (&stack.shipping, BUY_LABEL),
    ] {
        provider.fail_next(2, operation).await;
        let order = shopper.place_order(&OrderRequest::of("TEA-0144", 1)).await;
        assert_shipped_once(&stack, &shopper, &order).await;
        provider.assert_fault_used_up().await;
        assert!(
            !shopper
                .timeline_of(&order)
                .await
                .contains(&"held".to_owned())
        );
    }
    drop(lock);
}

#[tokio::test]
async fn retry_after_of_a_provider_is_respected() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0145", 10).await;
    let _lock = stack.lock_providers().await;

    stack.payments.rate_limit_next(AUTHORIZE, 3).await;
    stack.payments.reset_calls().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0145", 1)).await;
    assert_shipped_once(&stack, &shopper, &order).await;
    stack.payments.assert_fault_used_up().await;
    let asked = stack.payments.first_call_at().await;
    let waited = stack
        .payments
        .first_effect_at(&order)
        .await
        .duration_since(asked);
    assert!(waited >= SignedDuration::from_secs(3), "after {waited:#}");
}

#[tokio::test]
async fn an_order_waits_for_shipping_and_shows_it() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0146", 10).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0146", 1)).await;
    let order = shopper.order(&order).until(waiting).await;
    assert_eq!(
        (order.status.as_str(), order.payment.as_str()),
        ("confirmed", "authorized")
    );
    assert_eq!(order.wait.as_ref().unwrap()["provider"], "shipping");
    stack.shipping.recover().await;

    assert_shipped_once(&stack, &shopper, &order).await;
}

#[tokio::test]
async fn an_order_cancelled_in_time_is_restocked_and_its_authorization_voided() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0147", 5).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0147", 2)).await;
    shopper.order(&order).until(waiting).await;
    let cancelled = shopper
        .cancel_with_key(&order, "off")
        .await
        .with_status(200);
    assert_eq!(cancelled.json::<Order>().status, "cancelled");
    assert_eq!(database.stock_of("TEA-0147").await, 5);

    let again = shopper
        .cancel_with_key(&order, "off")
        .await
        .with_status(200);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &cancelled.body)
    );
    // The authorization is voided before the shipping service recovers.
    eventually("voided", async || {
        let ledger = stack.payments.ledger_of(&order).await;
        let is_voided = ledger == order.voided_once();
        is_voided.then_some(()).ok_or_else(|| format!("{ledger:?}"))
    })
    .await;
    stack.shipping.recover().await;

    let order = shopper.order(&order).until(voided).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    assert!(stack.shipping.ledger_of(&order).await.is_empty());
    assert_eq!(database.stock_of("TEA-0147").await, 5);
}

#[tokio::test]
async fn an_unknown_label_is_voided_when_the_order_is_cancelled() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0148", 5).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.lose_all_responses().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0148", 1)).await;
    shopper.order(&order).until(waiting).await;
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
    shopper.cancel(&order).await.with_status(200);
    stack.shipping.recover().await;

    let order = shopper.order(&order).until(voided).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    assert_eq!(
        stack.shipping.ledger_of(&order).await,
        [LABEL_BOUGHT, LABEL_VOIDED]
    );
    assert_eq!(database.stock_of("TEA-0148").await, 5);
}

#[tokio::test]
async fn an_order_cancelled_before_its_authorization_is_known_is_voided() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0149", 5).await;
    let _lock = stack.lock_providers().await;

    stack.payments.lose_all_responses().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0149", 1)).await;
    shopper.order(&order).until(waiting).await;
    shopper.cancel(&order).await.with_status(200);
    stack.payments.recover().await;

    let order = shopper.order(&order).until(voided).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    assert!(stack.shipping.ledger_of(&order).await.is_empty());
    assert_eq!(database.stock_of("TEA-0149").await, 5);
}

#[tokio::test]
async fn the_timeline_contains_the_wait_once() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0150", 10).await;
    let _lock = stack.lock_providers().await;

    // Each step makes three calls: two steps fail, the third succeeds.
    stack.payments.fail_next(6, AUTHORIZE).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0150", 1)).await;
    assert_shipped_once(&stack, &shopper, &order).await;
    let events = shopper.events_of(&order).await;
    let held: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "held")
        .collect();
    assert_eq!(held.len(), 1, "{events:?}");
    assert_eq!(held[0]["data"]["provider"], "payments");
}
