//! Accepting and listing orders as the tables grow: neither may become slower.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tests::{Database, Stack};
use uuid::Uuid;

use crate::{
    accept::{Checkout, SPREAD_OUT},
    api::Request,
    figures::Spread,
    load::{Load, Series},
    processors::Partition,
};

/// How many orders there are.
const SIZES: [i64; 3] = [10_000, 1_000_000, 10_000_000];

const SERIES: Series = Series {
    clients: 4,
    rounds: 3,
    round: Duration::from_secs(4),
};

/// How many orders are inserted by one statement.
const BATCH: i64 = 500_000;

/// How many of the inserted orders each shopper has.
const ORDERS_OF_A_SHOPPER: i64 = 50;

/// The definitions and names of the indexes that can be dropped and created again, because no
/// constraint needs them.
const INDEXES: &str = "select indexdef, indexname from pg_indexes
    where tablename in ('orders', 'order_lines', 'order_events')
        and not exists (select from pg_constraint where conname = indexname)";

/// How long requests take with so many orders.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    /// The median for accepting an order, by the number of orders.
    accepting_ms: BTreeMap<i64, Spread>,
    /// The median for listing a shopper's orders, by the number of orders.
    listing_ms: BTreeMap<i64, Spread>,
    /// The ratio of the largest size to the smallest.
    accepting_grows: f64,
    listing_grows: f64,
}

/// Measures at each size, and inserts orders in between. That leaves the stack unfit for other
/// suites.
pub(crate) async fn growth(stack: &Stack) -> Growth {
    let _partition = Partition::new(stack).await;
    let database = stack.database().await;
    let checkout = Checkout::open(stack, SERIES.clients, &[]).await;
    let (mut accepting, mut listing) = (BTreeMap::new(), BTreeMap::new());
    let mut inserted = 0;
    for size in SIZES {
        insert_orders(&database, inserted, size).await;
        inserted = size;
        let shopper = some_shopper(&database).await;
        let orders = || checkout.api.event(Request::list_orders(shopper));
        let accept = async || checkout.load(SERIES, SPREAD_OUT).await;
        let list = async || checkout.api.load(SERIES, 200, &orders).await;
        let medians = |loads: Vec<Load>| Spread::of(Load::quantiles_ms(&loads, 500));
        accepting.insert(size, medians(SERIES.measure(accept).await));
        listing.insert(size, medians(SERIES.measure(list).await));
    }
    Growth {
        accepting_grows: ratio(&accepting),
        listing_grows: ratio(&listing),
        accepting_ms: accepting,
        listing_ms: listing,
    }
}

/// The ratio of the largest size to the smallest.
fn ratio(sizes: &BTreeMap<i64, Spread>) -> f64 {
    let medians =
        |spread: Option<(&i64, &Spread)>| spread.map_or(f64::NAN, |(_, spread)| spread.median);
    medians(sizes.last_key_value()) / medians(sizes.first_key_value())
}

/// Inserts orders until there are `size`, without the indexes, which are created again at the end.
async fn insert_orders(database: &Database, inserted: i64, size: i64) {
    let indexes = database
        .rows(INDEXES, &[])
        .await
        .expect("indexes should be listed");
    database.use_bulk_settings().await;
    for index in &indexes {
        database
            .execute(&format!("drop index {}", index.get::<_, &str>(1)))
            .await;
    }
    let mut from = inserted;
    while from < size {
        let to = size.min(from + BATCH);
        database
            .insert_orders(from + 1..=to, ORDERS_OF_A_SHOPPER)
            .await;
        from = to;
    }
    for index in &indexes {
        database.execute(index.get(0)).await;
    }
    for table in ["orders", "order_lines", "order_events"] {
        database.execute(&format!("vacuum (analyze) {table}")).await;
    }
    database.execute("checkpoint").await;
}

async fn some_shopper(database: &Database) -> Uuid {
    let query = "select shopper from orders where number like 'MADE-%' order by placed_at desc offset 25 limit 1";
    let rows = database.rows(query, &[]).await;
    rows.expect("orders should be there")[0].get(0)
}
