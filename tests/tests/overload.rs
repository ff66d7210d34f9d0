//! Overload: excess requests are refused early, and accepted requests are completed.

use futures::{StreamExt, future::join, stream::FuturesUnordered};
use tests::{Container, OrderRequest, Person, Response, Stack, eventually, new_key};

/// How many requests a container processes at once, and how many more are sent.
const AT_ONCE: usize = 64;
const EXCESS: usize = 36;

const LOCK: &str = "begin; select from stock where sku = 'BOOKS-0164' for update";

#[tokio::test]
async fn a_container_refuses_excess_requests_early_and_completes_the_rest() {
    let stack = Stack::find();
    let api = Container::api(&stack).await;
    let database = stack.database().await;
    database.restock("BOOKS-0164", 1_000).await;
    eventually("fast enough for the lock", async || {
        let (one, other) = join(stack.new_shopper(), stack.new_shopper()).await;
        let shoppers = [one.at(&api.url), other.at(&api.url)];
        let responses = responses_while_locked(&stack, &api, &shoppers).await;
        // On a machine under load, orders may wait for the lock longer than the API allows.
        if let Some(late) = responses.iter().find(|it| timed_out(it)) {
            return Err(late.body.clone());
        }
        let (refused, accepted) = responses.split_at(EXCESS);
        for refused in refused {
            refused.assert_problem(503, "unavailable", None);
            assert_eq!(refused.header("retry-after"), "1");
        }
        for accepted in accepted {
            assert_eq!(accepted.status, 201, "{}", accepted.body);
        }
        let traces = join(
            database.count_rows_of(&shoppers[0]),
            database.count_rows_of(&shoppers[1]),
        );
        let traces = traces.await;
        // One order and one key for each accepted request, and none for the refused ones.
        assert_eq!(traces.0 + traces.1, 2 * 64);
        Ok(())
    })
    .await;
    api.stop().await;
}

/// The responses to more orders than the container processes at once, in the order in which they
/// arrive. All orders need a locked row until the excess ones have been refused.
async fn responses_while_locked(
    stack: &Stack,
    api: &Container,
    shoppers: &[Person; 2],
) -> Vec<Response> {
    let other = stack.database().await;
    other.execute(LOCK).await;
    let body = OrderRequest::of("BOOKS-0164", 1).body();
    let orders = (0..AT_ONCE + EXCESS).map(|number| {
        let request = shoppers[number % 2].order_request(&new_key());
        Response::once(request.body(body.clone()))
    });
    let mut orders: FuturesUnordered<_> = orders.collect();
    let mut responses: Vec<Response> = orders.by_ref().take(EXCESS).collect().await;
    // Health checks are answered at any time.
    let health = stack.http.get(format!("{}/healthz", api.url));
    Response::once(health).await.with_status(204);
    other.execute("rollback").await;
    responses.extend(orders.collect::<Vec<_>>().await);
    responses
}

/// Whether an accepted request did not get the lock or a connection in time.
fn timed_out(response: &Response) -> bool {
    response.status == 503 && response.header("retry-after") == "2"
}

#[tokio::test]
async fn a_request_does_not_wait_long_for_a_locked_row() {
    let stack = Stack::find();
    let other = stack.database().await;
    other.restock("BOOKS-0165", 10).await;
    let shopper = stack.new_shopper().await;
    let order_request = OrderRequest::of("BOOKS-0165", 1);

    other
        .execute("begin; select from stock where sku = 'BOOKS-0165' for update")
        .await;
    let request = shopper
        .order_request("a-kept-lock")
        .body(order_request.body());
    let refused = Response::once(request).await;
    refused.assert_problem(503, "unavailable", None);
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(other.count_rows_of(&shopper).await, 0);
    other.execute("rollback").await;
    shopper
        .try_place_order_with_key(&order_request, "a-kept-lock")
        .await
        .with_status(201);
}
