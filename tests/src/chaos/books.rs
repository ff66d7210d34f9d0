//! Reads everybody's books of a stack, but for what was in them before.

use std::collections::HashMap;

use orders::Provider;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_postgres::{Row, types::FromSql};
use uuid::Uuid;

use super::checker::{Accepted, Effect, Recorded, Shelf, Snapshot, Token};
use crate::{Database, Stack};

/// How the books stood before the first order: what is older is not of this run.
pub(crate) struct Books {
    last_order: Uuid,
    payments: usize,
    shipping: usize,
    shelves: Vec<(String, i64)>,
}

/// A book could not be read, for the time being.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// PostgreSQL did not answer.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// A provider or AWS did not answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// An answer is none that is known.
    #[error("{0}")]
    Answer(String),
}

/// What is not over yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Orders.
    pub(crate) orders: usize,
    /// Of these, those that wait for a provider.
    pub(crate) held: usize,
    /// Tokens of parked executions.
    pub(crate) tokens: usize,
    /// Executions.
    pub(crate) running: usize,
    /// Orders and refunds that are looked after.
    pub(crate) unfinished: usize,
    /// Webhooks on their way.
    pub(crate) webhooks: u64,
}

impl Pending {
    /// Whether nothing moves any more.
    pub(crate) const fn is_nothing(self) -> bool {
        let ours = self.orders + self.held + self.tokens + self.running + self.unfinished;
        ours == 0 && self.webhooks == 0
    }
}

impl Books {
    /// Notes how the books stand, with so many of each of these products on the shelf.
    pub(crate) async fn open(
        stack: &Stack,
        shelves: Vec<(String, i64)>,
    ) -> Result<Self, Unreadable> {
        let database = stack.database().await;
        for (sku, available) in &shelves {
            database.restock(sku, *available).await;
        }
        let last = database
            .rows("select id from orders order by id desc limit 1", &[])
            .await?;
        Ok(Self {
            last_order: last.first().map_or(Uuid::nil(), |row| row.get(0)),
            payments: ledger(stack, Provider::Payments).await?.len(),
            shipping: ledger(stack, Provider::Shipping).await?.len(),
            shelves,
        })
    }

    /// The books as they stand now.
    pub(crate) async fn read(
        &self,
        stack: &Stack,
        accepted: Vec<Accepted>,
    ) -> Result<Snapshot, Unreadable> {
        let database = stack.database().await;
        let ours = |effect: &Effect| effect.order().is_none_or(|id| id > self.last_order);
        let effects = async |provider, before| {
            let all = ledger(stack, provider).await?.into_iter().skip(before);
            Ok::<Vec<Effect>, Unreadable>(all.filter(ours).collect())
        };
        Ok(Snapshot {
            accepted,
            orders: self.orders(&database).await?,
            payments: effects(Provider::Payments, self.payments).await?,
            shipping: effects(Provider::Shipping, self.shipping).await?,
            stock: self.stock(&database).await?,
            tokens: self.tokens(stack).await?,
            raised: raised(&database).await?,
            running: self.running(stack).await?,
            unfinished: self.unfinished(&database).await?,
        })
    }

    /// What is not over yet.
    pub(crate) async fn pending(&self, stack: &Stack) -> Result<Pending, Unreadable> {
        let database = stack.database().await;
        let orders = self.orders(&database).await?;
        Ok(Pending {
            orders: orders.iter().filter(|order| !order.is_over()).count(),
            held: orders.iter().filter(|order| order.held).count(),
            tokens: self.tokens(stack).await?.len(),
            running: self.running(stack).await?.len(),
            unfinished: self.unfinished(&database).await?.len(),
            webhooks: webhooks(stack, Provider::Payments).await?
                + webhooks(stack, Provider::Shipping).await?,
        })
    }

    async fn orders(&self, database: &Database) -> Result<Vec<Recorded>, Unreadable> {
        let lines = "select order_id, sku, quantity from order_lines where order_id > $1";
        let mut lines_of: HashMap<Uuid, Vec<(String, i64)>> = HashMap::new();
        for row in database.rows(lines, &[&self.last_order]).await? {
            let line = (row.get(1), i64::from(row.get::<_, i32>(2)));
            lines_of.entry(row.get(0)).or_default().push(line);
        }
        let orders = "select id, status, payment, fulfilment, hold is not null, total_cents,
            currency, payment_id, label->>'label_id', refunds from orders where id > $1";
        let rows = database.rows(orders, &[&self.last_order]).await?;
        let orders = rows.iter().map(|row| {
            let id = row.get(0);
            Ok(Recorded {
                id,
                status: word(row, 1)?,
                payment: word(row, 2)?,
                fulfilment: word(row, 3)?,
                held: row.get(4),
                total_cents: row.get(5),
                currency: row.get(6),
                payment_id: row.get(7),
                label_id: row.get(8),
                failed_refunds: failed_refunds(&row.get(9)),
                lines: lines_of.remove(&id).unwrap_or_default(),
            })
        });
        orders.collect()
    }

