//! What is too much is refused soon, and told to come again; what was taken on is finished.

use futures::{StreamExt, stream::FuturesUnordered};
use tests::{Answer, Container, Stack, Wish};

/// How many requests a container takes on at once, and how many more come.
const AT_ONCE: usize = 64;
const MORE: usize = 36;

#[tokio::test]
async fn a_container_refuses_early_what_is_too_much_and_finishes_the_rest() {
    let stack = Stack::find();
    let api = Container::api(&stack).await;
    let (database, keeper) = (stack.database().await, stack.database().await);
    database.restock("BOOKS-0164", 1_000).await;
    let shoppers = [stack.new_shopper().await, stack.new_shopper().await];
    let shoppers = shoppers.map(|shopper| shopper.at(&api.url));
    let wish = Wish::of("BOOKS-0164", 1);

    keeper
        .does("begin; select from stock where sku = 'BOOKS-0164' for update")
        .await;
    let orders = (0..AT_ONCE + MORE).map(|number| shoppers[number % 2].tries(&wish));
    let mut answers: FuturesUnordered<_> = orders.collect();
    for _ in 0..MORE {
        let refused: Answer = answers.next().await.unwrap();
        refused.is_problem(503, "unavailable", None);
        assert_eq!(refused.header("retry-after"), "1");
    }
    // Whether it is well can be asked at any time.
    let health = stack.http.get(format!("{}/healthz", api.url));
    Answer::of(health).await.with_status(204);
    keeper.does("rollback").await;
    while let Some(answer) = answers.next().await {
        answer.with_status(201);
    }
    let accepted = database.traces_of(&shoppers[0]).await + database.traces_of(&shoppers[1]).await;
    // An order and its key each, and none of what was refused.
    assert_eq!(accepted, 2 * 64);
    api.stop().await;
}

#[tokio::test]
async fn what_somebody_keeps_locked_is_not_waited_for() {
    let stack = Stack::find();
    let keeper = stack.database().await;
    keeper.restock("BOOKS-0165", 10).await;
    let shopper = stack.new_shopper().await;
    let wish = Wish::of("BOOKS-0165", 1);

    keeper
        .does("begin; select from stock where sku = 'BOOKS-0165' for update")
        .await;
    let refused = shopper.sends(&wish, "a-kept-lock").await;
    refused.is_problem(503, "unavailable", None);
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(keeper.traces_of(&shopper).await, 0);
    keeper.does("rollback").await;
    shopper.sends(&wish, "a-kept-lock").await.with_status(201);
}
