//! Reads the records of a stack: the database, the providers' ledgers, and AWS. Records from before
//! the run are left out.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use orders::{Provider, RefundStatus};
use reqwest::RequestBuilder;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_postgres::{Row, types::FromSql};
use uuid::Uuid;

use super::{
    checker::{
        Cancellation, Deadlines, Effect, Foreign, Milestone, Recorded, Shelf, Snapshot, Strike,
        Token,
    },
    crowd::Observations,
};
use crate::{Database, Stack};

/// The state of the records before the first order, which separates this run from what is older.
pub struct Books {
    last_order: Uuid,
    payments: usize,
    shipping: usize,
    shelves: Vec<(String, i64)>,
    deadlines: Option<Deadlines>,
}

/// A record cannot be read at the moment.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// PostgreSQL did not answer.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// A provider or AWS did not answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// A response is not understood.
    #[error("{0}")]
    Response(String),
}

/// A summary of an order's events.
#[derive(Default)]
struct Timeline {
    milestones: Vec<Milestone>,
    /// Whether the payment was authorized before the latest event.
    authorized: bool,
    cancellation: Option<Cancellation>,
}

/// The unfinished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Orders that are neither completed nor cancelled.
    pub orders: usize,
    /// Orders that wait for a provider.
    pub waiting: usize,
    /// Task tokens of parked executions.
    pub tokens: usize,
    /// Running executions.
    pub running: usize,
    /// Orders and refunds in the outbox.
    pub unfinished: usize,
    /// Webhooks that are not delivered yet.
    pub webhooks: u64,
}

impl Pending {
    /// Whether all work is finished.
    pub const fn is_nothing(self) -> bool {
        let ours = self.orders + self.waiting + self.tokens + self.running + self.unfinished;
        ours == 0 && self.webhooks == 0
    }
}

