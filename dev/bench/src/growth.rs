//! Accepting and listing as the tables grow: what was fast with few orders is to be fast with many.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{
    Spread,
    accept::{SPREAD_OUT, Till},
    boundary::{Ask, Load},
    processors::Apart,
};
use tests::{Database, Stack};

/// How many orders there are.
const SIZES: [i64; 3] = [10_000, 1_000_000, 10_000_000];

/// How many clients ask, in how many rounds, and how long one is.
const AT_ONCE: usize = 4;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);

/// How many orders are made at a time.
const BATCH: i64 = 500_000;

/// How many orders each of the made shoppers has.
const ORDERS_OF_A_SHOPPER: i64 = 50;

/// What can be dropped, and made anew when all rows are there, and how.
const TAKE_INDEXES: &str = "select indexdef, indexname from pg_indexes
    where tablename in ('orders', 'order_lines', 'order_events')
        and not exists (select from pg_constraint where conname = indexname)";

/// What takes how long with so many orders.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// The median in milliseconds of accepting an order, by how many there are.
    pub accepting_ms: BTreeMap<i64, Spread>,
    /// Of listing a shopper's orders.
    pub listing_ms: BTreeMap<i64, Spread>,
    /// Of the last size to the first.
    pub accepting_grows: f64,
    /// The same of listing.
    pub listing_grows: f64,
}

/// Measures, and has the tables grow in between. The stack is of little use for anything else then.
pub async fn growth(stack: &Stack) -> Growth {
    let _apart = Apart::new(stack).await;
    let database = stack.database().await;
    let till = Till::open(stack, AT_ONCE, &[]).await;
    let (mut accepting, mut listing) = (BTreeMap::new(), BTreeMap::new());
    let mut made = 0;
    for size in SIZES {
        grow(&database, made, size).await;
        made = size;
        let shopper = some_shopper(&database).await;
        let orders = || {
            till.api.event(Ask {
                method: "GET",
                route: "/v1/orders",
                path: "/v1/orders",
                query: "",
                body: None,
                user: shopper,
            })
        };
        let accepts = || till.load(AT_ONCE, ROUND, SPREAD_OUT);
        let lists = || till.api.load(AT_ONCE, ROUND, 200, orders);
        accepting.insert(size, medians(accepts).await);
        listing.insert(size, medians(lists).await);
    }
    Growth {
        accepting_grows: grows(&accepting),
        listing_grows: grows(&listing),
        accepting_ms: accepting,
        listing_ms: listing,
    }
}

/// The medians of some rounds, after one that does not count.
async fn medians(load: impl AsyncFn() -> Load) -> Spread {
    load().await;
    let mut medians = Vec::new();
    for _ in 0..ROUNDS {
        medians.push(load().await.quantile_ms(500));
    }
    Spread::of(medians)
}

fn grows(sizes: &BTreeMap<i64, Spread>) -> f64 {
    let medians =
        |spread: Option<(&i64, &Spread)>| spread.map_or(f64::NAN, |(_, spread)| spread.median);
    medians(sizes.last_key_value()) / medians(sizes.first_key_value())
}

/// Makes orders until there are so many.
async fn grow(database: &Database, made: i64, size: i64) {
    let indexes = database
        .rows(TAKE_INDEXES, &[])
        .await
        .expect("indexes should be known");
    database.works_in_bulk().await;
    for index in &indexes {
        database
            .does(&format!("drop index {}", index.get::<_, &str>(1)))
            .await;
    }
    let mut from = made;
    while from < size {
        let to = size.min(from + BATCH);
        database
            .makes_orders(from + 1..=to, ORDERS_OF_A_SHOPPER)
            .await;
        from = to;
    }
    for index in &indexes {
        database.does(index.get(0)).await;
    }
    for table in ["orders", "order_lines", "order_events"] {
        database.does(&format!("vacuum (analyze) {table}")).await;
    }
    database.does("checkpoint").await;
}

async fn some_shopper(database: &Database) -> Uuid {
    let query = "select shopper from orders where number like 'MADE-%' order by placed_at desc offset 25 limit 1";
    let rows = database.rows(query, &[]).await;
    rows.expect("orders should be there")[0].get(0)
}
