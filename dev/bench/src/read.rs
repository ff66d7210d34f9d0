//! Reading at the Lambda runtime API, compared with the bare query over as many connections.

use std::{collections::BTreeMap, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use axum::body::Bytes;
use orders::{OrderId, ShopperId, Sku};
use serde::Serialize;
use signature::REGION;
use store::{Database, OrderCursor};
use tests::Stack;
use uuid::Uuid;

use crate::{
    accept::order_event,
    api::{Api, Request},
    figures::Spread,
    load::{Load, Series},
    processors::Partition,
    workload::{AMPLE_STOCK, SKU},
};

/// Clients that each have an environment of the API or a connection of the query.
const SERIES: Series = Series {
    clients: 8,
    rounds: 5,
    round: Duration::from_secs(2),
};

/// How many orders the shopper has, and how many are on a page.
const ORDERS: usize = 50;
const PAGE: u8 = 24;

/// How fast the API answers a request that only reads.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    answers_a_second: Spread,
    /// Bare queries per second.
    queries_a_second: Spread,
    /// The ratio of the two, round by round.
    of_the_query: Spread,
    median_ms: Spread,
}

/// Compares three requests with their bare queries.
pub(crate) async fn reading(stack: &Stack) -> BTreeMap<&'static str, Reading> {
    let _partition = Partition::new(stack).await;
    let api = Api::start(stack, SERIES.clients).await;
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .build();
    let database = Database::new(stack.database_url(), SERIES.clients, &aws);
    let database = database.expect("the connection string should be valid");
    let user = Uuid::new_v4();
    stack.database().await.restock(SKU, AMPLE_STOCK).await;
    let mut id = Uuid::nil();
    for _ in 0..ORDERS {
        let event = order_event(&api, &[SKU.to_owned()], user);
        let order = api.invoke_for_body(event, 201).await;
        id = order["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an order should have an id");
    }
    let order_path = format!("/v1/orders/{id}");
    let product_path = format!("/v1/products/{SKU}");
    let skus: Vec<Sku> = vec![SKU.parse().expect("the SKU should be valid")];
    let order = compare(
        &api,
        || api.event(Request::get("/v1/orders/{id}", &order_path, "", user)),
        async || {
            let order = database.orders().find(OrderId(id)).await;
            order.expect("the order should be readable");
        },
    );
    let orders = compare(
        &api,
        || api.event(Request::list_orders(user)),
        async || {
            let page =
                database
                    .orders()
                    .list_by_shopper(ShopperId(user), OrderCursor::NEWEST, PAGE);
            page.await.expect("the orders should be readable");
        },
    );
    let product = compare(
        &api,
        || api.event(Request::get("/v1/products/{sku}", &product_path, "", user)),
        async || {
            let available = database.stock().available(&skus).await;
            available.expect("the stock should be readable");
        },
    );
    BTreeMap::from([
        ("order", order.await),
        ("orders", orders.await),
        ("product", product.await),
    ])
}

async fn compare(api: &Api, event: impl Fn() -> Bytes, query: impl AsyncFn()) -> Reading {
    let answer = async || api.load(SERIES, 200, &event).await;
    let query = async || SERIES.load(&query).await;
    answer().await;
    let [api_loads, query_loads] = SERIES.compare(answer, query).await;
    let (answers, queries) = (Load::rates(&api_loads), Load::rates(&query_loads));
    Reading {
        of_the_query: Spread::of_ratios(&answers, &queries),
        answers_a_second: Spread::of(answers),
        queries_a_second: Spread::of(queries),
        median_ms: Spread::of(Load::quantiles_ms(&api_loads, 500)),
    }
}
