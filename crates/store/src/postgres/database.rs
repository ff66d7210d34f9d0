//! The connection to PostgreSQL.

use std::{
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_config::SdkConfig;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use futures::future::join;
use tokio::time::sleep;
use tokio_postgres::{
    Config, Row,
    error::SqlState,
    types::{PgLsn, ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    login::Login,
    session::{Reads, Session, WalPosition},
};
use crate::error::StoreError;

/// How long to wait for a connection before the database counts as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits no longer for somebody else than a person would.
const LOCK_USERS: &str = "set local lock_timeout = '5s';
    select name from locks where name = 'users' for update";

/// For how long to try again to connect while nobody is the primary, as when a standby takes over; and the
/// first pause between two tries, which doubles.
const RECONNECT_FOR: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait for a connection to the standby: the primary has the answer, too.
const STANDBY_TIMEOUT: Duration = Duration::from_millis(500);

/// For how long the standby is left alone after it has failed.
const STANDBY_RESTS: Duration = Duration::from_secs(5);

/// How far the primary has written: asked after a commit, to the commit's end at least.
const WRITTEN: &str = "select pg_current_wal_lsn()";

/// Whether a standby, or what was one, has replayed so much.
const HAS_REPLAYED: &str = "select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= $1";

/// The relational database: small pools that connect when first used and reconnect by themselves.
#[derive(Clone)]
pub struct Database {
    primary: Pool,
    standby: Option<Standby>,
}

/// A follower of the primary, which answers queries as far as it has come.
#[derive(Clone)]
struct Standby {
    pool: Pool,
    rests_until: Arc<Mutex<Option<Instant>>>,
}

/// Values for the parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A query, and how it is planned.
#[derive(Clone, Copy)]
pub(crate) enum Query<'a> {
    /// Prepared once for each connection.
    Prepared(&'a str, Parameters<'a>),
    /// Planned anew for what is asked for.
    Planned(&'a str, &'a [(&'a (dyn ToSql + Sync), Type)]),
}

impl Database {
    /// A pool of at most `connections` to the database at `url`. Does not connect yet. Where the URL has
    /// no password, the identity in `aws` logs in with an IAM token.
    ///
    /// TLS is as the URL's `sslmode` says, checked against the public certificate authorities,
    /// among them the one that signs for RDS Proxy.
    pub fn new(url: &str, connections: usize, aws: &SdkConfig) -> Result<Self, StoreError> {
        Ok(Self {
            primary: pool(url, connections, CONNECT_TIMEOUT, aws)?,
            standby: None,
        })
    }

    /// The same, whose standby at `url` is read from by sessions that may.
    pub fn with_standby(
        self,
        url: &str,
        connections: usize,
        aws: &SdkConfig,
    ) -> Result<Self, StoreError> {
        let standby = Standby {
            pool: pool(url, connections, STANDBY_TIMEOUT, aws)?,
            rests_until: Arc::default(),
        };
        Ok(Self {
            standby: Some(standby),
            ..self
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("select 1").await?;
        Ok(())
    }

    /// Does something to users while no other process does: what is checked before a change still
    /// holds when it is made, although Cognito, which keeps the users, has no transactions.
    pub async fn with_users_lock<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LOCK_USERS).await?;
        let done = work.await;
        // It has written nothing, so its end, of either kind, only releases the lock.
        if let Err(error) = transaction.rollback().await {
            tracing::warn!(%error, "users.lock_lost");
        }
        Ok(done)
    }

    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.primary.get().await {
                Err(error) if is_unreachable(&error) && begun.elapsed() + pause < RECONNECT_FOR => {
                    // Not all at the same time, when it comes back.
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause *= 2;
                }
                client => return Ok(client?),
            }
        }
    }

    /// The rows that a query finds.
    pub(crate) async fn read(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.query(Query::Prepared(sql, parameters)).await
    }

    /// The only row that a query finds.
    pub(crate) async fn read_one(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Row, StoreError> {
        only(self.read(sql, parameters).await?)
    }

    /// The row that a query finds, if it finds one.
    pub(crate) async fn read_optional(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, parameters).await?.pop())
    }

    /// The rows that a query finds, at the standby if that has what the session has seen, else at the primary.
    pub(crate) async fn query(&self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        let (Some(standby), Reads::Standby(seen)) = (&self.standby, Session::reads()) else {
            let client = self.client().await?;
            return Ok(query.run(&client).await?);
        };
        if let Some(rows) = standby.query(query, seen).await {
            return Ok(rows);
        }
        let client = self.client().await?;
        // What is seen now at the primary, the standby may not have when it is asked next.
        Self::with_position(&client, query.run(&client)).await
    }

    /// What a statement gives, while it is noted for the session how far the primary has written after it.
    async fn with_position<T>(
        client: &Object,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let written = client.prepare_cached(WRITTEN).await?;
        // Both are sent at once; the server takes one after the other.
        let (given, written) = join(statement, client.query_one(&written, &[])).await;
        let given = given?;
        Session::wrote(written?.try_get::<_, PgLsn>(0)?.into());
        Ok(given)
    }

    /// Executes a statement at the primary, which commits it, and notes for the session how far that has
    /// written; the rows that it returns.
    pub(crate) async fn write(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, parameters);
        if Session::is_held() {
            Self::with_position(&client, rows).await
        } else {
            Ok(rows.await?)
        }
    }

    /// The same, of a statement that returns one row.
    pub(crate) async fn write_one(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Row, StoreError> {
        only(self.write(sql, parameters).await?)
    }

    /// Executes a statement at the primary; how many rows it has changed.
    pub(crate) async fn change(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, parameters).await?)
    }
}

