//! A store in one DynamoDB table.

use std::{collections::HashMap, error::Error as StdError, ops::Add};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeValue, CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    circuit::Circuit,
    counts::{Counts, Slot},
    error::Error,
    history::Transition,
    store::{Spent, Store, Written},
};

type Item = HashMap<String, AttributeValue>;

/// The sort key of the circuit itself.
const CIRCUIT: &str = "circuit";

/// Between these are the sort keys of transitions.
const HISTORY: [&str; 2] = ["history#", "history$"];

/// A store in one DynamoDB table, whose key is `pk` and `sk`, both strings, and whose time to live is
/// the attribute `expires_at`. Clones share the client.
///
/// A circuit called `name` is the item (`name`, `circuit`); its counters are (`name`,
/// `count#generation#bucket`), its transitions (`name`, `history#version`).
#[derive(Debug, Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

/// An item: its key and when it may be deleted, beside what it holds.
#[derive(Serialize)]
struct Stored<T> {
    pk: String,
    sk: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(flatten)]
    content: T,
}

impl DynamoDb {
    /// The store in `table`.
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

    /// Writes a circuit, and a transition if there is one. None, if that is done; else what the
    /// circuit is now, as far as the answer tells.
    async fn put(
        &self,
        circuit: Item,
        seen: u64,
        transition: Option<Item>,
    ) -> Result<Option<Option<Item>>, Error> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(circuit))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Version 0 is that of a circuit which was never written.
        let put = match seen {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            _ => put
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", number(&seen)),
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
        match write.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(None),
            Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let reasons = cancelled.cancellation_reasons();
                match reasons.iter().find(|reason| is_overtaken(reason)) {
                    Some(reason) => Ok(Some(reason.item.clone())),
                    None => Err(unreachable(cancelled)),
                }
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    /// All items of a circuit whose sort key is from `first` to `last`, at most `limit`.
    async fn range<T: DeserializeOwned>(
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
            contents.push(read(item.map_err(unreachable)?)?);
        }
        Ok(contents)
    }

    /// An update of a bucket that adds to it. All its counts are named, so that all are in the answer.
    fn update(
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
            .return_values(ReturnValue::UpdatedNew)
    }
}

impl Store for DynamoDb {
    async fn read(&self, name: &str) -> Result<Circuit, Error> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(Self::key(name, CIRCUIT.to_owned())))
            .consistent_read(true);
        let item = get.send().await.map_err(unreachable)?.item;
        item.map_or_else(|| Ok(Circuit::default()), read)
    }

    async fn write(
        &self,
        name: &str,
        circuit: &Circuit,
        seen: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<Written, Error> {
        let item = stored(name, CIRCUIT.to_owned(), None, circuit)?;
        let transition = transition.map(|(transition, keep_until)| {
            let sk = format!("{}{:020}", HISTORY[0], transition.version);
            stored(name, sk, Some(keep_until), transition)
        });
        let Some(now) = self.put(item, seen, transition.transpose()?).await? else {
            return Ok(Written::Done);
        };
        let now = match now {
            Some(item) => read(item)?,
            None => self.read(name).await?,
        };
        // The client may have sent it twice, and the first have arrived.
        if now == *circuit {
            return Ok(Written::Done);
        }
        Ok(Written::Overtaken(Box::new(now)))
    }

    async fn add(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> Result<Counts, Error> {
        let update = self.update(name, slot, counts, keep_until);
        let answer = update.send().await.map_err(unreachable)?;
        read(answer.attributes.unwrap_or_default())
    }

    async fn spend(
        &self,
        name: &str,
        slot: Slot,
        room: u64,
        keep_until: Timestamp,
    ) -> Result<Spent, Error> {
        let one = Counts {
            retries: 1,
            ..Counts::default()
        };
        let update = self
            .update(name, slot, one, keep_until)
            .condition_expression("attribute_not_exists(retries) or retries < :room")
            .expression_attribute_values(":room", number(&room))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.send().await.map_err(SdkError::into_service_error) {
            Ok(answer) => Ok(Spent::Allowed(read(answer.attributes.unwrap_or_default())?)),
            Err(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Spent::Refused(read(failed.item.unwrap_or_default())?))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn sum(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        let last = Slot {
            start: end.start - 1,
            ..end
        };
        let between = [count_key(first), count_key(last)];
        let between = [between[0].as_str(), between[1].as_str()];
        let buckets: Vec<Counts> = self.range(name, between, true, usize::MAX).await?;
        Ok(buckets.into_iter().fold(Counts::default(), Counts::add))
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.range(name, HISTORY, false, limit).await
    }
}

fn count_key(slot: Slot) -> String {
    format!("count#{:020}#{:020}", slot.generation, slot.start.max(0))
}

fn number(number: &impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Whether a write was turned down because another was faster, or is under way.
fn is_overtaken(reason: &CancellationReason) -> bool {
    matches!(
        reason.code(),
        Some("ConditionalCheckFailed" | "TransactionConflict")
    )
}

fn stored<T: Serialize>(
    name: &str,
    sk: String,
    keep_until: Option<Timestamp>,
    content: T,
) -> Result<Item, Error> {
    let stored = Stored {
        pk: name.to_owned(),
        sk,
        expires_at: keep_until.map(Timestamp::as_second),
        content,
    };
    serde_dynamo::to_item(stored).map_err(unreadable)
}

/// What an item holds, whatever else is beside it.
fn read<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    serde_dynamo::from_item(item).map_err(unreadable)
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
