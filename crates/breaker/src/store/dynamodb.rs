//! A store in one DynamoDB table.
//!
//! It relies on condition expressions and on `ADD`, but not on optional parts of a response:
//! attributes that an implementation of DynamoDB omits are read from the item.
//!
//! The SDK's futures are boxed, because they are large and part of every guarded call.

use std::{collections::HashMap, error::Error as StdError, ops::Add};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        error::TransactionCanceledException,
    },
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    circuit::Circuit,
    counts::{Counts, Slot},
    error::Error,
    history::Transition,
    store::{SpendOutcome, Store, WriteOutcome},
};

type Item = HashMap<String, AttributeValue>;

/// The sort key of the circuit itself.
const CIRCUIT: &str = "circuit";

/// The range of the sort keys of transitions.
const HISTORY: [&str; 2] = ["history#", "history$"];

/// The counter attributes of a bucket.
const COUNTERS: [&str; 4] = ["calls", "failures", "slow", "retries"];

/// The cancellation codes of a transaction that conflicts with another writer.
const CONFLICT_CODES: [&str; 2] = ["ConditionalCheckFailed", "TransactionConflict"];

/// 2^53: every whole number below it is exact as an `f64`.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A store in one DynamoDB table. Clones share the client.
///
/// The table's partition key is `pk` and its sort key `sk`, both strings. Its time-to-live
/// attribute is `expires_at`. The circuit `name` is the item (`name`, `circuit`). Its counters are
/// (`name`, `count#generation#bucket`), its transitions (`name`, `history#version`).
#[derive(Debug, Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

/// An item: its key, the time from which it may be deleted, and its content.
#[derive(Serialize)]
struct StoredItem<T> {
    pk: String,
    sk: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(flatten)]
    content: T,
}

/// The outcome of a write of a circuit.
enum PutOutcome {
    Written,
    /// Another writer has changed the circuit or is changing it. Holds the stored item, if the
    /// response contains it.
    Conflict(Option<Item>),
}

impl PutOutcome {
    /// Returns `None` if the transaction was cancelled for another reason than a conflict. If the
    /// response lists no reasons, they are read from its message.
    fn from_cancellation(cancelled: &TransactionCanceledException) -> Option<Self> {
        let reasons = cancelled.cancellation_reasons().iter();
        let mut conflicts =
            reasons.filter(|it| it.code().is_some_and(|it| CONFLICT_CODES.contains(&it)));
        if let Some(reason) = conflicts.next() {
            return Some(Self::Conflict(reason.item.clone()));
        }
        let message = cancelled.message().unwrap_or_default();
        let is_conflict = CONFLICT_CODES.iter().any(|code| message.contains(code));
        is_conflict.then_some(Self::Conflict(None))
    }
}

