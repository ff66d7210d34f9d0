//! The schema moves forward while orders are accepted.

use std::cell::Cell;

use aws_config::SdkConfig;
use futures::{future::join_all, join};
use refinery::{Runner, Target, load_sql_migrations};
use tests::{Database, Stack, eventually};
use tokio_postgres::NoTls;
use uuid::Uuid;

const MIGRATIONS: &str = "../crates/store/migrations";

/// The oldest schema in which orders can be accepted.
const OLDEST: i32 = 2;

/// How many orders there are before.
const MADE: i64 = 100_000;

/// What is ordered, each by a writer of its own, and how much there is of it.
const SKUS: [&str; 4] = ["A-0001", "A-0002", "A-0003", "A-0004"];
const PLENTY: i64 = 1_000_000;

/// What functions have from V10 on: an order waits no longer than that for a lock, or is refused. The most they
/// wait for here is V6, whose indexes are built in about a second when there are so many orders.
const PATIENCE: &str = "set lock_timeout = '3s'";

/// Who looks at orders keeps the table's definition as it is.
const LOOK: &str = "begin; select count(*) from orders";
const IS_WAITED_FOR: &str = "select exists (
    select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid)))";

/// The orders that are there with all that belongs to them.
const ACCEPTED: &str = "select array_agg(id order by id) from orders
    join order_lines on order_lines.order_id = id
    join order_events on order_events.order_id = id
    join outbox on outbox.order_id = id
    where status = 'pending'";

/// A shop whose orders are counted.
struct Shop<'a> {
    url: &'a str,
    placed: Cell<usize>,
    is_migrated: Cell<bool>,
}

#[tokio::test]
async fn orders_flow_while_the_schema_moves_forward() {
    let story = async |url: &str| {
        let (owner, reader) = join!(Database::connect(url), Database::connect(url));
        let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let migrations = load_sql_migrations(MIGRATIONS).unwrap();
        let oldest = Runner::new(&migrations).set_target(Target::Version(OLDEST));
        oldest.run_async(&mut client).await.unwrap();
        for sku in SKUS {
            owner
                .execute(&format!("insert into stock values ('{sku}', {PLENTY})"))
                .await;
        }
        owner.use_bulk_settings().await;
        owner.insert_orders(1..=MADE, 10).await;
        let shop = Shop {
            url,
            placed: Cell::default(),
            is_migrated: Cell::default(),
        };

        reader.execute(LOOK).await;
        let writers = join_all(SKUS.map(|sku| shop.places_orders(sku)));
        let migrates = async {
            let aws = SdkConfig::builder().build();
            store::migrate(url, &aws).await.unwrap();
            shop.is_migrated.set(true);
        };
        let (ids, (), ()) = join!(writers, migrates, shop.is_looked_at(&reader));

        let mut ids = ids.concat();
        ids.sort_unstable();
        assert_eq!(owner.query_value::<Vec<Uuid>>(ACCEPTED).await, ids);
        let sold = i64::try_from(ids.len()).unwrap();
        let all: i64 = owner.query_value("select count(*) from orders").await;
        assert_eq!(all, MADE + sold);
        let left = join_all(SKUS.map(|sku| owner.stock_of(sku))).await;
        assert_eq!(left.iter().map(|left| PLENTY - left).sum::<i64>(), sold);
        let version = owner
            .query_value::<i32>("select max(version) from refinery_schema_history")
            .await;
        assert_eq!(version, migrations.last().unwrap().version());
    };
    Stack::find().with_empty_database(story).await;
}

impl Shop<'_> {
    /// Places one order after the other, the last in the newest schema; their ids.
    async fn places_orders(&self, sku: &str) -> Vec<Uuid> {
        let database = Database::connect(self.url).await;
        database.execute(PATIENCE).await;
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

    /// The reader goes on until a migration that waited for it, and behind which orders waited, has let them pass:
    /// more were placed since than could have been under way.
    async fn is_looked_at(&self, reader: &Database) {
        eventually("in a migration's way", async || {
            let is_waited_for: bool = reader.query_value(IS_WAITED_FOR).await;
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
