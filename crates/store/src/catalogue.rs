//! The catalogue: products and categories as documents in one DynamoDB table.
//!
//! Stock is not here: it is transactional, and PostgreSQL's.

mod entries;

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest},
};
use futures::{StreamExt, TryStreamExt, stream};
use orders::{
    Sku,
    catalogue::{Category, Product},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::entries::{CATEGORIES, Entry, Key, Range};
pub use self::entries::{Search, SearchFrom};
use crate::{
    cursor::{self, Page},
    error::StoreError,
};

type Item = HashMap<String, AttributeValue>;

/// How many items DynamoDB reads and writes in one call.
const READ_BATCH: usize = 100;
const WRITE_BATCH: usize = 25;

/// How many calls are under way at once when much is written.
const WRITERS: usize = 8;

/// How often a batch is sent again for the items that were left out of it.
const MAX_BATCH_TRIES: usize = 8;

/// How many entries one page of a search looks at before it is handed out as it is.
const MAX_EXAMINED: usize = 1_000;

/// The catalogue's table.
#[derive(Clone)]
pub struct Catalogue {
    client: Client,
    table: String,
}

/// An item of the table: its key beside what it holds.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    #[serde(flatten)]
    key: Key,
    document: T,
}

impl Catalogue {
    /// The catalogue in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Whether the table answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let key = Key {
            pk: CATEGORIES.to_owned(),
            sk: "-".to_owned(),
        };
        self.get::<Category>(&key).await?;
        Ok(())
    }

    /// All categories, by their ids.
    pub async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        let range = Range {
            pk: CATEGORIES.to_owned(),
            prefix: None,
        };
        let (items, _) = self.read_range(&range, None).await?;
        items
            .into_iter()
            .map(|item| Ok(document::<Category>(item)?.document))
            .collect()
    }

    /// The product of that SKU, if there is one.
    pub async fn product(&self, sku: &Sku) -> Result<Option<Product>, StoreError> {
        self.get(&Key::product(sku)).await
    }

    /// The products of these SKUs, as far as there are such. Each SKU may be named once.
    pub async fn products(&self, skus: &[Sku]) -> Result<HashMap<Sku, Product>, StoreError> {
        let mut products = HashMap::with_capacity(skus.len());
        for skus in skus.chunks(READ_BATCH) {
            for product in self.read_batch(skus).await? {
                products.insert(product.sku.clone(), product);
            }
        }
        Ok(products)
    }

    /// A page of the products that `search` looks for. It may be shorter than `limit` and still not
    /// be the last: the cursor alone tells.
    pub async fn search(
        &self,
        search: &Search,
        from: Option<SearchFrom>,
        limit: usize,
    ) -> Result<Page<Product>, StoreError> {
        let range = search.range();
        let mut found = Vec::with_capacity(limit);
        let mut position = from.map(|SearchFrom(key)| key);
        let mut examined = 0;
        let next = 'pages: loop {
            let (items, more) = self.read_range(&range, position.as_ref()).await?;
            for item in items {
                let Stored {
                    key,
                    document: entry,
                } = document::<Entry>(item)?;
                let wanted = search.wants(&entry, &key.sk);
                if wanted && found.len() == limit {
                    break 'pages position;
                }
                found.extend(wanted.then_some(entry.sku));
                position = Some(key);
                examined += 1;
            }
            if !more {
                break None;
            }
            if examined >= MAX_EXAMINED {
                break position;
            }
        };
        let mut products = self.products(&found).await?;
        Ok(Page {
            items: found
                .iter()
                .filter_map(|sku| products.remove(sku))
                .collect(),
            next_cursor: next.as_ref().map(cursor::encode),
        })
    }

    /// Writes these categories.
    pub async fn put_categories(&self, categories: &[Category]) -> Result<(), StoreError> {
        let writes = categories
            .iter()
            .map(|category| put(Key::category(&category.id), category));
        self.write(writes.collect::<Result<_, _>>()?).await
    }

    /// Writes these products, and what each can be found by; leaves alone what is already so.
    pub async fn put_products(&self, products: &[Product]) -> Result<(), StoreError> {
        for products in products.chunks(WRITERS * WRITE_BATCH) {
            let skus: Vec<Sku> = products.iter().map(|product| product.sku.clone()).collect();
            let known = self.products(&skus).await?;
            let mut writes = Vec::new();
            for product in products {
                writes.extend(changes(known.get(&product.sku), product)?);
            }
            self.write(writes).await?;
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item(key)?));
        let item = request.send().await.map_err(StoreError::dynamodb)?.item;
        item.map(|item| Ok(document(item)?.document)).transpose()
    }

    /// The items of a range after `position`, as many as one call gives, and whether there are more.
    async fn read_range(
        &self,
        range: &Range,
        position: Option<&Key>,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_values(":pk", AttributeValue::S(range.pk.clone()));
        query = match &range.prefix {
            None => query.key_condition_expression("pk = :pk"),
            Some(prefix) => query
                .key_condition_expression("pk = :pk and begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.clone())),
        };
        let position = position.map(item).transpose()?;
        let page = query
            .set_exclusive_start_key(position)
            .limit(i32::try_from(READ_BATCH).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::dynamodb)?;
        let more = page.last_evaluated_key.is_some();
        Ok((page.items.unwrap_or_default(), more))
    }

    /// The products of at most [`READ_BATCH`] SKUs.
    async fn read_batch(&self, skus: &[Sku]) -> Result<Vec<Product>, StoreError> {
        let keys: Vec<Item> = skus
            .iter()
            .map(|sku| item(&Key::product(sku)))
            .collect::<Result<_, _>>()?;
        let mut left = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .build()
            .ok();
        let mut products = Vec::with_capacity(skus.len());
        for _ in 0..MAX_BATCH_TRIES {
            let Some(wanted) = left.take().filter(|wanted| !wanted.keys().is_empty()) else {
                return Ok(products);
            };
            let request = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted);
            let answer = request.send().await.map_err(StoreError::dynamodb)?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                products.push(document(item)?.document);
            }
            left = answer
                .unprocessed_keys
                .and_then(|mut left| left.remove(&self.table));
        }
        Err(StoreError::dynamodb(
            "it keeps leaving keys of a batch unread",
        ))
    }

    async fn write(&self, writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        let batches: Vec<_> = writes.chunks(WRITE_BATCH).map(<[_]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.write_batch(batch))
            .buffer_unordered(WRITERS)
            .try_collect()
            .await
    }

    async fn write_batch(&self, batch: Vec<WriteRequest>) -> Result<(), StoreError> {
        let mut left = Some(batch);
        for _ in 0..MAX_BATCH_TRIES {
            let Some(batch) = left.take().filter(|batch| !batch.is_empty()) else {
                return Ok(());
            };
            let request = self
                .client
                .batch_write_item()
                .request_items(&self.table, batch);
            let answer = request.send().await.map_err(StoreError::dynamodb)?;
            left = answer
                .unprocessed_items
                .and_then(|mut left| left.remove(&self.table));
        }
        Err(StoreError::dynamodb(
            "it keeps leaving items of a batch unwritten",
        ))
    }
}

