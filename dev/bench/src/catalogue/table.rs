//! The catalogue's table in memory. It answers the calls to DynamoDB that a search makes.
//!
//! Its items are those that the store wrote for the seed's products, and copies of them under other
//! SKUs. So only the store knows which keys find a product.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response as HttpResponse},
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};

use ::tests::{Response, Stack};

use crate::stand_in::{self, AWS_JSON};

const SCAN: &str = "DynamoDB_20120810.Scan";
const QUERY: &str = "DynamoDB_20120810.Query";
const BATCH_GET: &str = "DynamoDB_20120810.BatchGetItem";

/// Shuffles the products, so that the smallest catalogue has some of each category.
const SEED: u64 = 0xCA0CE;

/// The stack's own catalogue.
pub(super) struct Seed {
    /// What a table contains once, unchanged: the categories, which count as one product, and the
    /// rare products.
    once: Vec<Product>,
    /// The products that a table contains copies of.
    copied: Vec<Product>,
}

/// A product: all items whose keys contain its SKU.
struct Product {
    sku: String,
    items: Vec<Item>,
}

struct Item {
    pk: String,
    sk: String,
    /// The whole item in DynamoDB's JSON.
    json: String,
}

impl Seed {
    /// Reads the stack's table. Products with the word `rare` are rare.
    pub(super) async fn read(stack: &Stack, rare: &str) -> Self {
        let mut products: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in scan(stack).await {
            let sku = text(&item["document"]["M"]["sku"]).to_owned();
            products.entry(sku).or_default().push(Item {
                pk: text(&item["pk"]).to_owned(),
                sk: text(&item["sk"]).to_owned(),
                json: item.to_string(),
            });
        }
        let products = products.into_iter();
        let (once, mut copied): (Vec<_>, Vec<_>) = products
            .map(|(sku, items)| Product { sku, items })
            .partition(|product| product.is_categories() || product.has_word(rare));
        copied.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
        Self { once, copied }
    }

    /// The product with this number, and the SKU that it has in a table.
    fn product(&self, number: usize) -> (&Product, String) {
        if let Some(product) = self.once.get(number) {
            return (product, product.sku.clone());
        }
        let product = &self.copied[number % self.copied.len()];
        let category = product.sku.trim_end_matches(|c: char| c.is_ascii_digit());
        (product, format!("{category}{number:07}"))
    }
}

impl Product {
    fn is_categories(&self) -> bool {
        self.sku.is_empty()
    }

    fn has_word(&self, word: &str) -> bool {
        let key = format!("{word}#{}", self.sku);
        self.items.iter().any(|item| item.sk == key)
    }
}

/// All items of the stack's table.
async fn scan(stack: &Stack) -> Vec<Value> {
    let environment = stack.environment_of("api").await;
    let mut request = json!({ "TableName": environment["CATALOGUE_TABLE"] });
    let mut items = Vec::new();
    loop {
        let response = Response::of(stack.aws_request(SCAN, &request)).await;
        let mut page: Value = response.with_status(200).json();
        let found = page["Items"].as_array_mut();
        items.append(found.expect("a page should have items"));
        if page["LastEvaluatedKey"].is_null() {
            return items;
        }
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"].take();
    }
}

/// A catalogue in memory.
pub(super) struct Table {
    seed: Arc<Seed>,
    /// The items, by partition key and sort key.
    partitions: HashMap<String, BTreeMap<String, Place>>,
    reads: Mutex<Reads>,
}

/// An item of a product.
#[derive(Clone, Copy)]
struct Place {
    product: usize,
    item: usize,
}

/// What was read from a table.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Reads {
    /// How many calls there were.
    calls: usize,
    /// How many items they read.
    items: usize,
}

impl Table {
    /// A table with `size` products.
    pub(super) fn new(seed: &Arc<Seed>, size: usize) -> Self {
        let mut partitions: HashMap<String, BTreeMap<String, Place>> = HashMap::new();
        // The categories are number 0 and come on top.
        for number in 0..=size {
            let (product, sku) = seed.product(number);
            for (index, item) in product.items.iter().enumerate() {
                let partition = partitions.entry(item.pk.replace(&product.sku, &sku));
                let place = Place {
                    product: number,
                    item: index,
                };
                let other = partition
                    .or_default()
                    .insert(item.sk.replace(&product.sku, &sku), place);
                assert!(other.is_none(), "two items have the same key");
            }
        }
        Self {
            seed: Arc::clone(seed),
            partitions,
            reads: Mutex::default(),
        }
    }

