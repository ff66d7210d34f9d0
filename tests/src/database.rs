//! The stack's PostgreSQL database.

use std::{ops::RangeInclusive, time::Duration};

use aws_config::SdkConfig;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::{
    Client, NoTls, Row,
    types::{FromSqlOwned, ToSql},
};
use uuid::Uuid;

use crate::{Order, Person};

/// Completed orders over one year, each with one line and two events.
const INSERT_ORDERS: &str = r#"with made as (
    insert into orders (id, number, shopper, email, status, payment, fulfilment, currency, total_cents,
        shipping_address, payment_method, payment_id, placed_at, updated_at, version)
    select uuidv7(at - clock_timestamp()), 'MADE-' || n, md5((n / $3)::text)::uuid,
        'made-' || n / $3 || '@cauce.example', 'completed', 'captured', 'shipped', 'EUR', 1250,
        '{"name": "Ana", "line1": "Calle Mayor 1", "city": "Madrid", "postal_code": "28013", "country": "ES"}',
        'pm_card_visa', 'pi_made_' || n, at, at, 2
    from (
        select n, now() - interval '365 days' * (1 - n / 1e7) as at
        from generate_series($1::bigint, $2::bigint) as n
    ) as them
    returning id, placed_at
), lines as (
    insert into order_lines (order_id, position, sku, title, quantity, unit_cents)
    select id, 1, 'COFFEE-0001', 'A product of the shop', 1, 1250 from made
)
insert into order_events (order_id, version, at, kind, data)
select id, version, placed_at, kind, '{}'
from made, (values (1, 'accepted'), (2, 'shipped')) as event (version, kind)"#;

/// Accepts an order of one article by a new shopper, with the signature that the function has since
/// V2.
const ACCEPT_ORDER: &str = "select from accept_order($1::uuid, $1::uuid::text, $1::uuid,
    'ana@stories.cauce.example', 'EUR', 1250, '{}', 'pm_card_visa', now(), array[$2::text],
    array['A product of the shop'], array[1], array[1250::bigint], 'a-key', '', '', 1)";

/// Settings for bulk inserts: no commit waits for the standby, and neither triggers nor foreign
/// keys are checked.
const BULK_SETTINGS: &str = "set synchronous_commit = off; set maintenance_work_mem = '512MB';
    set session_replication_role = replica";

/// A connection to a database.
pub struct Database(Client);

impl Database {
    /// Connects to a database.
    pub async fn connect(url: &str) -> Self {
        let connected = Self::try_connect(url).await;
        connected.expect("the database should answer")
    }

    /// Migrates an empty database and connects to it. One at a time: all databases of a server have
    /// the same roles, and PostgreSQL refuses to change a role twice at once.
    pub async fn migrated(url: &str) -> Self {
        static MIGRATION: Mutex<()> = Mutex::const_new(());
        let _migration = MIGRATION.lock().await;
        let migrated = store::migrate(url, &SdkConfig::builder().build()).await;
        migrated.expect("the database should be migrated");
        Self::connect(url).await
    }

