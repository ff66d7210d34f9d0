//! The catalogue: products and categories as documents in one DynamoDB table.
//!
//! Stock is not here: it is transactional, and PostgreSQL's.

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
    entries::{MAX_TERMS, Search, SearchFrom, is_findable},
};
use crate::{
    cursor::{self, Page},
    error::StoreError,
};

type Item = HashMap<String, AttributeValue>;

/// What one call reads of a range, and whether there is more.
type Read = (Vec<Item>, bool);

/// How many items DynamoDB reads and writes in one call.
const READ_BATCH: usize = 100;
const WRITE_BATCH: usize = 25;

/// How many calls are under way at once when much is written.
const WRITERS: usize = 8;

/// How often a batch is sent again for the items that were left out of it.
const MAX_BATCH_TRIES: usize = 8;

/// How many entries one page of a search looks at before it is handed out as it is.
const MAX_EXAMINED: usize = 1_000;

/// For how long an order may go by what was read of a product before, and how many products are kept for that.
const KEPT_FOR: Duration = Duration::from_secs(5);
const KEPT: u64 = 1_000;

/// The catalogue's table.
#[derive(Clone)]
pub struct Catalogue {
    client: Client,
    table: String,
    lately_read: Cache<Sku, Product>,
}

/// An item of the table: its key beside what it holds.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    #[serde(flatten)]
    key: Key,
    /// Of a product.
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
            lately_read: Cache::builder()
                .max_capacity(KEPT)
                .time_to_live(KEPT_FOR)
                .build(),
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
        let (items, _) = self.read_range(&range, None, READ_BATCH).await?;
        items
            .into_iter()
            .map(|item| Ok(document::<Category>(item)?.document))
            .collect()
    }

    /// The product of that SKU, if there is one.
    pub async fn product(&self, sku: &Sku) -> Result<Option<Product>, StoreError> {
        Ok(self
            .versioned(sku)
            .await?
            .map(|versioned| versioned.product))
    }

    /// The products of these SKUs, as far as there are such, as they were five seconds ago or later. Each SKU may
    /// be named once.
    pub async fn products(&self, skus: &[Sku]) -> Result<HashMap<Sku, Product>, StoreError> {
        let mut products = HashMap::with_capacity(skus.len());
        let mut unknown = Vec::new();
        for sku in skus {
            match self.lately_read.get(sku) {
                Some(product) => _ = products.insert(sku.clone(), product),
                None => unknown.push(sku.clone()),
            }
        }
        for (sku, versioned) in self.versioned_products(&unknown).await? {
            self.lately_read
                .insert(sku.clone(), versioned.product.clone());
            products.insert(sku, versioned.product);
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
        from: Option<SearchFrom>,
        limit: usize,
    ) -> Result<Page<VersionedProduct>, StoreError> {
        let mut found = Vec::with_capacity(limit);
        let at_once = search.entries_at_once(limit);
        let (range, mut read, mut position) = self.begin(search, from, at_once).await?;
        let mut examined = 0;
        let next = 'pages: loop {
            let (items, more) = read;
            for item in items {
                let Stored {
                    key,
                    document: entry,
                    ..
                } = document::<Entry>(item)?;
                let wanted = search.wants(&entry, &range, &key.sk);
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

    /// Where a search reads, what it reads first, and after which position.
    async fn begin(
        &self,
        search: &Search,
        from: Option<SearchFrom>,
        at_once: usize,
    ) -> Result<(Range, Read, Option<Key>), StoreError> {
        let Some(SearchFrom { range, position }) = from else {
            let (range, read) = self.narrowest(search.ranges(), at_once).await?;
            return Ok((range, read, None));
        };
        let read = self.read_range(&range, Some(&position), at_once).await?;
        Ok((range, read, Some(position)))
    }

    /// One of a search's ranges that ends with its first items, if there is such, else the first, and these items:
    /// what has a rare word is found by that, however much there is of the others.
    async fn narrowest(
        &self,
        mut ranges: Vec<Range>,
        at_once: usize,
    ) -> Result<(Range, Read), StoreError> {
        let begins = ranges
            .iter()
            .map(|range| self.read_range(range, None, at_once));
        let mut begins = try_join_all(begins).await?;
        let ends = begins.iter().position(|(_, more)| !more);
        let chosen = ends.unwrap_or_default();
        Ok((ranges.swap_remove(chosen), begins.swap_remove(chosen)))
    }

    /// Writes these categories.
    pub async fn put_categories(&self, categories: &[Category]) -> Result<(), StoreError> {
        let writes = categories
            .iter()
            .map(|category| put(Key::category(&category.id), Version::NONE, category));
        self.write(writes.collect::<Result<_, _>>()?).await
    }

    /// Adds those of these products that are not there yet, with what each can be found by; leaves
    /// the others as they are. For a catalogue that nobody else is writing to.
    pub async fn add_products(&self, products: &[Product]) -> Result<(), StoreError> {
        for products in products.chunks(WRITERS * WRITE_BATCH) {
            let skus: Vec<Sku> = products.iter().map(|product| product.sku.clone()).collect();
            let known = self.versioned_products(&skus).await?;
            let new = products.iter().filter(|it| !known.contains_key(&it.sku));
            let (mut entries, mut documents) = (Vec::new(), Vec::new());
            for product in new {
                let entry = Entry::of(product);
                for key in entry.keys() {
                    entries.push(put(key, Version::NONE, &entry)?);
                }
                documents.push(put(Key::product(&product.sku), Version::new(), product)?);
            }
            // First, so that a product that is there can be found.
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
            .set_key(Some(item(key)?));
        let item = request.send().await.map_err(StoreError::dynamodb)?.item;
        item.map(document).transpose()
    }

    /// At most so many items of a range, after `position`, in one call.
    async fn read_range(
        &self,
        range: &Range,
        position: Option<&Key>,
        at_most: usize,
    ) -> Result<Read, StoreError> {
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
            .limit(i32::try_from(at_most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::dynamodb)?;
        let more = page.last_evaluated_key.is_some();
        Ok((page.items.unwrap_or_default(), more))
    }

    /// The products of at most [`READ_BATCH`] SKUs.
    async fn read_batch(&self, skus: &[Sku]) -> Result<Vec<VersionedProduct>, StoreError> {
        let keys: Vec<Item> = skus
            .iter()
            .map(|sku| item(&Key::product(sku)))
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
                versioned_products.push(document(item)?.into());
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

fn put<T: Serialize>(key: Key, version: Version, document: T) -> Result<WriteRequest, StoreError> {
    let stored = Stored {
        key,
        version,
        document,
    };
    let put = PutRequest::builder().set_item(Some(item(&stored)?)).build();
    Ok(WriteRequest::builder()
        .put_request(put.map_err(StoreError::dynamodb)?)
        .build())
}

fn item(value: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::unreadable("an item", error))
}

fn document<T: DeserializeOwned>(item: Item) -> Result<Stored<T>, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::unreadable("an item", error))
}
