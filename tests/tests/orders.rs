//! Orders from placement to shipment, as their shopper sees them.

use reqwest::Method;
use serde_json::Value;
use tests::{
    DECLINED, LABEL_BOUGHT, NOWHERE, Order, OrderRequest, Response, Stack, declined, shipped,
    voided,
};
use uuid::Uuid;

#[tokio::test]
async fn an_order_is_paid_and_shipped() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0151", 10).await;
    database.restock("COFFEE-0152", 10).await;

    let order = shopper
        .place_order(&OrderRequest::of("COFFEE-0151", 2).and("COFFEE-0152", 1))
        .await;
    let cost = |order: &Order| {
        order
            .lines
            .iter()
            .map(|it| it.unit_cents * it.quantity)
            .sum::<i64>()
    };
    assert_eq!(order.total_cents, cost(&order));
    assert_eq!(order.status, "pending");

    let order = shopper.order(&order).until(shipped).await;
    assert!(order.tracking_number.is_some() && order.wait.is_none());
    assert_eq!(
        shopper.timeline_of(&order).await,
        [
            "accepted",
            "payment_authorized",
            "label_requested",
            "label_bought",
            "payment_captured",
            "shipped"
        ],
    );
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
    assert_eq!(database.stock_of("COFFEE-0151").await, 8);
    assert_eq!(database.stock_of("COFFEE-0152").await, 9);
}

#[tokio::test]
async fn an_accepted_order_has_a_location() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("COFFEE-0153", 10).await;

    let response = shopper
        .try_place_order(&OrderRequest::of("COFFEE-0153", 1))
        .await
        .with_status(201);
    let order: Order = response.json();
    assert_eq!(
        response.header("location"),
        format!("/v1/orders/{}", order.id)
    );
    let seen = shopper
        .get(response.header("location"))
        .await
        .with_status(200);
    assert_eq!(seen.json::<Order>().number, order.number);
}

#[tokio::test]
async fn a_shopper_finds_an_order_by_its_key_after_a_lost_response() {
    let stack = Stack::find();
    let (shopper, stranger) = (stack.new_shopper().await, stack.new_shopper().await);
    stack.database().await.restock("STATIONERY-0107", 10).await;

    let key = Uuid::new_v4().to_string();
    let none = shopper.find_order_by_key(&key).await;
    assert_eq!(none.status, 204);
    let order = shopper
        .try_place_order_with_key(&OrderRequest::of("STATIONERY-0107", 1), &key)
        .await;
    let order: Order = order.with_status(201).json();
    // The response has the current order, not the one at acceptance.
    let order = shopper.order(&order).until(shipped).await;
    let found = shopper.find_order_by_key(&key).await.with_status(200);
    let found: Order = found.json();
    assert_eq!((found.id, found.status), (order.id, order.status));

    let other = shopper
        .try_place_order_with_key(&OrderRequest::of("STATIONERY-0107", 2), &key)
        .await;
    other.assert_problem(422, "idempotency-key-reused", Some("Idempotency-Key"));
    let not_theirs = stranger.find_order_by_key(&key).await;
    assert_eq!(not_theirs.status, 204);
    let without_key = shopper.request(Method::POST, "/v1/orders/placed");
    Response::of(without_key).await.assert_problem(
        400,
        "idempotency-key-missing",
        Some("Idempotency-Key"),
    );
}

#[tokio::test]
async fn a_declined_order_is_restocked_and_not_authorized() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0154", 3).await;

    let order = shopper
        .place_order(&OrderRequest::of("COFFEE-0154", 3).paid_with(DECLINED))
        .await;
    shopper.order(&order).until(declined).await;
    assert_eq!(
        shopper.timeline_of(&order).await,
        ["accepted", "payment_declined", "cancelled"]
    );
    assert_eq!(
        stack.payments.ledger_of(&order).await,
        [format!("declined {} EUR", order.total_cents)],
    );
    assert!(stack.shipping.ledger_of(&order).await.is_empty());
    assert_eq!(database.stock_of("COFFEE-0154").await, 3);
}

#[tokio::test]
async fn a_card_that_requires_authentication_cancels_the_order() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0155", 3).await;

    let order_request =
        OrderRequest::of("COFFEE-0155", 1).paid_with("pm_card_authenticationRequired");
    let order = shopper.place_order(&order_request).await;
    shopper.order(&order).until(voided).await;
    assert!(stack.payments.ledger_of(&order).await.is_empty());
    assert!(stack.shipping.ledger_of(&order).await.is_empty());
    assert_eq!(database.stock_of("COFFEE-0155").await, 3);
}