impl Standby {
    /// The rows that a query finds here, if the standby has come as far as that, and works.
    async fn query(&self, query: Query<'_>, seen: Option<WalPosition>) -> Option<Vec<Row>> {
        if self.in_cooldown() {
            return None;
        }
        match self.try_to_query(query, seen).await {
            Ok(rows) => rows,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "standby.failed");
                *self.lock() = Some(Instant::now() + STANDBY_RESTS);
                None
            }
        }
    }

    async fn try_to_query(
        &self,
        query: Query<'_>,
        seen: Option<WalPosition>,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let client = self.pool.get().await?;
        let Some(seen) = seen else {
            return Ok(Some(query.run(&client).await?));
        };
        let has_replayed = client.prepare_cached(HAS_REPLAYED).await?;
        let seen = seen.lsn();
        // Both are sent at once, this one first: what has been replayed by then, the query sees.
        let parameters: [&(dyn ToSql + Sync); 1] = [&seen];
        let asked = client.query_one(&has_replayed, &parameters);
        let (has_replayed, rows) = join(asked, query.run(&client)).await;
        let has_replayed: bool = has_replayed?.try_get(0)?;
        Ok(has_replayed.then_some(rows?))
    }

    fn in_cooldown(&self) -> bool {
        self.lock().is_some_and(|until| Instant::now() < until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Query<'_> {
    async fn run(self, client: &Object) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Self::Prepared(sql, parameters) => {
                let statement = client.prepare_cached(sql).await?;
                client.query(&statement, parameters).await
            }
            Self::Planned(sql, parameters) => client.query_typed(sql, parameters).await,
        }
    }
}

fn only(mut rows: Vec<Row>) -> Result<Row, StoreError> {
    let row = rows.pop().filter(|_| rows.is_empty());
    row.ok_or_else(|| StoreError::unreadable("an answer", "it should be one row"))
}

/// Whether no server could be reached that takes writes. One that refuses us is not away.
fn is_unreachable(error: &PoolError) -> bool {
    let PoolError::Backend(error) = error else {
        return false;
    };
    error
        .code()
        .is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW)
}

fn pool(
    url: &str,
    connections: usize,
    timeout: Duration,
    aws: &SdkConfig,
) -> Result<Pool, StoreError> {
    let mut config = Config::from_str(url)?;
    config.connect_timeout(timeout);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let login = Login::new(&config, tls(), aws);
    Pool::builder(Manager::from_connect(config, login, recycling))
        .runtime(Runtime::Tokio1)
        .max_size(connections)
        .wait_timeout(Some(timeout))
        .create_timeout(Some(timeout))
        .build()
        .map_err(StoreError::postgres)
}

/// Gives the functions' user the password that RDS Proxy logs in with.
pub async fn set_app_role_password(
    url: &str,
    password: &str,
    aws: &SdkConfig,
) -> Result<(), StoreError> {
    let client = Database::new(url, 1, aws)?.client().await?;
    // The server quotes it: `alter role` takes no parameters.
    let quoted = "select format('alter role cauce_app password %L', $1::text)";
    let statement: String = client.query_one(quoted, &[&password]).await?.try_get(0)?;
    client.batch_execute(&statement).await?;
    Ok(())
}

pub(crate) fn tls() -> MakeRustlsConnect {
    MakeRustlsConnect::new(tls::client_config())
}
