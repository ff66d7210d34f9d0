//! Migrations run while orders are accepted.

use std::cell::Cell;

use aws_config::SdkConfig;
use futures::{future::join_all, join};
use refinery::{Runner, Target, load_sql_migrations};
use tests::{Database, Stack, eventually};
use tokio_postgres::NoTls;
use uuid::Uuid;

const MIGRATIONS: &str = "../crates/store/migrations";

/// The oldest schema that accepts orders.
const OLDEST: i32 = 2;

/// How many orders exist before the migrations.
const ORDERS: i64 = 100_000;

/// The ordered products, each by its own writer, and their stock.
const SKUS: [&str; 4] = ["A-0001", "A-0002", "A-0003", "A-0004"];
const AMPLE_STOCK: i64 = 1_000_000;

/// The lock timeout that functions have since V10: an order that waits longer is refused. The
/// longest wait is for V6, which builds its indexes in about a second for so many orders.
const LOCK_TIMEOUT: &str = "set lock_timeout = '3s'";

/// An open transaction that reads orders, which blocks changes of the table.
const READ_ORDERS: &str = "begin; select count(*) from orders";
const IS_BLOCKING: &str = "select exists (
    select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid)))";

/// The orders that are complete, with all their rows.
const ACCEPTED: &str = "select array_agg(id order by id) from orders
    join order_lines on order_lines.order_id = id
    join order_events on order_events.order_id = id
    join outbox on outbox.order_id = id
    where status = 'pending'";

/// A database whose orders are counted.
struct Shop<'a> {
    url: &'a str,
    placed: Cell<usize>,
    is_migrated: Cell<bool>,
}

#[tokio::test]
async fn orders_are_accepted_during_all_migrations() {
    let test = async |url: &str| {
        let (owner, reader) = join!(Database::connect(url), Database::connect(url));
        let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let migrations = load_sql_migrations(MIGRATIONS).unwrap();
        let oldest = Runner::new(&migrations).set_target(Target::Version(OLDEST));
        oldest.run_async(&mut client).await.unwrap();
        for sku in SKUS {
            owner
                .execute(&format!(
                    "insert into stock values ('{sku}', {AMPLE_STOCK})"
                ))
                .await;
        }
        owner.use_bulk_settings().await;
        owner.insert_orders(1..=ORDERS, 10).await;
        let shop = Shop {
            url,
            placed: Cell::default(),
            is_migrated: Cell::default(),
        };

        reader.execute(READ_ORDERS).await;
        let writers = join_all(SKUS.map(|sku| shop.place_orders(sku)));
        let migrate = async {
            let aws = SdkConfig::builder().build();
            store::migrate(url, &aws).await.unwrap();
            shop.is_migrated.set(true);
        };
        let (ids, (), ()) = join!(writers, migrate, shop.block_with(&reader));

        let mut ids = ids.concat();
        ids.sort_unstable();
        assert_eq!(owner.query_value::<Vec<Uuid>>(ACCEPTED).await, ids);
        let sold = i64::try_from(ids.len()).unwrap();
        let all: i64 = owner.query_value("select count(*) from orders").await;
        assert_eq!(all, ORDERS + sold);
        let left = join_all(SKUS.map(|sku| owner.stock_of(sku))).await;
        assert_eq!(
            left.iter().map(|left| AMPLE_STOCK - left).sum::<i64>(),
            sold
        );
        let version = owner
            .query_value::<i32>("select max(version) from refinery_schema_history")
            .await;
        assert_eq!(version, migrations.last().unwrap().version());
    };
    Stack::find().with_empty_database(test).await;
}

impl Shop<'_> {
    /// Places one order after the other, the last in the newest schema, and returns their ids.
    async fn place_orders(&self, sku: &str) -> Vec<Uuid> {
        let database = Database::connect(self.url).await;
        database.execute(LOCK_TIMEOUT).await;
        let mut ids = Vec::new();
        loop {
            let is_last = self.is_migrated.get();
            ids.push(database.accept_order(sku).await);
            self.placed.set(self.placed.get() + 1);
            if is_last {
                return ids;
            }
        }
    }

    /// Keeps the reader's transaction open until a migration that waits for it, and blocks orders,
    /// has given up its lock: more orders were placed since than could have been in progress.
    async fn block_with(&self, reader: &Database) {
        eventually("blocking a migration", async || {
            let is_waited_for: bool = reader.query_value(IS_BLOCKING).await;
            is_waited_for
                .then_some(())
                .ok_or_else(|| "nobody waits".to_owned())
        })
        .await;
        let enough = self.placed.get() + SKUS.len() + 1;
        eventually("past the migration", async || match self.placed.get() {
            placed if placed >= enough => Ok(()),
            placed => Err(format!("{placed} of {enough} orders")),
        })
        .await;
        assert!(!self.is_migrated.get());
        reader.execute("commit").await;
    }
}