#[tokio::test]
async fn an_undeliverable_order_costs_nothing() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0156", 4).await;

    let order = shopper
        .place_order(&OrderRequest::of("COFFEE-0156", 4).to(NOWHERE))
        .await;
    shopper.order(&order).until(voided).await;
    assert_eq!(
        shopper.timeline_of(&order).await,
        [
            "accepted",
            "payment_authorized",
            "label_requested",
            "label_refused",
            "cancelled",
            "payment_voided"
        ],
    );
    assert_eq!(stack.payments.ledger_of(&order).await, order.voided_once());
    assert!(stack.shipping.ledger_of(&order).await.is_empty());
    assert_eq!(database.stock_of("COFFEE-0156").await, 4);
}

#[tokio::test]
async fn two_lines_of_one_product_are_added_up() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0157", 5).await;
    database.restock("COFFEE-0158", 5).await;

    let too_many = OrderRequest::of("COFFEE-0158", 1)
        .and("COFFEE-0157", 3)
        .and("COFFEE-0157", 3);
    shopper.try_place_order(&too_many).await.assert_problem(
        409,
        "out-of-stock",
        Some("lines[1].sku"),
    );
    assert_eq!(database.count_rows_of(&shopper).await, 0);
    assert_eq!(database.stock_of("COFFEE-0157").await, 5);
    assert_eq!(database.stock_of("COFFEE-0158").await, 5);

    shopper
        .place_order(&OrderRequest::of("COFFEE-0157", 2).and("COFFEE-0157", 3))
        .await;
    assert_eq!(database.stock_of("COFFEE-0157").await, 0);
}

#[tokio::test]
async fn a_shipped_order_cannot_be_cancelled() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("COFFEE-0159", 10).await;

    let order = shopper
        .place_order(&OrderRequest::of("COFFEE-0159", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    shopper
        .cancel(&order)
        .await
        .assert_problem(409, "order-not-cancellable", None);
    assert!(shipped(&shopper.order(&order).now().await));
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn the_order_of_another_shopper_is_not_found() {
    let stack = Stack::find();
    let (shopper, other) = (stack.new_shopper().await, stack.new_shopper().await);
    stack.database().await.restock("COFFEE-0160", 10).await;
    let order = shopper
        .place_order(&OrderRequest::of("COFFEE-0160", 1))
        .await;

    for path in [
        format!("/v1/orders/{}", order.id),
        format!("/v1/orders/{}/events", order.id),
        format!("/v1/orders/{}", Uuid::new_v4()),
        "/v1/orders/mine".to_owned(),
    ] {
        other
            .get(&path)
            .await
            .assert_problem(404, "not-found", None);
    }
    other
        .cancel(&order)
        .await
        .assert_problem(404, "not-found", None);
    assert_ne!(shopper.order(&order).now().await.status, "cancelled");
}

#[tokio::test]
async fn orders_are_listed_page_by_page_the_newest_first() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0150", 20).await;
    for _ in 0..7 {
        shopper
            .place_order(&OrderRequest::of("COFFEE-0150", 1))
            .await;
    }

    let (mut ids, mut lengths, mut path) =
        (Vec::new(), Vec::new(), "/v1/orders?limit=3".to_owned());
    loop {
        let page: Value = shopper.get(&path).await.with_status(200).json();
        let orders: Vec<Order> = serde_json::from_value(page["items"].clone()).unwrap();
        lengths.push(orders.len());
        ids.extend(orders.iter().map(|order| order.id));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/orders?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(lengths, [3, 3, 1]);
    assert_eq!(ids, database.orders_of(&shopper).await);
}

#[tokio::test]
async fn a_shopper_places_at_most_60_orders_a_minute() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("COFFEE-0149", 200).await;
    let order_request = OrderRequest::of("COFFEE-0149", 1);

    // A new minute may begin in between, but not two.
    let mut accepted = 0;
    let refused = loop {
        let responses = (0..10).map(|_| shopper.try_place_order(&order_request));
        let responses = futures::future::join_all(responses).await;
        accepted += responses.iter().filter(|it| it.status == 201).count();
        assert!(accepted <= 120);
        if let Some(refused) = responses.into_iter().find(|it| it.status != 201) {
            break refused;
        }
    };
    assert!(accepted >= 60, "{accepted}");
    refused.assert_problem(429, "too-many-orders", None);
    assert_eq!(refused.header("retry-after"), "60");
    let taken = i64::try_from(accepted).unwrap();
    assert_eq!(database.stock_of("COFFEE-0149").await, 200 - taken);
}
