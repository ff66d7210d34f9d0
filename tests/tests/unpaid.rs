//! Invented cards must not reserve the stock while the payment provider is down. One network,
//! shopper or card may have limited unpaid orders, and orders that were never authorized are
//! cancelled early.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tests::{
    AUTHORIZE, Database, EVERYTHING, Guest, Order, OrderRequest, Response, Stack, new_address,
    new_key, shipped, waiting,
};
use tokio_postgres::NoTls;
use uuid::Uuid;

/// The largest quantity of an order line.
const MOST_UNITS: i64 = 999;

/// The units that one network may have unpaid in a test stack (`dev/xtask/src/stack.rs`).
const MAX_UNITS: i64 = 20_000;

const AMPLE_STOCK: i64 = 1_000_000;

fn cancelled(order: &Order) -> bool {
    order.status == "cancelled"
}

/// A payment method that does not exist.
fn invented_card() -> String {
    format!("pm_{}", Uuid::new_v4().simple())
}

/// The largest order of these products, with an invented card.
fn largest_order(skus: &[&str]) -> OrderRequest {
    let mut order_request = OrderRequest::of(skus[0], MOST_UNITS).paid_with(&invented_card());
    for sku in &skus[1..] {
        order_request = order_request.and(sku, MOST_UNITS);
    }
    order_request
}

#[tokio::test]
async fn invented_cards_cannot_reserve_the_stock_while_payments_are_down() {
    let stack = Stack::find();
    let (database, support) = (stack.database().await, stack.staff("support").await);
    let skus = ["KITCHEN-0131", "KITCHEN-0132", "KITCHEN-0133"];
    for sku in skus {
        database.restock(sku, AMPLE_STOCK).await;
    }
    let _lock = stack.lock_providers().await;
    stack.payments.fail_all(EVERYTHING).await;

    let address = new_address();
    let mut held = Vec::new();
    let refusal = loop {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        let attacker = Guest::at(&stack, email, address.clone());
        let response = attacker
            .try_place_order(&largest_order(&skus), &new_key())
            .await;
        if response.status != 201 {
            break response;
        }
        held.push(response.json());
        let units = i64::try_from(held.len()).unwrap() * MOST_UNITS * 3;
        assert!(units <= MAX_UNITS, "{units} units are unpaid");
    };
    refusal.assert_problem(429, "too-much-unpaid", None);
    assert!(!refusal.header("retry-after").is_empty());
    let taken = AMPLE_STOCK - database.stock_of(skus[0]).await;
    assert_eq!(taken, i64::try_from(held.len()).unwrap() * MOST_UNITS);

    // Another network is not affected. The network of an order is erased once the order is paid.
    let honest = Guest::of(&stack);
    let order = honest.place_order(&OrderRequest::of(skus[0], 1)).await;
    support.order(&order).until(waiting).await;
    stack.payments.recover().await;
    let order = support.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    for order in &held {
        support.order(order).until(cancelled).await;
    }
    assert_eq!(database.stock_of(skus[0]).await, AMPLE_STOCK - 1);
    let ids: Vec<String> = held.iter().map(|it| format!("'{}'", it.id)).collect();
    let left = format!(
        "select count(*) from unpaid_orders where order_id in ('{}', {})",
        order.id,
        ids.join(", ")
    );
    assert_eq!(database.query_value::<i64>(&left).await, 0);
}

#[tokio::test]
async fn an_order_over_the_limit_by_itself_is_refused_without_retry_after() {
    let stack = Stack::find();
    let sku = "CHOCOLATE-0107";
    stack.database().await.restock(sku, AMPLE_STOCK).await;
    let lines = usize::try_from(MAX_UNITS / MOST_UNITS).unwrap() + 1;
    let guest = Guest::of(&stack);
    let refusal = guest
        .try_place_order(&largest_order(&vec![sku; lines]), &new_key())
        .await;
    refusal.assert_problem(422, "order-too-large", Some("lines"));
    assert!(refusal.header("retry-after").is_empty());
    guest.place_order(&OrderRequest::of(sku, 1)).await;
}

#[tokio::test]
async fn an_order_that_was_never_authorized_is_cancelled_early_and_restocked() {
    let stack = Stack::find();
    let (database, support) = (stack.database().await, stack.staff("support").await);
    database.restock("KITCHEN-0134", 5).await;
    let _lock = stack.lock_providers().await;

    stack.payments.fail_all(AUTHORIZE).await;
    let guest = Guest::of(&stack);
    let order_request = OrderRequest::of("KITCHEN-0134", 2).paid_with(&invented_card());
    let order = guest.place_order(&order_request).await;
    support.order(&order).until(waiting).await;
    // Older than UnauthorizedDeadlineHours, but not as old as OrderDeadlineHours.
    database.backdate(&order, Duration::from_hours(13)).await;

    support.order(&order).until(cancelled).await;
    let events = support.events_of(&order).await;
    let end = events.iter().find(|event| event["kind"] == "cancelled");
    assert_eq!(end.unwrap()["data"]["by"], "deadline");
    assert_eq!(database.stock_of("KITCHEN-0134").await, 5);
}

