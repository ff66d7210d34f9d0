//! The catalogue: products and categories as documents in one DynamoDB table.
//!
//! Stock is in PostgreSQL, because it is transactional.

mod edit;
mod entries;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest},
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use moka::sync::Cache;
use orders::{
    Sku,
    catalogue::{Category, Product},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::entries::{CATEGORIES, Entry, Key, Range};
pub use self::{
    edit::{EditError, Version, VersionedProduct},
    entries::{MAX_TERMS, Search, SearchCursor, is_findable},
};
use crate::{
    cursor::{self, Page},
    error::StoreError,
};

type Item = HashMap<String, AttributeValue>;

/// The items that one call reads of a range, and whether the range has more.
type RangeRead = (Vec<Item>, bool);

/// The maximum number of items that DynamoDB reads in one call.
const READ_BATCH: usize = 100;

/// The maximum number of items that DynamoDB writes in one call.
const WRITE_BATCH: usize = 25;

/// How many batches are written concurrently.
const CONCURRENT_WRITES: usize = 8;

/// How often a batch is sent: DynamoDB may leave some of its items unprocessed.
const MAX_BATCH_TRIES: usize = 8;

/// How many entries a search examines for one page, which is then returned as it is.
const MAX_EXAMINED: usize = 1_000;

/// How long a product is cached. An order may use data of this age.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// How many products are cached.
const CACHE_CAPACITY: u64 = 1_000;

/// The catalogue's table.
#[derive(Clone)]
pub struct Catalogue {
    client: Client,
    table: String,
    recent_products: Cache<Sku, Product>,
}

/// An item of the table: its key and its document.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    #[serde(flatten)]
    key: Key,
    /// Only products have a version.
    #[serde(default, skip_serializing_if = "Version::is_none")]
    version: Version,
    document: T,
}