    /// Connects to a database, or returns why it does not answer.
    pub(crate) async fn try_connect(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// Sets the stock of a product. A test restocks only products that no other test uses.
    pub async fn restock(&self, sku: &str, available: i64) {
        let statement = "update stock set available = $2 where sku = $1";
        let rows = self.0.execute(statement, &[&sku, &available]).await;
        assert_eq!(
            rows.expect("the stock should be writable"),
            1,
            "there is no {sku}"
        );
    }

    /// Configures this connection for inserting millions of rows.
    pub async fn use_bulk_settings(&self) {
        self.execute(BULK_SETTINGS).await;
    }

    /// Inserts completed orders with these numbers, `of_a_shopper` for each shopper.
    pub async fn insert_orders(&self, numbers: RangeInclusive<i64>, of_a_shopper: i64) {
        let parameters: [&(dyn ToSql + Sync); 3] = [numbers.start(), numbers.end(), &of_a_shopper];
        let made = self.0.execute(INSERT_ORDERS, &parameters).await;
        made.expect("the orders should be inserted");
    }

    /// Accepts an order of one article, in any version of the schema.
    pub async fn accept_order(&self, sku: &str) -> Uuid {
        let id = Uuid::now_v7();
        let accepted = self.0.query_one(ACCEPT_ORDER, &[&id, &sku]).await;
        accepted.unwrap_or_else(|error| panic!("an order was refused: {error:?}"));
        id
    }

    /// The available stock of a product.
    pub async fn stock_of(&self, sku: &str) -> i64 {
        let statement = "select available from stock where sku = $1";
        let row = self.0.query_one(statement, &[&sku]).await;
        row.expect("there should be such a product").get(0)
    }

    /// Executes statements.
    pub async fn execute(&self, statement: &str) {
        let done = self.0.batch_execute(statement).await;
        done.unwrap_or_else(|error| panic!("{error} at {statement}"));
    }

    /// Returns the first column of the only row that a query finds.
    pub async fn query_value<T: FromSqlOwned>(&self, query: &str) -> T {
        let row = self.0.query_one(query, &[]).await;
        let row = row.unwrap_or_else(|error| panic!("{error} at {query}"));
        row.get(0)
    }

    /// Executes a statement with a parameter, and returns whether it succeeded.
    pub async fn try_execute(&self, statement: &str, parameter: &str) -> bool {
        self.0.execute(statement, &[&parameter]).await.is_ok()
    }

    /// The number of a person's orders and idempotency keys.
    pub async fn count_rows_of(&self, person: &Person) -> i64 {
        let statement = "select (select count(*) from orders where shopper = $1)
            + (select count(*) from idempotency_keys where owner = $1)";
        let row = self.0.query_one(statement, &[&person.id()]).await;
        row.expect("orders should be countable").get(0)
    }

    /// An order's total in cents and its status, if it exists.
    pub async fn order(&self, order: &Order) -> Option<(i64, String)> {
        let statement = "select total_cents, status from orders where id = $1";
        let row = self.0.query_opt(statement, &[&order.id]).await;
        row.expect("orders should be readable")
            .map(|row| (row.get(0), row.get(1)))
    }

    /// The ids of all the orders of a person, the newest first.
    pub async fn orders_of(&self, person: &Person) -> Vec<Uuid> {
        let statement = "select id from orders where shopper = $1 order by id desc";
        let rows = self.0.query(statement, &[&person.id()]).await;
        rows.expect("orders should be readable")
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// The rows that a query finds.
    pub async fn rows(
        &self,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.0.query(query, parameters).await
    }

    /// Moves the time at which an order was placed back.
    pub async fn backdate(&self, order: &Order, by: Duration) {
        let statement = "update orders set placed_at = placed_at - make_interval(secs => $2),
            hold = null where id = $1";
        let parameters: [&(dyn ToSql + Sync); 2] = [&order.id, &by.as_secs_f64()];
        let rows = self.0.execute(statement, &parameters).await;
        assert_eq!(rows.expect("orders should be writable"), 1);
    }

    /// The rows of the audit log about a target, the oldest first.
    pub async fn audit_of(&self, target: &str) -> Vec<Value> {
        let query = "select to_jsonb(audit_log) from audit_log where target = $1 order by id";
        let rows = self.rows(query, &[&target]).await;
        rows.expect("the audit log should be readable")
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// The number of refusals about a target in the audit log in the last two minutes.
    pub async fn recent_refusals_of(&self, target: &str) -> i64 {
        let query = "select count(*) from audit_log where target = $1 and outcome = 'refused'
            and at > now() - interval '2 minutes'";
        let row = self.0.query_one(query, &[&target]).await;
        row.expect("the audit log should be readable").get(0)
    }

    /// Whether a provider's event has been processed.
    pub async fn has_event(&self, id: &str) -> bool {
        let query = "select exists (select from provider_events where id = $1)";
        let row = self.0.query_one(query, &[&id]).await;
        row.expect("events should be readable").get(0)
    }

    /// Inserts an attention item about an order.
    pub async fn insert_attention(&self, order: &Order, kind: &str) -> Uuid {
        let statement = "insert into attention (id, order_id, subject, kind, detail, raised_at)
            values ($1, $2, $2::uuid::text, $3, 'A test.', now())";
        let id = Uuid::now_v7();
        let rows = self.0.execute(statement, &[&id, &order.id, &kind]).await;
        assert_eq!(rows.expect("there should be such a table"), 1);
        id
    }

    /// The kinds of the unresolved attention items about a subject.
    pub async fn open_attention_about(&self, subject: &str) -> Vec<String> {
        let query = "select kind from attention where subject = $1 and resolved_at is null";
        let rows = self.0.query(query, &[&subject]).await;
        let rows = rows.expect("there should be such a table");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Whether the database refuses writes because it is a standby.
    pub async fn is_read_only(&self) -> bool {
        let row = self.0.query_one("select pg_is_in_recovery()", &[]).await;
        row.expect("the database should answer").get(0)
    }
}
