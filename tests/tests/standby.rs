//! The readable standby, which takes over when the primary fails.

use reqwest::Method;
use tests::{OrderRequest, Response, Stack, eventually, shipped};

#[tokio::test]
async fn an_accepted_order_is_on_the_standby_too() {
    let stack = Stack::find();
    let (shopper, primary) = (stack.new_shopper().await, stack.database().await);
    let standby = stack.standby().await;
    assert!(standby.is_read_only().await && !primary.is_read_only().await);
    primary.restock("BOOKS-0162", 10).await;

    let order = shopper
        .place_order(&OrderRequest::of("BOOKS-0162", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    let expected = (order.total_cents, order.status.clone());
    eventually("on the standby", async || {
        match standby.order(&order).await {
            Some(found) if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_shopper_reads_their_own_writes_while_the_standby_lags() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("BOOKS-0166", 10).await;
    stack
        .with_paused_standby(async || {
            let order = shopper
                .place_order(&OrderRequest::of("BOOKS-0166", 1))
                .await;
            // With the consistency token of that response, the primary answers.
            let seen = shopper.order(&order).now().await;
            assert_eq!(seen.id, order.id);
            let orders = shopper.get("/v1/orders").await.with_status(200);
            assert!(
                orders.body.contains(&order.id.to_string()),
                "{}",
                orders.body
            );
            // Without it the standby answers, which does not have the order yet.
            let path = format!("/v1/orders/{}", order.id);
            let forgetful = shopper.request_without_consistency_token(Method::GET, &path);
            Response::of(forgetful)
                .await
                .assert_problem(404, "not-found", None);
        })
        .await;
}

#[tokio::test]
async fn an_invalid_consistency_token_is_refused() {
    let shopper = Stack::find().new_shopper().await;
    let request = shopper.request_without_consistency_token(Method::GET, "/v1/orders");
    let response = Response::of(request.header("Consistency-Token", "16/B374D848")).await;
    response.assert_problem(422, "validation", Some("Consistency-Token"));
}
