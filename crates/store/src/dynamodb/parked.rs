//! Parked executions. Each waits, at no cost, until its task token is sent back. The state machine
//! writes an item with the token; the releaser sends the token and deletes the item.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, Error, types::AttributeValue};
use jiff::{SignedDuration, Timestamp};
use orders::{OrderId, Provider, RefundId, Wait};
use serde::{Deserialize, Serialize};

use crate::{
    cursor::{self, BadCursor},
    error::StoreError,
    work::Work,
};

/// The partition of the leases; no provider has this name.
const LEASES: &str = "lease";

/// The parked executions.
#[derive(Clone)]
pub struct Parked {
    client: Client,
    table: String,
}

/// A parked execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedWork {
    /// The work that it processes.
    pub work: Work,
    /// The state with which it resumes, such as `BuyLabel`.
    pub step: String,
    /// Why the work waits, for which provider and since when.
    pub wait: Wait,
    token: String,
}

/// A page of parked executions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParkedPage {
    /// The executions of the page.
    pub items: Vec<ParkedWork>,
    /// The work ids of items that cannot be read. They do not block other items; their executions
    /// park again when their wait times out.
    pub unreadable: Vec<String>,
    /// The cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    work: Work,
    step: String,
    #[serde(rename = "hold")]
    wait: String,
    token: String,
}

/// The end of a page of parked executions.
#[derive(Serialize, Deserialize)]
struct ParkedPosition {
    after: Work,
}

/// The start of a page of parked executions.
#[derive(Debug, Clone, Copy, Default)]
pub struct ParkedCursor {
    after: Option<Work>,
}

impl std::str::FromStr for ParkedCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        let ParkedPosition { after } = cursor::decode(cursor)?;
        Ok(Self { after: Some(after) })
    }
}

impl ParkedCursor {
    /// Whether it is the start of the whole list.
    pub const fn is_start(&self) -> bool {
        self.after.is_none()
    }
}

impl ParkedWork {
    /// Whether the execution undoes a cancelled order.
    pub fn is_undo(&self) -> bool {
        matches!(self.step.as_str(), "VoidPayment" | "VoidLabel")
    }

    /// The task token that resumes the execution.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Parked {
    /// The parked executions in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Lists the executions that wait for a provider, the oldest order first.
    pub async fn list(
        &self,
        provider: Provider,
        from: ParkedCursor,
        limit: u16,
    ) -> Result<ParkedPage, StoreError> {
        let after = from.after.map(|work| key(provider, work));
        let found = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("provider = :provider")
            .expression_attribute_values(":provider", text(&provider))
            .set_exclusive_start_key(after)
            .limit(limit.into())
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::dynamodb(Error::from(error)))?;
        let last = found.last_evaluated_key.as_ref().and_then(read_work);
        Ok(ParkedPage {
            next_cursor: last.map(|after| cursor::encode(&ParkedPosition { after })),
            ..read_page(provider, found.items.unwrap_or_default())
        })
    }

    /// Lists the executions that wait for either provider, the oldest order first. If a stale item
    /// was left behind, work is parked for both. Both items are on one page, which may then hold
    /// one more than `limit`.
    pub async fn list_all(&self, from: ParkedCursor, limit: u16) -> Result<ParkedPage, StoreError> {
        let of = |provider| self.list(provider, from, limit);
        let (payments, shipping) =
            tokio::try_join!(of(Provider::Payments), of(Provider::Shipping))?;
        let is_more = payments.next_cursor.or(shipping.next_cursor).is_some();
        let items = [payments.items, shipping.items].concat();
        Ok(ParkedPage {
            unreadable: [payments.unreadable, shipping.unreadable].concat(),
            ..first_page(items, limit.into(), is_more)
        })
    }

    /// Returns the execution of `work`, if it waits for `provider`.
    pub async fn get(
        &self,
        provider: Provider,
        work: Work,
    ) -> Result<Option<ParkedWork>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(provider, work)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::dynamodb(Error::from(error)))?;
        found.item.map(read).transpose()
    }

    /// Deletes an item, unless the execution has parked again since the item was read.
    pub async fn remove(&self, parked: &ParkedWork) -> Result<(), StoreError> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(parked.wait.provider, parked.work)))
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":token", text(&parked.token))
            .send()
            .await
            .map_err(Error::from);
        written(removed).map(drop)
    }

    /// Acquires or renews the lease that allows one holder at a time to resume a provider's
    /// executions. Returns false while another `holder` has it.
    pub async fn lease(
        &self,
        provider: Provider,
        holder: &str,
        now: Timestamp,
        term: SignedDuration,
    ) -> Result<bool, StoreError> {
        let until = (now + term).as_millisecond().to_string();
        let acquired = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("provider", text(LEASES))
            .item("work", text(&provider))
            .item("holder", text(holder))
            .item("until_ms", AttributeValue::N(until))
            .condition_expression(
                "attribute_not_exists(until_ms) or until_ms < :now or holder = :holder",
            )
            .expression_attribute_values(
                ":now",
                AttributeValue::N(now.as_millisecond().to_string()),
            )
            .expression_attribute_values(":holder", text(holder))
            .send()
            .await
            .map_err(Error::from);
        written(acquired)
    }

    /// Releases the lease, if `holder` has it.
    pub async fn release_lease(&self, provider: Provider, holder: &str) -> Result<(), StoreError> {
        let released = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("provider", text(LEASES))
            .key("work", text(&provider))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", text(holder))
            .send()
            .await
            .map_err(Error::from);
        written(released).map(drop)
    }
}

