//! Concurrent orders: nothing is sold twice, charged twice or lost.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use tests::{LABEL_BOUGHT, Order, OrderRequest, Stack, shipped};

/// The contended products with their stock.
const STOCK: [(&str, i64); 6] = [
    ("TEA-0101", 500),
    ("TEA-0102", 500),
    ("TEA-0103", 500),
    ("TEA-0104", 500),
    ("TEA-0105", 40),
    ("TEA-0106", 7),
];

/// One of the hundred orders: three products in varying order.
fn order_request(number: usize) -> OrderRequest {
    let sku = |step: usize| STOCK[(number + step * 2) % STOCK.len()].0;
    let order_request = OrderRequest::of(sku(0), 1).and(sku(1), 2);
    if number.is_multiple_of(2) {
        order_request.and(sku(2), 1)
    } else {
        order_request.and(STOCK[(number * 5) % STOCK.len()].0, 1)
    }
}

#[tokio::test]
async fn a_hundred_orders_at_once_are_all_shipped_and_none_is_oversold() {
    let stack = Stack::find();
    let database = stack.database().await;
    for (sku, available) in STOCK {
        database.restock(sku, available).await;
    }
    let shoppers = stack.shoppers().await;
    let place = |number: usize| {
        let shopper = &shoppers[number % shoppers.len()];
        async move {
            let response = shopper.try_place_order(&order_request(number)).await;
            if response.status == 409 {
                return None;
            }
            Some((shopper, response.with_status(201).json::<Order>()))
        }
    };
    let responses = join_all((0..100).map(place)).await;
    let accepted: Vec<_> = responses.into_iter().flatten().collect();
    assert!(
        accepted.len() < 100,
        "the products with a short stock must have sold out"
    );

    let shipped = accepted.iter().map(|(shopper, order)| async {
        let order = shopper.order(order).until(shipped).await;
        assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
        assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
        order
    });
    let mut sold: HashMap<String, i64> = HashMap::new();
    for line in join_all(shipped)
        .await
        .iter()
        .flat_map(|order| &order.lines)
    {
        *sold.entry(line.sku.clone()).or_default() += line.quantity;
    }
    for (sku, available) in STOCK {
        let left = database.stock_of(sku).await;
        assert!(left >= 0);
        assert_eq!(
            left,
            available - sold.get(sku).copied().unwrap_or_default(),
            "{sku}"
        );
    }
}

#[tokio::test]
async fn one_key_sent_fifty_times_at_once_places_one_order() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0107", 10).await;
    let order_request = OrderRequest::of("TEA-0107", 1);
    let responses =
        join_all((0..50).map(|_| shopper.try_place_order_with_key(&order_request, "one-key")))
            .await;

    let bodies: HashSet<&str> = responses
        .iter()
        .map(|response| response.body.as_str())
        .collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(responses.iter().all(|response| response.status == 201));
    let placed = responses
        .iter()
        .filter(|response| response.header("idempotent-replayed") != "true");
    // None if that response was lost and the request repeated.
    assert!(placed.count() <= 1);
    assert_eq!(database.orders_of(&shopper).await.len(), 1);
    assert_eq!(database.stock_of("TEA-0107").await, 9);
    let order: Order = responses[0].json();
    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn a_key_cannot_be_reused_for_another_request() {
    let stack = Stack::find();
    let (shopper, database) = (stack.new_shopper().await, stack.database().await);
    database.restock("TEA-0108", 10).await;
    shopper
        .try_place_order_with_key(&OrderRequest::of("TEA-0108", 1), "a-key")
        .await
        .with_status(201);
    let other = shopper
        .try_place_order_with_key(&OrderRequest::of("TEA-0108", 2), "a-key")
        .await;
    other.assert_problem(422, "idempotency-key-reused", Some("Idempotency-Key"));
    assert_eq!(database.orders_of(&shopper).await.len(), 1);
}