impl Books {
    /// Sets the stock of these products, and notes the state of the records.
    pub async fn open(stack: &Stack, shelves: Vec<(String, i64)>) -> Result<Self, Unreadable> {
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
            deadlines: deadlines(stack).await,
        })
    }

    /// Reads all records.
    pub(super) async fn read(
        &self,
        stack: &Stack,
        observed: &Observations,
        strikes: Vec<Strike>,
        mut foreign: Foreign,
    ) -> Result<Snapshot, Unreadable> {
        let database = stack.database().await;
        let is_of_run = |effect: &Effect| effect.order().is_none_or(|id| id > self.last_order);
        let effects = async |provider, before| {
            let all = ledger(stack, provider).await?.into_iter().skip(before);
            Ok::<_, Unreadable>(all.partition::<Vec<Effect>, _>(Effect::is_foreign))
        };
        let orders = self.orders(&database).await?;
        let shown = observed.intents.iter().flat_map(|it| it.accepted(&orders));
        let (others, mut payments) = effects(Provider::Payments, self.payments).await?;
        foreign.effects.extend(others);
        let (others, mut shipping) = effects(Provider::Shipping, self.shipping).await?;
        foreign.effects.extend(others);
        payments.retain(is_of_run);
        shipping.retain(is_of_run);
        foreign.compared = compared(&database).await?;
        Ok(Snapshot {
            accepted: observed.accepted.iter().cloned().chain(shown).collect(),
            intents: observed.intents.clone(),
            orders,
            payments,
            shipping,
            stock: self.stock(&database).await?,
            tokens: self.tokens(stack).await?,
            strikes,
            foreign,
            deadlines: self.deadlines,
            raised: raised(&database).await?,
            running: self.running(stack).await?,
            unfinished: self.unfinished(&database).await?,
        })
    }

    /// How long the stack's orders may wait.
    pub const fn deadlines(&self) -> Option<Deadlines> {
        self.deadlines
    }

    /// The unfinished work.
    pub async fn pending(&self, stack: &Stack) -> Result<Pending, Unreadable> {
        let database = stack.database().await;
        let orders = self.orders(&database).await?;
        Ok(Pending {
            orders: orders.iter().filter(|order| !order.is_over()).count(),
            waiting: orders.iter().filter(|order| order.is_waiting).count(),
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
        let mut timelines = self.timelines(database).await?;
        let orders = "select id, status, payment, fulfilment, hold is not null, total_cents,
            currency, payment_id, label->>'label_id', refunds, shipping_address->>'line1',
            array(select disputes.id from disputes where order_id = orders.id order by 1)
            from orders where id > $1";
        let rows = database.rows(orders, &[&self.last_order]).await?;
        let orders = rows.iter().map(|row| {
            let id = row.get(0);
            let timeline = timelines.remove(&id).unwrap_or_default();
            Ok(Recorded {
                id,
                status: word(row, 1)?,
                payment: word(row, 2)?,
                fulfilment: word(row, 3)?,
                is_waiting: row.get(4),
                total_cents: row.get(5),
                currency: row.get(6),
                payment_id: row.get(7),
                label_id: row.get(8),
                refunds: refunds(row.get(9))?,
                address_line: row.get(10),
                disputes: row.get(11),
                milestones: timeline.milestones,
                cancellation: timeline.cancellation,
                lines: lines_of.remove(&id).unwrap_or_default(),
            })
        });
        orders.collect()
    }

    /// The milestones in the orders' timelines.
    async fn timelines(&self, database: &Database) -> Result<HashMap<Uuid, Timeline>, Unreadable> {
        let events = "select order_id, kind, data->>'by',
            extract(epoch from order_events.at - placed_at)::float8
            from order_events join orders on orders.id = order_id
            where order_id > $1 order by order_id, order_events.version";
        let mut timelines: HashMap<Uuid, Timeline> = HashMap::new();
        for row in database.rows(events, &[&self.last_order]).await? {
            let timeline = timelines.entry(row.get(0)).or_default();
            let kind: &str = row.get(1);
            timeline.authorized |= kind == "payment_authorized";
            // Events between the milestones.
            let Ok(milestone) = kind.parse() else {
                continue;
            };
            timeline.milestones.push(milestone);
            if milestone == Milestone::Cancelled {
                let by = parsed(Value::from(row.get::<_, Option<&str>>(2)))?;
                let after = Duration::from_secs_f64(row.get::<_, f64>(3).max(0.0));
                timeline.cancellation = Some(Cancellation {
                    by,
                    after,
                    authorized: timeline.authorized,
                });
            }
        }
        Ok(timelines)
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
            let unreadable = || Unreadable::Response(format!("unexpected token {item}"));
            let (provider, work) = (text("provider"), text("work"));
            // The table also contains a lease, which is not a token.
            let Ok(provider) = provider.parse() else {
                continue;
            };
            let order = id_in(&work).ok_or_else(unreadable)?;
            tokens.push(Token { provider, order });
        }
        tokens.retain(|token| token.order > self.last_order);
        Ok(tokens)
    }

    /// The orders and refunds with a running execution.
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

    /// The orders in the outbox, for themselves or for a refund.
    async fn unfinished(&self, database: &Database) -> Result<Vec<Uuid>, Unreadable> {
        let query = "select order_id from outbox where order_id > $1";
        let rows = database.rows(query, &[&self.last_order]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// How long the stack's orders may wait, as it is deployed.
async fn deadlines(stack: &Stack) -> Option<Deadlines> {
    let environment = stack.environment_of("retry").await;
    let hours = |name| {
        environment
            .get(name)?
            .parse()
            .ok()
            .map(Duration::from_hours)
    };
    Some(Deadlines {
        unauthorized: hours("UNAUTHORIZED_DEADLINE_HOURS")?,
        authorized: hours("ORDER_DEADLINE_HOURS")?,
    })
}

/// The time up to which each kind of provider record has been compared with our orders once.
async fn compared(database: &Database) -> Result<HashMap<String, Timestamp>, Unreadable> {
    let query = "select name, extract(epoch from compared_to)::bigint from reconciliations
        where name like '%:soon'";
    let rows = database.rows(query, &[]).await?;
    let compared = rows.iter().map(|row| {
        let to = Timestamp::from_second(row.get(1)).unwrap_or_default();
        (row.get(0), to)
    });
    Ok(compared.collect())
}

/// The subjects of all attention items.
async fn raised(database: &Database) -> Result<Vec<String>, Unreadable> {
    let rows = database.rows("select subject from attention", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// An order's refunds with their statuses.
fn refunds(refunds: Value) -> Result<Vec<(Uuid, RefundStatus)>, Unreadable> {
    #[derive(Deserialize)]
    struct Refund {
        id: Uuid,
        status: RefundStatus,
    }
    let refunds: Vec<Refund> = parsed(refunds)?;
    Ok(refunds.into_iter().map(|it| (it.id, it.status)).collect())
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, Unreadable> {
    let text = value.to_string();
    serde_json::from_value(value)
        .map_err(|error| Unreadable::Response(format!("{error} in {text}")))
}

/// The id that a name begins with. The names of executions and tokens begin with the id of an order
/// or a refund.
fn id_in(name: &str) -> Option<Uuid> {
    name.get(..36)?.parse().ok()
}

/// The name of the pagination cursor in a response, and in the next request.
type Cursor = (&'static str, &'static str);
const KEY: Cursor = ("LastEvaluatedKey", "ExclusiveStartKey");
const TOKEN: Cursor = ("nextToken", "nextToken");

/// The items of all pages.
async fn pages(
    stack: &Stack,
    action: &str,
    mut request: Value,
    items: &str,
    (in_response, in_request): Cursor,
) -> Result<Vec<Value>, Unreadable> {
    let mut all = Vec::new();
    loop {
        let mut page: Value = read(stack.aws_request(action, &request)).await?;
        let Some(found) = page[items].as_array_mut() else {
            return Err(Unreadable::Response(page.to_string()));
        };
        all.append(found);
        match page.get(in_response) {
            Some(cursor) if !cursor.is_null() => request[in_request] = cursor.clone(),
            _ => return Ok(all),
        }
    }
}

async fn ledger(stack: &Stack, provider: Provider) -> Result<Vec<Effect>, Unreadable> {
    let url = &stack.provider(provider).url;
    read(stack.http.get(format!("{url}/_ledger"))).await
}

/// The number of webhooks that a provider has not delivered yet.
async fn webhooks(stack: &Stack, provider: Provider) -> Result<u64, Unreadable> {
    let url = &stack.provider(provider).url;
    let webhooks: Value = read(stack.http.get(format!("{url}/_webhooks"))).await?;
    Ok(webhooks["waiting"].as_u64().unwrap_or_default())
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Unreadable> {
    let response = request.send().await?.error_for_status()?;
    let text = response.text().await?;
    serde_json::from_str(&text).map_err(|error| Unreadable::Response(format!("{error} in {text}")))
}

fn word<'a, T: std::str::FromStr>(row: &'a Row, column: usize) -> Result<T, Unreadable>
where
    &'a str: FromSql<'a>,
{
    let word: &str = row.get(column);
    let unknown = |_| Unreadable::Response(format!("unknown status {word}"));
    word.parse().map_err(unknown)
}