impl Catalogue {
    /// The catalogue in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            recent_products: Cache::builder()
                .max_capacity(CACHE_CAPACITY)
                .time_to_live(CACHE_TTL)
                .build(),
        }
    }

    /// Checks that the table answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let key = Key {
            pk: CATEGORIES.to_owned(),
            sk: "-".to_owned(),
        };
        self.get::<Category>(&key).await?;
        Ok(())
    }

    /// Returns all categories, in the order of their ids.
    pub async fn categories(&self) -> Result<Vec<Category>, StoreError> {
        let range = Range {
            pk: CATEGORIES.to_owned(),
            prefix: None,
        };
        let (items, _) = self.read_range(&range, None, READ_BATCH).await?;
        items
            .into_iter()
            .map(|item| Ok(from_item::<Category>(item)?.document))
            .collect()
    }

    /// Returns the product with this SKU, if there is one.
    pub async fn product(&self, sku: &Sku) -> Result<Option<Product>, StoreError> {
        Ok(self
            .versioned(sku)
            .await?
            .map(|versioned| versioned.product))
    }

    /// Returns those products with these SKUs that exist, as they were at most five seconds ago.
    /// Each SKU may be named once.
    pub async fn products(&self, skus: &[Sku]) -> Result<HashMap<Sku, Product>, StoreError> {
        let mut products = HashMap::with_capacity(skus.len());
        let mut unknown = Vec::new();
        for sku in skus {
            match self.recent_products.get(sku) {
                Some(product) => _ = products.insert(sku.clone(), product),
                None => unknown.push(sku.clone()),
            }
        }
        for (sku, versioned) in self.versioned_products(&unknown).await? {
            self.recent_products
                .insert(sku.clone(), versioned.product.clone());
            products.insert(sku, versioned.product);
        }
        Ok(products)
    }

    /// Returns a page of the products that match `search`. The page may be shorter than `limit`
    /// without being the last: only the last page has no cursor.
    pub async fn search(
        &self,
        search: &Search,
        from: Option<SearchCursor>,
        limit: usize,
    ) -> Result<Page<Product>, StoreError> {
        let page = self.search_versioned(search, from, limit).await?;
        let versioned_products = page.items.into_iter();
        Ok(Page {
            items: versioned_products
                .map(|versioned| versioned.product)
                .collect(),
            next_cursor: page.next_cursor,
        })
    }

    /// As [`Catalogue::search`], with the versions.
    pub async fn search_versioned(
        &self,
        search: &Search,
        from: Option<SearchCursor>,
        limit: usize,
    ) -> Result<Page<VersionedProduct>, StoreError> {
        let mut found = Vec::with_capacity(limit);
        let at_once = search.entries_at_once(limit);
        let (range, mut read, mut position) = self.begin_search(search, from, at_once).await?;
        let mut examined = 0;
        let next = 'pages: loop {
            let (items, more) = read;
            for item in items {
                let Stored {
                    key,
                    document: entry,
                    ..
                } = from_item::<Entry>(item)?;
                let matches = search.matches(&entry, &range, &key.sk);
                if matches && found.len() == limit {
                    break 'pages position;
                }
                found.extend(matches.then_some(entry.sku));
                position = Some(key);
                examined += 1;
            }
            if !more {
                break None;
            }
            if examined >= MAX_EXAMINED {
                break position;
            }
            read = self.read_range(&range, position.as_ref(), at_once).await?;
        };
        let mut versioned_products = self.versioned_products(&found).await?;
        Ok(Page {
            items: found
                .iter()
                .filter_map(|sku| versioned_products.remove(sku))
                .collect(),
            next_cursor: next.as_ref().map(cursor::encode),
        })
    }

    /// Returns the range that a search reads, the first items and the position before them.
    async fn begin_search(
        &self,
        search: &Search,
        from: Option<SearchCursor>,
        at_once: usize,
    ) -> Result<(Range, RangeRead, Option<Key>), StoreError> {
        let Some(SearchCursor { range, position }) = from else {
            let (range, read) = self.choose_range(search.ranges(), at_once).await?;
            return Ok((range, read, None));
        };
        let read = self.read_range(&range, Some(&position), at_once).await?;
        Ok((range, read, Some(position)))
    }

    /// Reads the first items of each range, and chooses a range that has no more, if there is one,
    /// else the first. So a rare word is searched by, however many products have the others.
    async fn choose_range(
        &self,
        mut ranges: Vec<Range>,
        at_once: usize,
    ) -> Result<(Range, RangeRead), StoreError> {
        let first_reads = ranges
            .iter()
            .map(|range| self.read_range(range, None, at_once));
        let mut first_reads = try_join_all(first_reads).await?;
        let complete = first_reads.iter().position(|(_, more)| !more);
        let chosen = complete.unwrap_or_default();
        Ok((ranges.swap_remove(chosen), first_reads.swap_remove(chosen)))
    }

    /// Writes these categories, in place of those with the same ids.
    pub async fn put_categories(&self, categories: &[Category]) -> Result<(), StoreError> {
        let writes = categories
            .iter()
            .map(|category| put_request(Key::category(&category.id), Version::NONE, category));
        self.write(writes.collect::<Result<_, _>>()?).await
    }

    /// Adds those products that do not exist yet, with their search entries; leaves the others
    /// unchanged. Only for a catalogue without other writers.
    pub async fn add_products(&self, products: &[Product]) -> Result<(), StoreError> {
        for products in products.chunks(CONCURRENT_WRITES * WRITE_BATCH) {
            let skus: Vec<Sku> = products.iter().map(|product| product.sku.clone()).collect();
            let known = self.versioned_products(&skus).await?;
            let new = products.iter().filter(|it| !known.contains_key(&it.sku));
            let (mut entries, mut documents) = (Vec::new(), Vec::new());
            for product in new {
                let entry = Entry::of(product);
                for key in entry.keys() {
                    entries.push(put_request(key, Version::NONE, &entry)?);
                }
                documents.push(put_request(
                    Key::product(&product.sku),
                    Version::new(),
                    product,
                )?);
            }
            // Entries first, so that each product that exists can be found.
            self.write(entries).await?;
            self.write(documents).await?;
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Stored<T>>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .set_key(Some(to_item(key)?));
        let item = request.send().await.map_err(StoreError::dynamodb)?.item;
        item.map(from_item).transpose()
    }

    /// Reads at most `at_most` items of a range, after `position`, in one call.
    async fn read_range(
        &self,
        range: &Range,
        position: Option<&Key>,
        at_most: usize,
    ) -> Result<RangeRead, StoreError> {
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
        let position = position.map(to_item).transpose()?;
        let page = query
            .set_exclusive_start_key(position)
            .limit(i32::try_from(at_most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::dynamodb)?;
        let more = page.last_evaluated_key.is_some();
        Ok((page.items.unwrap_or_default(), more))
    }

    /// Reads the products of at most [`READ_BATCH`] SKUs.
    async fn read_batch(&self, skus: &[Sku]) -> Result<Vec<VersionedProduct>, StoreError> {
        let keys: Vec<Item> = skus
            .iter()
            .map(|sku| to_item(&Key::product(sku)))
            .collect::<Result<_, _>>()?;
        let mut left = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .build()
            .ok();
        let mut versioned_products = Vec::with_capacity(skus.len());
        for _ in 0..MAX_BATCH_TRIES {
            let Some(wanted) = left.take().filter(|wanted| !wanted.keys().is_empty()) else {
                return Ok(versioned_products);
            };
            let request = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted);
            let answer = request.send().await.map_err(StoreError::dynamodb)?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                versioned_products.push(from_item(item)?.into());
            }
            left = answer
                .unprocessed_keys
                .and_then(|mut left| left.remove(&self.table));
        }
        Err(StoreError::dynamodb("keys of a batch stay unprocessed"))
    }

    async fn write(&self, writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        let batches: Vec<_> = writes.chunks(WRITE_BATCH).map(<[_]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.write_batch(batch))
            .buffer_unordered(CONCURRENT_WRITES)
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
        Err(StoreError::dynamodb("items of a batch stay unprocessed"))
    }
}

fn put_request<T: Serialize>(
    key: Key,
    version: Version,
    document: T,
) -> Result<WriteRequest, StoreError> {
    let stored = Stored {
        key,
        version,
        document,
    };
    let put = PutRequest::builder()
        .set_item(Some(to_item(&stored)?))
        .build();
    Ok(WriteRequest::builder()
        .put_request(put.map_err(StoreError::dynamodb)?)
        .build())
}

fn to_item(value: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::unreadable("an item", error))
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<Stored<T>, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::unreadable("an item", error))
}
