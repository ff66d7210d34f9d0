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

/// Waits for the lock for five seconds only, because a person waits for the response.
const LOCK_USERS: &str = "set local lock_timeout = '5s';
    select name from locks where name = 'users' for update";

/// How long to retry connecting while there is no primary, as during a failover.
const RECONNECT_FOR: Duration = Duration::from_secs(2);

/// The first pause between two retries; each pause doubles the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait for a connection to the standby. Short, because the primary can answer as well.
const STANDBY_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the standby is not used after a failure.
const STANDBY_COOLDOWN: Duration = Duration::from_secs(5);

/// The primary's WAL position. Queried after a commit, it is at the end of that commit or later.
const CURRENT_POSITION: &str = "select pg_current_wal_lsn()";

/// Whether a standby has replayed a position. One that was promoted has all of the primary's data.
const HAS_REPLAYED: &str = "select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= $1";

/// The relational database: small pools that connect on first use and reconnect automatically.
#[derive(Clone)]
pub struct Database {
    primary: Pool,
    standby: Option<Standby>,
}

/// A replica of the primary. It may lag behind, so it answers only what it has replayed.
#[derive(Clone)]
struct Standby {
    pool: Pool,
    cooldown_until: Arc<Mutex<Option<Instant>>>,
}

/// The values of a statement's parameters.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A query, and how it is planned.
#[derive(Clone, Copy)]
pub(crate) enum Query<'a> {
    /// Prepared once for each connection.
    Prepared(&'a str, Parameters<'a>),
    /// Planned on each call, for its parameter values.
    Unprepared(&'a str, &'a [(&'a (dyn ToSql + Sync), Type)]),
}

impl Database {
    /// Makes a pool of at most `connections` connections to the database at `url`. Does not connect
    /// yet. If the URL has no password, the identity in `aws` logs in with an IAM token.
    ///
    /// TLS follows the URL's `sslmode`. Certificates are checked against the public certificate
    /// authorities, among them the one that signs for RDS Proxy.
    pub fn new(url: &str, connections: usize, aws: &SdkConfig) -> Result<Self, StoreError> {
        Ok(Self {
            primary: pool(url, connections, CONNECT_TIMEOUT, aws)?,
            standby: None,
        })
    }

    /// Adds the standby at `url`, from which [reading sessions](Session::reading) read.
    pub fn with_standby(
        self,
        url: &str,
        connections: usize,
        aws: &SdkConfig,
    ) -> Result<Self, StoreError> {
        let standby = Standby {
            pool: pool(url, connections, STANDBY_TIMEOUT, aws)?,
            cooldown_until: Arc::default(),
        };
        Ok(Self {
            standby: Some(standby),
            ..self
        })
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("select 1").await?;
        Ok(())
    }

    /// Runs `work` under a lock that one process at a time holds, so that what is checked before a
    /// change of users is still true when the change is made: Cognito, which stores the users, has
    /// no transactions.
    pub async fn with_users_lock<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LOCK_USERS).await?;
        let done = work.await;
        // The transaction has written nothing, so its end only releases the lock.
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
                    // Jitter, so that not all processes reconnect at the same time.
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause *= 2;
                }
                client => return Ok(client?),
            }
        }
    }

    /// Returns the rows of a query.
    pub(crate) async fn read(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.query(Query::Prepared(sql, parameters)).await
    }

    /// Returns the only row of a query.
    pub(crate) async fn read_one(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Row, StoreError> {
        only_row(self.read(sql, parameters).await?)
    }

    /// Returns the row of a query, if there is one.
    pub(crate) async fn read_optional(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, parameters).await?.pop())
    }

    /// Returns the rows of a query: from the standby, if the session may read there and it has
    /// replayed what the session has seen; else from the primary.
    pub(crate) async fn query(&self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        let (Some(standby), Reads::Standby(seen)) = (&self.standby, Session::reads()) else {
            let client = self.client().await?;
            return Ok(query.run(&client).await?);
        };
        if let Some(rows) = standby.query(query, seen).await {
            return Ok(rows);
        }
        let client = self.client().await?;
        // The standby may lag behind these rows at the session's next query.
        Self::run_with_position(&client, query.run(&client)).await
    }

    /// Runs a statement, and records the primary's WAL position after it in the session.
    async fn run_with_position<T>(
        client: &Object,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let position = client.prepare_cached(CURRENT_POSITION).await?;
        // Both are sent at once, and the server executes them in order.
        let (result, position) = join(statement, client.query_one(&position, &[])).await;
        let result = result?;
        Session::record_position(position?.try_get::<_, PgLsn>(0)?.into());
        Ok(result)
    }

    /// Executes and commits a statement on the primary, and records its WAL position in the
    /// session. Returns the statement's rows.
    pub(crate) async fn write(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, parameters);
        if Session::is_active() {
            Self::run_with_position(&client, rows).await
        } else {
            Ok(rows.await?)
        }
    }

    /// As [`Database::write`], for a statement that returns one row.
    pub(crate) async fn write_one(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Row, StoreError> {
        only_row(self.write(sql, parameters).await?)
    }

    /// Executes and commits a statement on the primary, without recording its WAL position in the
    /// session. Returns the number of rows that it changed.
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
    /// Returns the rows of a query; none if the standby fails, is in cooldown or has not replayed
    /// `seen`.
    async fn query(&self, query: Query<'_>, seen: Option<WalPosition>) -> Option<Vec<Row>> {
        if self.in_cooldown() {
            return None;
        }
        match self.try_to_query(query, seen).await {
            Ok(rows) => rows,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "standby.failed");
                *self.lock() = Some(Instant::now() + STANDBY_COOLDOWN);
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
        // Both are sent at once, the check first: the query sees all that was replayed by then.
        let parameters: [&(dyn ToSql + Sync); 1] = [&seen];
        let check = client.query_one(&has_replayed, &parameters);
        let (has_replayed, rows) = join(check, query.run(&client)).await;
        let has_replayed: bool = has_replayed?.try_get(0)?;
        Ok(has_replayed.then_some(rows?))
    }

    fn in_cooldown(&self) -> bool {
        self.lock().is_some_and(|until| Instant::now() < until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.cooldown_until
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
            Self::Unprepared(sql, parameters) => client.query_typed(sql, parameters).await,
        }
    }
}

fn only_row(mut rows: Vec<Row>) -> Result<Row, StoreError> {
    let row = rows.pop().filter(|_| rows.is_empty());
    row.ok_or_else(|| StoreError::unreadable("a result", "it should be one row"))
}

/// Whether no primary could be reached. A server that rejects the login was reached.
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

/// Sets the password of the functions' database role, with which RDS Proxy logs in.
pub async fn set_app_role_password(
    url: &str,
    password: &str,
    aws: &SdkConfig,
) -> Result<(), StoreError> {
    let client = Database::new(url, 1, aws)?.client().await?;
    // `alter role` takes no parameters, so the server quotes the password.
    let quoted = "select format('alter role cauce_app password %L', $1::text)";
    let statement: String = client.query_one(quoted, &[&password]).await?.try_get(0)?;
    client.batch_execute(&statement).await?;
    Ok(())
}

pub(crate) fn tls() -> MakeRustlsConnect {
    MakeRustlsConnect::new(tls::client_config())
}
