//! Orders that the stack processes from acceptance to shipment.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use tests::{
    Order, OrderRequest, Stack,
    chaos::{Books, Pending},
};
use tokio::time::sleep;

/// The product that is ordered, and a stock of it that does not run out.
pub(crate) const SKU: &str = "COFFEE-0001";
pub(crate) const AMPLE_STOCK: i64 = 1_000_000;

/// How long orders may take to reach a state, and how often it is checked.
const LIMIT: Duration = Duration::from_mins(15);
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Restocks the product, and reads what the stack has recorded before the first order.
pub(crate) async fn open_books(stack: &Stack) -> Books {
    let books = Books::open(stack, vec![(SKU.to_owned(), AMPLE_STOCK)]).await;
    books.expect("the books should be readable")
}

/// Places `count` orders of one article each, by the seed's shoppers in turn.
pub(crate) async fn place_orders(stack: &Stack, count: usize, at_once: usize) -> Vec<Order> {
    let shoppers = stack.shoppers().await;
    let order_request = OrderRequest::of(SKU, 1);
    let shoppers = (0..count).map(|number| &shoppers[number % shoppers.len()]);
    stream::iter(shoppers)
        .map(|shopper| shopper.place_order(&order_request))
        .buffer_unordered(at_once)
        .collect()
        .await
}

/// Waits until the unfinished work is as expected.
pub(crate) async fn wait_until(stack: &Stack, books: &Books, is_reached: impl Fn(Pending) -> bool) {
    let begun = Instant::now();
    loop {
        let pending = books.pending(stack).await;
        let pending = pending.expect("the books should be readable");
        if is_reached(pending) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "still {pending:?} after {LIMIT:?}");
        sleep(CHECK_EVERY).await;
    }
}
