//! Long outages of a provider: orders are still accepted, wait without repeated calls, and resume
//! automatically after the recovery.

use std::time::Duration;

use tests::{
    AUTHORIZE, BUY_LABEL, EVERYTHING, LABEL_BOUGHT, OrderRequest, ReplayedRefusal, Stack,
    eventually, shipped, voided, waiting,
};

/// Enough orders to open the circuit.
const ORDERS: usize = 30;

#[tokio::test]
async fn orders_are_accepted_while_payments_are_down_and_ship_once_they_are_back() {
    let stack = Stack::find();
    let (shoppers, database) = (stack.shoppers().await, stack.database().await);
    database.restock("TEA-0131", 1_000).await;
    let _lock = stack.lock_providers().await;

    stack.payments.fail_all(EVERYTHING).await;
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        let shopper = &shoppers[number % shoppers.len()];
        orders.push((
            shopper,
            shopper.place_order(&OrderRequest::of("TEA-0131", 1)).await,
        ));
    }
    for (shopper, order) in &orders {
        let order = shopper.order(order).until(waiting).await;
        assert_eq!(order.wait.unwrap()["provider"], "payments");
    }
    eventually("open", async || stack.circuit_is("payments", "open").await).await;

    // While the circuit is open, the provider receives only probes.
    stack.payments.reset_calls().await;
    let (shopper, order) = (
        &shoppers[0],
        shoppers[0]
            .place_order(&OrderRequest::of("TEA-0131", 1))
            .await,
    );
    shopper.order(&order).until(waiting).await;
    eventually("probed", async || {
        let calls = stack.payments.calls_to("GET /v1/balance").await;
        if calls > 0 {
            Ok(())
        } else {
            Err("not".to_owned())
        }
    })
    .await;
    assert!(
        stack.payments.calls_to(AUTHORIZE).await <= 3,
        "live calls went on"
    );
    orders.push((shopper, order));

    stack.payments.recover().await;
    for (shopper, order) in &orders {
        let order = shopper.order(order).until(shipped).await;
        assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
        assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
    }
    eventually("closed", async || {
        stack.circuit_is("payments", "closed").await
    })
    .await;
}

#[tokio::test]
async fn an_order_that_waits_past_its_deadline_is_cancelled_and_shows_the_cause() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0132", 5).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0132", 2)).await;
    shopper.order(&order).until(waiting).await;
    database.backdate(&order, Duration::from_hours(80)).await;

    let order = shopper.order(&order).until(voided).await;
    let events = shopper.events_of(&order).await;
    let cancelled = events.iter().find(|event| event["kind"] == "cancelled");
    assert_eq!(cancelled.unwrap()["data"]["by"], "deadline");
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    assert_eq!(database.stock_of("TEA-0132").await, 5);
}

#[tokio::test]
async fn a_look_up_ends_a_replayed_error() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0133", 5).await;
    let _lock = stack.lock_providers().await;

    stack.payments.replay_error(AUTHORIZE).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0133", 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    let timeline = shopper.timeline_of(&order).await;
    assert!(
        timeline.contains(&"payment_not_found".to_owned()),
        "{timeline:?}"
    );
}

#[tokio::test]
async fn a_replayed_refusal_does_not_cancel_the_order() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0139", 5).await;
    let _lock = stack.lock_providers().await;

    for kept in [ReplayedRefusal::OwnError, ReplayedRefusal::Account] {
        stack.payments.replay_refusal(kept, AUTHORIZE).await;
        let order = shopper.place_order(&OrderRequest::of("TEA-0139", 1)).await;
        let order = shopper.order(&order).until(shipped).await;
        assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
        stack.payments.assert_fault_used_up().await;
    }
}

#[tokio::test]
async fn a_payment_authorized_after_an_error_is_not_authorized_again() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0140", 5).await;
    let _lock = stack.lock_providers().await;

    stack.payments.delay_next_effect(1_500, AUTHORIZE).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0140", 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn an_order_whose_execution_was_lost_is_processed_again() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0134", 5).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(BUY_LABEL).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0134", 1)).await;
    shopper.order(&order).until(waiting).await;
    stack.stop_execution(&order).await;
    stack.shipping.recover().await;

    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
}