    /// Returns what was read since the last call, and resets it.
    pub(super) fn take_reads(&self) -> Reads {
        mem::take(&mut self.reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn query(&self, request: &Value) -> String {
        let values = &request["ExpressionAttributeValues"];
        let pk = text(&values[":pk"]);
        let prefix = match text_of(&request["KeyConditionExpression"]) {
            "pk = :pk" => "",
            "pk = :pk and begins_with(sk, :prefix)" => text(&values[":prefix"]),
            other => panic!("{other} is not a condition that the catalogue uses"),
        };
        let limit = request["Limit"].as_u64().map(usize::try_from);
        let limit = limit.expect("a query should have a limit");
        let limit = limit.expect("a limit should fit");
        let after = request["ExclusiveStartKey"]["sk"]["S"].as_str();
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let partition = self.partitions.get(pk).into_iter();
        let found: Vec<(&String, &Place)> = partition
            .flat_map(|partition| partition.range::<str, _>((from, Bound::Unbounded)))
            .take_while(|(sk, _)| sk.starts_with(prefix))
            .take(limit)
            .collect();
        let last = found.last().filter(|_| found.len() == limit);
        let last = last.map(|(sk, _)| json!({ "pk": { "S": pk }, "sk": { "S": sk } }));
        let items = self.read(found.into_iter().map(|(_, place)| *place));
        format!(
            r#"{{ "Items": {items}, "LastEvaluatedKey": {} }}"#,
            json!(last)
        )
    }

    fn batch_get(&self, request: &Value) -> String {
        let tables = request["RequestItems"].as_object();
        let (table, wanted) = tables
            .and_then(|tables| tables.iter().next())
            .expect("a batch should be of a table");
        let keys = wanted["Keys"].as_array().into_iter().flatten();
        let places = keys.filter_map(|key| {
            let partition = self.partitions.get(text(&key["pk"]))?;
            partition.get(text(&key["sk"])).copied()
        });
        let items = self.read(places);
        format!(r#"{{ "Responses": {{ "{table}": {items} }}, "UnprocessedKeys": {{}} }}"#)
    }

    /// The items at these places, as a list in DynamoDB's JSON.
    fn read(&self, places: impl Iterator<Item = Place>) -> String {
        let items: Vec<String> = places.map(|place| self.item(place)).collect();
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.calls += 1;
        reads.items += items.len();
        format!("[{}]", items.join(","))
    }

    fn item(&self, place: Place) -> String {
        let (product, sku) = self.seed.product(place.product);
        product.items[place.item].json.replace(&product.sku, &sku)
    }
}

/// Serves the table and returns its address.
pub(super) async fn serve(table: &Arc<Table>) -> String {
    let router = Router::new().fallback(answer).with_state(Arc::clone(table));
    stand_in::serve(router).await
}

async fn answer(State(table): State<Arc<Table>>, headers: HeaderMap, body: Bytes) -> HttpResponse {
    let request = serde_json::from_slice(&body).unwrap_or_default();
    let response = match stand_in::target(&headers) {
        Some(QUERY) => table.query(&request),
        Some(BATCH_GET) => table.batch_get(&request),
        _ => return StatusCode::NOT_IMPLEMENTED.into_response(),
    };
    ([("content-type", AWS_JSON)], response).into_response()
}

/// The value of a string attribute, or an empty string.
fn text(attribute: &Value) -> &str {
    text_of(&attribute["S"])
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(sku: &str, keys: &[(&str, &str)]) -> Product {
        let item = |&(pk, sk): &(&str, &str)| Item {
            pk: pk.to_owned(),
            sk: sk.to_owned(),
            json: json!({ "pk": { "S": pk }, "sk": { "S": sk } }).to_string(),
        };
        Product {
            sku: sku.to_owned(),
            items: keys.iter().map(item).collect(),
        }
    }

    #[test]
    fn pages_of_a_query_return_each_copy_once() {
        let seed = Seed {
            once: vec![product("", &[("categories", "tea")])],
            copied: vec![product(
                "TEA-0001",
                &[("words#te", "tea#TEA-0001"), ("words#te", "teak#TEA-0001")],
            )],
        };
        let table = Table::new(&Arc::new(seed), 5);
        let mut request = json!({
            "KeyConditionExpression": "pk = :pk and begins_with(sk, :prefix)",
            "ExpressionAttributeValues": { ":pk": { "S": "words#te" }, ":prefix": { "S": "tea#" } },
            "Limit": 2,
        });
        let mut found = Vec::new();
        loop {
            let page: Value = serde_json::from_str(&table.query(&request)).unwrap();
            let items = page["Items"].as_array();
            found.extend(
                items
                    .unwrap()
                    .iter()
                    .map(|item| text(&item["sk"]).to_owned()),
            );
            if page["LastEvaluatedKey"].is_null() {
                break;
            }
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        }
        let copies: Vec<String> = (1..=5).map(|it| format!("tea#TEA-{it:07}")).collect();
        assert_eq!(found, copies);
        let reads = table.take_reads();
        assert_eq!((reads.calls, reads.items), (3, 5));
    }
}