/// A database with one product that accept orders as for the API, with up to 10 units and 10,000
/// cents unpaid.
struct Checkout<'a> {
    url: &'a str,
}

impl Checkout<'_> {
    /// Requests an order of some units at a price. The error is the SQLSTATE of a refusal.
    async fn accept_order(
        &self,
        network: &str,
        shopper: Uuid,
        card: &str,
        (units, unit_cents): (i32, i64),
    ) -> Result<Uuid, String> {
        let (client, connection) = tokio_postgres::connect(self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let id = Uuid::now_v7();
        let request = json!({
            "order": {
                "id": id, "number": id, "shopper": shopper, "email": "ana@example.com", "currency": "EUR",
                "total_cents": i64::from(units) * unit_cents, "shipping_address": {}, "payment_method": card,
                "placed_at": Timestamp::now(),
            },
            "lines": [{ "sku": "A-0001", "title": "A", "quantity": units, "unit_cents": unit_cents }],
            "claim": { "owner": shopper, "key": id, "request_hash": "", "answer": "" },
            "network": network,
            "limits": { "orders_a_minute": 1_000, "max_unpaid_units": 10, "max_unpaid_cents": 10_000 },
        });
        let accepted = client
            .execute("select from accept_order($1)", &[&request])
            .await;
        match accepted {
            Ok(_) => Ok(id),
            Err(error) => Err(error.code().unwrap().code().to_owned()),
        }
    }
}

#[tokio::test]
async fn networks_shoppers_and_cards_have_limits_in_units_and_money() {
    let test = async |url: &str| {
        let database = Database::migrated(url).await;
        database
            .execute("insert into stock values ('A-0001', 1000)")
            .await;
        let checkout = Checkout { url };
        let over = Err("CA004".to_owned());
        let new = Uuid::new_v4;

        // Each limit is reached separately: first by units, then by money.
        for (first, second) in [((9, 1), (2, 1)), ((1, 9_000), (1, 1_001))] {
            let (network, shopper, card) = (new().to_string(), new(), invented_card());
            let held = checkout.accept_order(&network, shopper, &card, first).await;
            assert!(held.is_ok(), "{held:?}");
            let other = || (new().to_string(), new(), invented_card());
            let (n, s, c) = other();
            assert_eq!(checkout.accept_order(&network, s, &c, second).await, over);
            assert_eq!(checkout.accept_order(&n, shopper, &c, second).await, over);
            assert_eq!(checkout.accept_order(&n, s, &card, second).await, over);
            assert!(checkout.accept_order(&n, s, &c, second).await.is_ok());

            // A paid order no longer counts.
            let payment = json!({
                "seen": 1,
                "order": {
                    "id": held.unwrap(), "status": "confirmed", "payment": "authorized", "payment_id": "pi_1",
                },
                "events": [{ "kind": "payment_authorized", "data": {} }],
            });
            let pay = format!("select record_events('{payment}')");
            assert!(database.query_value::<bool>(&pay).await);
            let again = checkout
                .accept_order(&network, shopper, &card, second)
                .await;
            assert!(again.is_ok(), "{again:?}");
        }

        // A refused order writes nothing.
        let unpaid: i64 = database
            .query_value("select count(*) from unpaid_orders")
            .await;
        let open = "select count(*) from orders where payment = 'not_paid'";
        assert_eq!(database.query_value::<i64>(open).await, unpaid);

        // Ten networks of one IPv6 site reach the limit of the site. Another site is not affected.
        let accept = async |network: &str, units| {
            let card = invented_card();
            checkout
                .accept_order(network, new(), &card, (units, 1))
                .await
        };
        for number in 1..=10 {
            let network = format!("2001:db8:1:{number}::/64");
            assert!(accept(&network, 10).await.is_ok(), "{network}");
        }
        assert_eq!(accept("2001:db8:1:b::/64", 1).await, over);
        assert!(accept("2001:db8:2:1::/64", 1).await.is_ok());

        // Concurrent orders with separate shoppers and cards do not exceed the limit of the
        // network.
        let network = new().to_string();
        let tries = (0..32).map(async |_| {
            checkout
                .accept_order(&network, new(), &invented_card(), (1, 1))
                .await
        });
        let accepted = join_all(tries).await;
        assert_eq!(accepted.iter().filter(|it| it.is_ok()).count(), 10);
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn an_accepted_order_is_replayed_although_the_limit_is_reached() {
    let stack = Stack::find();
    let database = stack.database().await;
    database.restock("KITCHEN-0135", 100_000).await;
    let _lock = stack.lock_providers().await;
    stack.payments.fail_all(EVERYTHING).await;
    let (guest, key) = (Guest::of(&stack), new_key());
    let order_request = largest_order(&["KITCHEN-0135"]);
    let first = guest
        .try_place_order(&order_request, &key)
        .await
        .with_status(201);
    for _ in 0..4 {
        let many = ["KITCHEN-0135"; 6];
        let response: Response = guest
            .try_place_order(&largest_order(&many), &new_key())
            .await;
        if response.status == 429 {
            break;
        }
        response.with_status(201);
    }
    let again = guest
        .try_place_order(&order_request, &key)
        .await
        .with_status(201);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &first.body)
    );
    stack.payments.recover().await;
}
