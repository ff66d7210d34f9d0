//! The readable standby, which takes over when the primary fails.

use tests::{Stack, Wish, eventually, shipped};

#[tokio::test]
async fn an_accepted_order_is_on_the_standby_too() {
    let stack = Stack::find();
    let (shopper, primary) = (stack.new_shopper().await, stack.database().await);
    let standby = stack.standby().await;
    assert!(standby.is_read_only().await && !primary.is_read_only().await);
    primary.restock("BOOKS-0162", 10).await;

    let order = shopper.places(&Wish::of("BOOKS-0162", 1)).await;
    let order = shopper.sees(&order).until(shipped).await;
    let expected = (order.total_cents, order.status.clone());
    eventually("on the standby", async || {
        match standby.order(&order).await {
            Some(found) if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}