impl DynamoDb {
    /// Returns the store in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    fn key(name: &str, sk: String) -> Item {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(name.to_owned())),
            ("sk".to_owned(), AttributeValue::S(sk)),
        ])
    }

    /// Writes a circuit over the `expected` version, and a transition if there is one.
    async fn put_circuit(
        &self,
        circuit: Item,
        expected: u64,
        transition: Option<Item>,
    ) -> Result<PutOutcome, Error> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(circuit))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Version 0 is that of a circuit that was never written.
        let put = match expected {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            _ => put
                .condition_expression("version = :expected")
                .expression_attribute_values(":expected", number(&expected)),
        };
        let mut puts = vec![put.build().map_err(unreachable)?];
        if let Some(transition) = transition {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(transition));
            puts.push(put.build().map_err(unreachable)?);
        }
        let writes = puts
            .into_iter()
            .map(|put| TransactWriteItem::builder().put(put).build());
        let write = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes.collect()));
        match Box::pin(write.send())
            .await
            .map_err(SdkError::into_service_error)
        {
            Ok(_) => Ok(PutOutcome::Written),
            Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                PutOutcome::from_cancellation(&cancelled).ok_or_else(|| unreachable(cancelled))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Reads the items of a circuit whose sort key is from `first` to `last`, at most `limit`.
    async fn query_range<T: DeserializeOwned>(
        &self,
        name: &str,
        [first, last]: [&str; 2],
        ascending: bool,
        limit: usize,
    ) -> Result<Vec<T>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk and sk between :first and :last")
            .expression_attribute_values(":pk", AttributeValue::S(name.to_owned()))
            .expression_attribute_values(":first", AttributeValue::S(first.to_owned()))
            .expression_attribute_values(":last", AttributeValue::S(last.to_owned()))
            .scan_index_forward(ascending)
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let mut items = query.into_paginator().items().send();
        let mut contents = Vec::new();
        while contents.len() < limit {
            let Some(item) = items.next().await else {
                break;
            };
            contents.push(from_item(item.map_err(unreachable)?)?);
        }
        Ok(contents)
    }

    /// Reads an item with strong consistency.
    async fn get(&self, name: &str, sk: String) -> Result<Option<Item>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(Self::key(name, sk)))
            .consistent_read(true);
        Ok(Box::pin(get.send()).await.map_err(unreachable)?.item)
    }

    /// Returns a bucket's counts from a response. Reads the item if the response lacks a counter,
    /// which happens with other implementations of DynamoDB.
    async fn counts_or_read(
        &self,
        name: &str,
        slot: Slot,
        response: Option<Item>,
    ) -> Result<Counts, Error> {
        let is_complete = |item: &Item| COUNTERS.iter().all(|name| item.contains_key(*name));
        let item = match response.filter(is_complete) {
            Some(item) => Some(item),
            None => self.get(name, count_key(slot)).await?,
        };
        from_item(item.unwrap_or_default())
    }

    /// Builds an update that adds to a bucket. It names all counters, so that the item has all.
    fn add_to_bucket(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Self::key(name, count_key(slot))))
            .update_expression(
                "add calls :calls, failures :failures, slow :slow, retries :retries \
                 set expires_at = :expires_at",
            )
            .expression_attribute_values(":calls", number(&counts.calls))
            .expression_attribute_values(":failures", number(&counts.failures))
            .expression_attribute_values(":slow", number(&counts.slow))
            .expression_attribute_values(":retries", number(&counts.retries))
            .expression_attribute_values(":expires_at", number(&keep_until.as_second()))
            .return_values(ReturnValue::AllNew)
    }
}

impl Store for DynamoDb {
    async fn read_circuit(&self, name: &str) -> Result<Circuit, Error> {
        let item = self.get(name, CIRCUIT.to_owned()).await?;
        item.map_or_else(|| Ok(Circuit::default()), from_item)
    }

