//! Searching the catalogue as it grows: what was fast with few products is to be fast with many.
//!
//! Neither DynamoDB nor an emulator that holds a million products can be had on a laptop. A sorted map in memory
//! stands in DynamoDB's place: what is timed is the API's own work, and what is counted is what a search has
//! DynamoDB do. How long DynamoDB takes for it is not measured.

mod table;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::table::{Reads, Seed, Table};
use super::{
    Spread,
    boundary::{Ask, Boundary},
};
use tests::Stack;

/// How many products there are.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// How many rounds each shop has, in turns, and how long one is. Each has one client, so that a time is of work
/// and not of waiting.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);

/// A word of some coffees, of which there are as many in each shop.
const RARE: &str = "limu";

/// What is searched for. All but what is rare fill a page in the smallest shop, too.
const SEARCHES: [(&str, &str); 8] = [
    ("whole_shop", ""),
    ("category", "category=tea"),
    ("word", "q=roast"),
    ("word_and_attribute", "q=roast&attr.roast=Dark"),
    ("two_words", "q=dark+roast"),
    ("rare_word", "q=limu"),
    ("rare_and_common_word", "q=limu+roast"),
    ("category_and_attribute", "category=tea&attr.organic=true"),
];

/// What one search takes with so many products.
#[derive(Debug, Serialize)]
pub struct CatalogueGrowth {
    /// The median in milliseconds of its first page, by how many products there are.
    pub ms: BTreeMap<usize, Spread>,
    /// Of the last size to the first, round by round.
    pub grows: Spread,
    /// What is on that page and was read for it, by how many products there are.
    pub pages: BTreeMap<usize, FirstPage>,
}

/// The first page of a search.
#[derive(Debug, Serialize)]
pub struct FirstPage {
    /// How many products are on it.
    pub products: usize,
    /// What DynamoDB was asked for.
    #[serde(flatten)]
    pub reads: Reads,
}

/// Measures each search in all shops in turns.
pub async fn catalogue_growth(stack: &Stack) -> BTreeMap<&'static str, CatalogueGrowth> {
    let seed = Arc::new(Seed::read(stack, RARE).await);
    let mut shops = Vec::new();
    for size in SIZES {
        shops.push(Shop::open(stack, &seed, size).await);
    }
    let mut searches = BTreeMap::new();
    for (name, query) in SEARCHES {
        searches.insert(name, growth(&shops, query).await);
    }
    searches
}

async fn growth(shops: &[Shop], query: &str) -> CatalogueGrowth {
    let mut pages = BTreeMap::new();
    for shop in shops {
        pages.insert(shop.size, shop.first_page(query).await);
    }
    let mut medians = vec![Vec::new(); shops.len()];
    for _ in 0..ROUNDS {
        for (shop, medians) in shops.iter().zip(&mut medians) {
            medians.push(shop.median_ms(query).await);
        }
    }
    let sizes = shops.iter().map(|shop| shop.size);
    CatalogueGrowth {
        grows: Spread::of_ratios(&medians[shops.len() - 1], &medians[0]),
        ms: sizes.zip(medians.into_iter().map(Spread::of)).collect(),
        pages,
    }
}

/// The API on a catalogue of its own.
struct Shop {
    size: usize,
    table: Arc<Table>,
    api: Boundary,
}

impl Shop {
    async fn open(stack: &Stack, seed: &Arc<Seed>, size: usize) -> Self {
        let table = Arc::new(Table::of(seed, size));
        let address = table::serve(&table).await;
        let dynamodb = ("AWS_ENDPOINT_URL_DYNAMODB", address.as_str());
        let api = Boundary::start_with(stack, 1, &[dynamodb]).await;
        Self { size, table, api }
    }

    fn event(&self, query: &str) -> Bytes {
        self.api.event(Ask {
            method: "GET",
            route: "/v1/products",
            path: "/v1/products",
            query,
            body: None,
            user: Uuid::nil(),
        })
    }

    async fn first_page(&self, query: &str) -> FirstPage {
        self.table.take_reads();
        let answer = self.api.asks(self.event(query), 200).await;
        let reads = self.table.take_reads();
        let body = answer["body"].as_str().unwrap_or_default();
        let page: Value = serde_json::from_str(body).expect("a page should be JSON");
        let products = page["items"].as_array().map_or(0, Vec::len);
        FirstPage { products, reads }
    }

    async fn median_ms(&self, query: &str) -> f64 {
        let load = self.api.load(1, ROUND, 200, || self.event(query)).await;
        load.quantile_ms(500)
    }
}