    async fn stock(&self, database: &Database) -> Result<Vec<Shelf>, Unreadable> {
        let rows = database
            .rows("select sku, available from stock", &[])
            .await?;
        let now: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let shelves = self.shelves.iter().map(|(sku, seeded)| Shelf {
            sku: sku.clone(),
            seeded: *seeded,
            available: now.get(sku).copied().unwrap_or_default(),
        });
        Ok(shelves.collect())
    }

    async fn tokens(&self, stack: &Stack) -> Result<Vec<Token>, Unreadable> {
        let table = &stack.aws.parked_table;
        let request = json!({ "TableName": table, "ConsistentRead": true });
        let mut tokens = Vec::new();
        for item in pages(stack, "DynamoDB_20120810.Scan", request, "Items", KEY).await? {
            let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
            let unreadable = || Unreadable::Answer(format!("a token that is {item}"));
            let (provider, work) = (text("provider"), text("work"));
            // The table holds a lease, too, which is nobody's token.
            let Ok(provider) = provider.parse() else {
                continue;
            };
            let order = id_in(&work).ok_or_else(unreadable)?;
            tokens.push(Token { provider, order });
        }
        tokens.retain(|token| token.order > self.last_order);
        Ok(tokens)
    }

    /// The orders and refunds whose execution runs.
    async fn running(&self, stack: &Stack) -> Result<Vec<Uuid>, Unreadable> {
        let aws = &stack.aws;
        let mut running = Vec::new();
        for machine in [&aws.order_state_machine_arn, &aws.refund_state_machine_arn] {
            let request = json!({ "stateMachineArn": machine, "statusFilter": "RUNNING" });
            let action = "AWSStepFunctions.ListExecutions";
            let executions = pages(stack, action, request, "executions", TOKEN).await?;
            let id = |execution: &Value| id_in(execution["name"].as_str()?);
            running.extend(executions.iter().filter_map(id));
        }
        running.retain(|id| *id > self.last_order);
        Ok(running)
    }

    /// The orders that are not finished, or have a refund that is not.
    async fn unfinished(&self, database: &Database) -> Result<Vec<Uuid>, Unreadable> {
        let query = "select order_id from outbox where order_id > $1";
        let rows = database.rows(query, &[&self.last_order]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// What a person was told to look at.
async fn raised(database: &Database) -> Result<Vec<String>, Unreadable> {
    let rows = database.rows("select subject from attention", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Of an order's refunds, those that failed, and their cents.
fn failed_refunds(refunds: &Value) -> Vec<(Uuid, i64)> {
    let refunds = refunds.as_array().into_iter().flatten();
    let failed = refunds.filter(|refund| refund["status"] == "failed");
    let failed = failed.filter_map(|refund| {
        let id = refund["id"].as_str()?.parse().ok()?;
        Some((id, refund["cents"].as_i64()?))
    });
    failed.collect()
}

/// The id that a name begins with: executions and tokens are named by an order or a refund, and by
/// more where there are several.
fn id_in(name: &str) -> Option<Uuid> {
    name.get(..36)?.parse().ok()
}

/// What leads from one page to the next: its name in an answer, and in the next request.
type Cursor = (&'static str, &'static str);
const KEY: Cursor = ("LastEvaluatedKey", "ExclusiveStartKey");
const TOKEN: Cursor = ("nextToken", "nextToken");

/// The items of all pages.
async fn pages(
    stack: &Stack,
    action: &str,
    mut request: Value,
    items: &str,
    (given, asked): Cursor,
) -> Result<Vec<Value>, Unreadable> {
    let mut all = Vec::new();
    loop {
        let mut page: Value = read(stack.aws_request(action, &request)).await?;
        let Some(found) = page[items].as_array_mut() else {
            return Err(Unreadable::Answer(page.to_string()));
        };
        all.append(found);
        match page.get(given) {
            Some(cursor) if !cursor.is_null() => request[asked] = cursor.clone(),
            _ => return Ok(all),
        }
    }
}

async fn ledger(stack: &Stack, provider: Provider) -> Result<Vec<Effect>, Unreadable> {
    let url = &stack.provider(provider).url;
    read(stack.http.get(format!("{url}/_ledger"))).await
}

/// How many webhooks a provider has not delivered yet.
async fn webhooks(stack: &Stack, provider: Provider) -> Result<u64, Unreadable> {
    let url = &stack.provider(provider).url;
    let webhooks: Value = read(stack.http.get(format!("{url}/_webhooks"))).await?;
    Ok(webhooks["waiting"].as_u64().unwrap_or_default())
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Unreadable> {
    let response = request.send().await?.error_for_status()?;
    let text = response.text().await?;
    serde_json::from_str(&text).map_err(|error| Unreadable::Answer(format!("{error} in {text}")))
}

fn word<'a, T: std::str::FromStr>(row: &'a Row, column: usize) -> Result<T, Unreadable>
where
    &'a str: FromSql<'a>,
{
    let word: &str = row.get(column);
    let unknown = |_| Unreadable::Answer(format!("a status that is {word}"));
    word.parse().map_err(unknown)
}
