//! What is too much is refused soon, to be sent again later; what was taken on is finished.

use futures::{StreamExt, future::join, stream::FuturesUnordered};
use tests::{Answer, Container, OrderRequest, Person, Stack, eventually, new_key};

/// How many requests a container takes on at once, and how many more come.
const AT_ONCE: usize = 64;
const MORE: usize = 36;

const LOCK: &str = "begin; select from stock where sku = 'BOOKS-0164' for update";

#[tokio::test]
async fn a_container_refuses_early_what_is_too_much_and_finishes_the_rest() {
    let stack = Stack::find();
    let api = Container::api(&stack).await;
    let database = stack.database().await;
    database.restock("BOOKS-0164", 1_000).await;
    eventually("quick enough for the lock", async || {
        let (one, other) = join(stack.new_shopper(), stack.new_shopper()).await;
        let shoppers = [one.at(&api.url), other.at(&api.url)];
        let answers = answers_while_locked(&stack, &api, &shoppers).await;
        // On a machine under load, orders may wait for the lock longer than the API lets them.
        if let Some(late) = answers.iter().find(|it| waited_in_vain(it)) {
            return Err(late.body.clone());
        }
        let (refused, accepted) = answers.split_at(MORE);
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
        // An order and its key each, and none of what was refused.
        assert_eq!(traces.0 + traces.1, 2 * 64);
        Ok(())
    })
    .await;
    api.stop().await;
}

/// The answers to more orders than are taken on, in the order in which they came. All orders want what is
/// locked until those that are too many have been refused.
async fn answers_while_locked(
    stack: &Stack,
    api: &Container,
    shoppers: &[Person; 2],
) -> Vec<Answer> {
    let keeper = stack.database().await;
    keeper.execute(LOCK).await;
    let body = OrderRequest::of("BOOKS-0164", 1).body();
    let orders = (0..AT_ONCE + MORE).map(|number| {
        let request = shoppers[number % 2].order_request(&new_key());
        Answer::once(request.body(body.clone()))
    });
    let mut orders: FuturesUnordered<_> = orders.collect();
    let mut answers: Vec<Answer> = orders.by_ref().take(MORE).collect().await;
    // The health check is answered at any time.
    let health = stack.http.get(format!("{}/healthz", api.url));
    Answer::once(health).await.with_status(204);
    keeper.execute("rollback").await;
    answers.extend(orders.collect::<Vec<_>>().await);
    answers
}

/// Whether an order was taken on, but did not get the lock or a connection in time.
fn waited_in_vain(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("retry-after") == "2"
}

#[tokio::test]
async fn what_somebody_keeps_locked_is_not_waited_for() {
    let stack = Stack::find();
    let keeper = stack.database().await;
    keeper.restock("BOOKS-0165", 10).await;
    let shopper = stack.new_shopper().await;
    let order_request = OrderRequest::of("BOOKS-0165", 1);

    keeper
        .execute("begin; select from stock where sku = 'BOOKS-0165' for update")
        .await;
    let request = shopper
        .order_request("a-kept-lock")
        .body(order_request.body());
    let refused = Answer::once(request).await;
    refused.assert_problem(503, "unavailable", None);
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(keeper.count_rows_of(&shopper).await, 0);
    keeper.execute("rollback").await;
    shopper
        .try_place_order_with_key(&order_request, "a-kept-lock")
        .await
        .with_status(201);
}
