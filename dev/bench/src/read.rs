//! Reading at the Lambda runtime API, beside the bare query over as many connections.

use std::{collections::BTreeMap, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use orders::{OrderId, ShopperId, Sku};
use serde::Serialize;
use serde_json::Value;
use store::{Database, OrderCursor};
use uuid::Uuid;

use super::{
    Spread,
    accept::order,
    boundary::{Ask, Boundary, Load, in_turns},
    processors::Apart,
};
use tests::Stack;

/// How many environments, and connections.
const AT_ONCE: usize = 8;

/// How many rounds each has, in turns, and how long one is.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// How many orders the shopper has, and how many are on a page.
const ORDERS: usize = 50;
const PAGE: u8 = 24;

/// What reading takes.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// Answers in a second.
    pub answers_a_second: Spread,
    /// Bare queries in a second.
    pub queries_a_second: Spread,
    /// Their ratio, round by round.
    pub of_the_query: Spread,
    /// What half of the answers keep to.
    pub median_ms: Spread,
}

/// Measures three pages, each beside its query in turns.
pub async fn reading(stack: &Stack) -> BTreeMap<&'static str, Reading> {
    let _apart = Apart::new(stack).await;
    let api = Boundary::start(stack, AT_ONCE).await;
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .build();
    let database = Database::new(stack.database_url(), AT_ONCE, &aws);
    let database = database.expect("the address should be one");
    let user = Uuid::new_v4();
    let sku = "COFFEE-0002";
    stack.database().await.restock(sku, 1_000_000).await;
    let mut id = Uuid::nil();
    for _ in 0..ORDERS {
        let answer = api.asks(order(&api, &[sku.to_owned()], user), 201).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())
            .expect("an order should be JSON");
        id = body["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an order should have an id");
    }
    let get = |route: &str, path: &str, query: &str| {
        api.event(Ask {
            method: "GET",
            route,
            path,
            query,
            body: None,
            user,
        })
    };
    let path = format!("/v1/orders/{id}");
    let skus: Vec<Sku> = vec![sku.parse().expect("it should be an SKU")];
    let order_page = beside(
        &api,
        || get("/v1/orders/{id}", &path, ""),
        async || {
            database
                .orders()
                .find(OrderId(id))
                .await
                .expect("it should be readable");
        },
    );
    let order_list = beside(
        &api,
        || get("/v1/orders", "/v1/orders", ""),
        async || {
            let page =
                database
                    .orders()
                    .list_by_shopper(ShopperId(user), OrderCursor::NEWEST, PAGE);
            page.await.expect("they should be readable");
        },
    );
    let product = beside(
        &api,
        || get("/v1/products/{sku}", "/v1/products/COFFEE-0002", ""),
        async || {
            database
                .stock()
                .available(&skus)
                .await
                .expect("it should be readable");
        },
    );
    BTreeMap::from([
        ("order", order_page.await),
        ("orders", order_list.await),
        ("product", product.await),
    ])
}

async fn beside(
    api: &Boundary,
    event: impl Fn() -> axum::body::Bytes,
    query: impl AsyncFn(),
) -> Reading {
    let answer = async || api.load(AT_ONCE, ROUND, 200, &event).await;
    let ask = async || Load::of(AT_ONCE, ROUND, &query).await;
    answer().await;
    let [answered, asked] = in_turns(ROUNDS, answer, ask).await;
    let (answers, queries) = (Load::rates(&answered), Load::rates(&asked));
    Reading {
        of_the_query: Spread::of_ratios(&answers, &queries),
        answers_a_second: Spread::of(answers),
        queries_a_second: Spread::of(queries),
        median_ms: Spread::of(Load::quantiles_ms(&answered, 500)),
    }
}