/// The page of the oldest of these items.
fn first_page(mut items: Vec<ParkedWork>, limit: usize, is_more: bool) -> ParkedPage {
    items.sort_by_key(|parked| sort_key(parked.work));
    let end = items.get(limit.saturating_sub(1)).map(|last| last.work);
    let within = |parked: &ParkedWork| end.is_none_or(|end| sort_key(parked.work) <= sort_key(end));
    let length = items.partition_point(within);
    let is_more = is_more || length < items.len();
    items.truncate(length);
    let last = items.last().filter(|_| is_more);
    let next_cursor = last.map(|last| cursor::encode(&ParkedPosition { after: last.work }));
    ParkedPage {
        items,
        next_cursor,
        ..ParkedPage::default()
    }
}

/// The sort key of work, in the order of the table.
fn sort_key(work: Work) -> (OrderId, Option<RefundId>) {
    (work.order(), work.refund())
}

/// Whether a conditional write was made: false if its condition failed.
fn written<T>(result: Result<T, Error>) -> Result<bool, StoreError> {
    match result {
        Ok(_) => Ok(true),
        Err(Error::ConditionalCheckFailedException(_)) => Ok(false),
        Err(error) => Err(StoreError::dynamodb(error)),
    }
}

fn text(value: &(impl ToString + ?Sized)) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn key(provider: Provider, work: Work) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("provider".to_owned(), text(&provider)),
        ("work".to_owned(), text(&work)),
    ])
}

fn read_work(item: &HashMap<String, AttributeValue>) -> Option<Work> {
    item.get("work")?.as_s().ok()?.parse().ok()
}

/// Reads these items; those that cannot be read are listed as unreadable.
fn read_page(provider: Provider, items: Vec<HashMap<String, AttributeValue>>) -> ParkedPage {
    let mut page = ParkedPage::default();
    for item in items {
        let work = item.get("work").and_then(|work| work.as_s().ok()).cloned();
        match read(item) {
            Ok(parked) => page.items.push(parked),
            Err(error) => {
                let work = work.unwrap_or_default();
                tracing::error!(%provider, work, %error, "parked.unreadable");
                page.unreadable.push(work);
            }
        }
    }
    page
}

fn read(item: HashMap<String, AttributeValue>) -> Result<ParkedWork, StoreError> {
    let unreadable = |error| StoreError::unreadable("a parked execution", error);
    let item: Item = serde_dynamo::from_item(item)
        .map_err(|error| StoreError::unreadable("a parked execution", error))?;
    Ok(ParkedWork {
        work: item.work,
        step: item.step,
        wait: serde_json::from_str(&item.wait).map_err(unreadable)?,
        token: item.token,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn parked(provider: Provider, order: u128) -> ParkedWork {
        ParkedWork {
            work: Work::Order(OrderId(Uuid::from_u128(order))),
            step: "BuyLabel".to_owned(),
            wait: Wait {
                provider,
                reason: String::new(),
                since: Timestamp::UNIX_EPOCH,
                attempts: 1,
                next_attempt: Timestamp::UNIX_EPOCH,
                deadline: None,
            },
            token: String::new(),
        }
    }

    #[test]
    fn an_unreadable_item_hides_no_other_and_is_reported() {
        let wait = serde_json::to_string(&parked(Provider::Shipping, 1).wait).unwrap();
        let work = |order| Work::Order(OrderId(Uuid::from_u128(order))).to_string();
        let item = |work: &str, wait: &str| {
            let pairs = [
                ("work", text(work)),
                ("step", text("BuyLabel")),
                ("hold", text(wait)),
                ("token", text("a token")),
            ];
            HashMap::from(pairs.map(|(name, value)| (name.to_owned(), value)))
        };
        let items = vec![
            item(&work(1), &wait),
            item(&work(2), "{}"),
            item("nothing", &wait),
            item(&work(3), &wait),
        ];
        let page = read_page(Provider::Shipping, items);
        let read = page.items.iter().map(|it| it.work.to_string());
        assert_eq!(read.collect::<Vec<_>>(), [work(1), work(3)]);
        assert_eq!(page.unreadable, [work(2), "nothing".to_owned()]);
    }

    /// A page of one provider's executions, as the table returns it.
    fn provider_page(
        all: &[ParkedWork],
        from: ParkedCursor,
        limit: usize,
    ) -> (Vec<ParkedWork>, bool) {
        let ahead = all.iter().filter(|it| {
            from.after
                .is_none_or(|after| sort_key(it.work) > sort_key(after))
        });
        let ahead: Vec<_> = ahead.cloned().collect();
        let is_more = ahead.len() > limit;
        (ahead.into_iter().take(limit).collect(), is_more)
    }

    proptest! {
        #[test]
        fn the_pages_of_both_providers_hold_each_execution_once_and_by_age(
            payments in prop::collection::btree_set(0_u128..60, 0..20),
            shipping in prop::collection::btree_set(0_u128..60, 0..20),
            limit in 1_usize..8,
        ) {
            let of = |provider, orders: &std::collections::BTreeSet<u128>| -> Vec<_> {
                orders.iter().map(|order| parked(provider, *order)).collect()
            };
            let payments = of(Provider::Payments, &payments);
            let shipping = of(Provider::Shipping, &shipping);
            let (mut seen, mut from) = (Vec::new(), ParkedCursor::default());
            loop {
                let (mut items, more_payments) = provider_page(&payments, from, limit);
                let (more_items, more_shipping) = provider_page(&shipping, from, limit);
                items.extend(more_items);
                let page = first_page(items, limit, more_payments || more_shipping);
                prop_assert!(page.items.len() <= limit + 1);
                seen.extend(page.items);
                match page.next_cursor {
                    Some(cursor) => from = cursor.parse().unwrap(),
                    None => break,
                }
            }
            let mut all = [payments, shipping].concat();
            all.sort_by_key(|it| sort_key(it.work));
            prop_assert_eq!(seen, all);
        }
    }
}