    async fn write_circuit(
        &self,
        name: &str,
        circuit: &Circuit,
        expected: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<WriteOutcome, Error> {
        let item = to_item(name, CIRCUIT.to_owned(), None, circuit)?;
        let transition = transition.map(|(transition, keep_until)| {
            let sk = format!("{}{:020}", HISTORY[0], transition.version);
            to_item(name, sk, Some(keep_until), transition)
        });
        let current = match self
            .put_circuit(item, expected, transition.transpose()?)
            .await?
        {
            PutOutcome::Written => return Ok(WriteOutcome::Written),
            PutOutcome::Conflict(Some(item)) => from_item(item)?,
            PutOutcome::Conflict(None) => self.read_circuit(name).await?,
        };
        // The SDK may have sent the request twice: then the first one wrote this circuit.
        if current == *circuit {
            return Ok(WriteOutcome::Written);
        }
        Ok(WriteOutcome::Conflict(Box::new(current)))
    }

    async fn add_counts(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> Result<Counts, Error> {
        let update = self.add_to_bucket(name, slot, counts, keep_until);
        let answer = Box::pin(update.send()).await.map_err(unreachable)?;
        let counted = self.counts_or_read(name, slot, answer.attributes).await?;
        verify_added(counted, counts)
    }

    async fn spend_retry(
        &self,
        name: &str,
        slot: Slot,
        limit: u64,
        keep_until: Timestamp,
    ) -> Result<SpendOutcome, Error> {
        // In a new bucket, the condition would allow one retry.
        if limit == 0 {
            return Ok(SpendOutcome::Refused(
                self.counts_or_read(name, slot, None).await?,
            ));
        }
        let one = Counts {
            retries: 1,
            ..Counts::default()
        };
        let update = self
            .add_to_bucket(name, slot, one, keep_until)
            .condition_expression("attribute_not_exists(retries) or retries < :limit")
            .expression_attribute_values(":limit", number(&limit))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match Box::pin(update.send())
            .await
            .map_err(SdkError::into_service_error)
        {
            Ok(answer) => {
                let counted = self.counts_or_read(name, slot, answer.attributes).await?;
                verify_added(counted, one).map(SpendOutcome::Allowed)
            }
            Err(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let counted = self.counts_or_read(name, slot, failed.item).await?;
                Ok(SpendOutcome::Refused(counted))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn sum_counts(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        let last = Slot {
            start: end.start - 1,
            ..end
        };
        let between = [count_key(first), count_key(last)];
        let between = [between[0].as_str(), between[1].as_str()];
        let buckets: Vec<Counts> = self.query_range(name, between, true, usize::MAX).await?;
        Ok(buckets.into_iter().fold(Counts::default(), Counts::add))
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.query_range(name, HISTORY, false, limit).await
    }
}

fn count_key(slot: Slot) -> String {
    format!("count#{:020}#{:020}", slot.generation, slot.start.max(0))
}

fn number(number: &impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Checks that a bucket's counts include what was just added. A table that does not count would
/// keep every circuit closed without an error.
fn verify_added(counts: Counts, added: Counts) -> Result<Counts, Error> {
    let includes = counts.calls >= added.calls
        && counts.failures >= added.failures
        && counts.slow >= added.slow
        && counts.retries >= added.retries;
    includes.then_some(counts).ok_or_else(|| Error::Unreadable {
        what: "a bucket of the breaker's table",
        source: format!("it holds {counts:?} after {added:?} was added").into(),
    })
}

fn to_item<T: Serialize>(
    name: &str,
    sk: String,
    keep_until: Option<Timestamp>,
    content: T,
) -> Result<Item, Error> {
    let item = StoredItem {
        pk: name.to_owned(),
        sk,
        expires_at: keep_until.map(Timestamp::as_second),
        content,
    };
    serde_dynamo::to_item(item).map_err(unreadable)
}

/// Deserializes an item, and ignores other attributes.
fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    let item: Item = item
        .into_iter()
        .map(|(name, value)| (name, normalize(value)))
        .collect();
    serde_dynamo::from_item(item).map_err(unreadable)
}

/// Writes whole numbers without decimals or exponent. DynamoDB returns `3`, other implementations
/// may return `3.0` or `3E+0`.
fn normalize(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::N(text) => AttributeValue::N(whole_number(&text).unwrap_or(text)),
        AttributeValue::L(list) => AttributeValue::L(list.into_iter().map(normalize).collect()),
        AttributeValue::M(map) => AttributeValue::M(
            map.into_iter()
                .map(|(name, value)| (name, normalize(value)))
                .collect(),
        ),
        other => other,
    }
}

/// Rewrites a whole number without decimals or exponent. Returns `None` if it has neither, or is
/// not whole.
fn whole_number(text: &str) -> Option<String> {
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < MAX_EXACT).then(|| format!("{number:.0}"))
}

fn unreadable(source: serde_dynamo::Error) -> Error {
    Error::Unreadable {
        what: "an item of the breaker's table",
        source: source.into(),
    }
}

fn unreachable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Unreachable(source.into())
}