/// What is to be written so that the table holds `product` instead of what it `was`.
fn changes(was: Option<&Product>, product: &Product) -> Result<Vec<WriteRequest>, StoreError> {
    if was == Some(product) {
        return Ok(Vec::new());
    }
    let entry = Entry::of(product);
    let keys = entry.keys();
    let stale: BTreeSet<Key> = was
        .map(|was| &Entry::of(was).keys() - &keys)
        .unwrap_or_default();
    let mut writes: Vec<WriteRequest> = stale.iter().map(delete).collect::<Result<_, _>>()?;
    for key in keys {
        writes.push(put(key, &entry)?);
    }
    // The last, so that a product that is there can be found.
    writes.push(put(Key::product(&product.sku), product)?);
    Ok(writes)
}

fn put<T: Serialize>(key: Key, document: T) -> Result<WriteRequest, StoreError> {
    let put = PutRequest::builder()
        .set_item(Some(item(&Stored { key, document })?))
        .build();
    Ok(WriteRequest::builder()
        .put_request(put.map_err(StoreError::dynamodb)?)
        .build())
}

fn delete(key: &Key) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(item(key)?)).build();
    Ok(WriteRequest::builder()
        .delete_request(delete.map_err(StoreError::dynamodb)?)
        .build())
}

fn item(value: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::unreadable("an item", error))
}

fn document<T: DeserializeOwned>(item: Item) -> Result<Stored<T>, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::unreadable("an item", error))
}
