//! Searching the catalogue as it grows: no search may become slower.
//!
//! A laptop has neither DynamoDB nor an emulator that holds a million products. A sorted map in
//! memory stands in for DynamoDB. Timed is the API's own work; counted are the calls and items that
//! a search reads from DynamoDB. How long DynamoDB takes is not measured.

mod table;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Bytes;
use serde::Serialize;
use tests::Stack;
use uuid::Uuid;

use self::table::{Reads, Seed, Table};
use crate::{
    api::{Api, Request},
    figures::Spread,
    load::Series,
};

/// How many products there are.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// One client, so that a duration contains no waiting.
const SERIES: Series = Series {
    clients: 1,
    rounds: 5,
    round: Duration::from_secs(1),
};

/// A word of a few coffees. Each catalogue has the same number of them.
const RARE: &str = "limu";

/// The searches and their queries. Each, except for the rare word, fills a page in the smallest
/// catalogue too.
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

/// How one search grows with the number of products.
#[derive(Debug, Serialize)]
pub(crate) struct CatalogueGrowth {
    /// The median for the first page in milliseconds, by the number of products.
    ms: BTreeMap<usize, Spread>,
    /// The ratio of the largest size to the smallest, round by round.
    grows: Spread,
    /// The first page, by the number of products.
    pages: BTreeMap<usize, FirstPage>,
}

/// The first page of a search.
#[derive(Debug, Serialize)]
struct FirstPage {
    /// How many products are on it.
    products: usize,
    #[serde(flatten)]
    reads: Reads,
}

/// Measures each search at all sizes in turns.
pub(crate) async fn catalogue_growth(stack: &Stack) -> BTreeMap<&'static str, CatalogueGrowth> {
    let seed = Arc::new(Seed::read(stack, RARE).await);
    let mut catalogues = Vec::new();
    for size in SIZES {
        catalogues.push(Catalogue::open(stack, &seed, size).await);
    }
    let mut searches = BTreeMap::new();
    for (name, query) in SEARCHES {
        searches.insert(name, growth(&catalogues, query).await);
    }
    searches
}

async fn growth(catalogues: &[Catalogue], query: &str) -> CatalogueGrowth {
    let mut pages = BTreeMap::new();
    for catalogue in catalogues {
        pages.insert(catalogue.size, catalogue.first_page(query).await);
    }
    let mut medians = vec![Vec::new(); catalogues.len()];
    for _ in 0..SERIES.rounds {
        for (catalogue, medians) in catalogues.iter().zip(&mut medians) {
            medians.push(catalogue.median_ms(query).await);
        }
    }
    let sizes = catalogues.iter().map(|catalogue| catalogue.size);
    CatalogueGrowth {
        grows: Spread::of_ratios(&medians[catalogues.len() - 1], &medians[0]),
        ms: sizes.zip(medians.into_iter().map(Spread::of)).collect(),
        pages,
    }
}

/// A table of a given size, and an API that reads it.
struct Catalogue {
    size: usize,
    table: Arc<Table>,
    api: Api,
}

impl Catalogue {
    async fn open(stack: &Stack, seed: &Arc<Seed>, size: usize) -> Self {
        let table = Arc::new(Table::new(seed, size));
        let address = table::serve(&table).await;
        let dynamodb = ("AWS_ENDPOINT_URL_DYNAMODB", address.as_str());
        let api = Api::start_with(stack, SERIES.clients, &[dynamodb]).await;
        Self { size, table, api }
    }

    fn event(&self, query: &str) -> Bytes {
        let (route, user) = ("/v1/products", Uuid::nil());
        self.api.event(Request::get(route, route, query, user))
    }

    async fn first_page(&self, query: &str) -> FirstPage {
        self.table.take_reads();
        let page = self.api.invoke_for_body(self.event(query), 200).await;
        let reads = self.table.take_reads();
        let products = page["items"].as_array().map_or(0, Vec::len);
        FirstPage { products, reads }
    }

    async fn median_ms(&self, query: &str) -> f64 {
        let load = self.api.load(SERIES, 200, || self.event(query)).await;
        load.quantile_ms(500)
    }
}
