//! The connection to PostgreSQL, and its migrations.

use std::{str::FromStr, time::Duration};

use aws_config::SdkConfig;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{error::StoreError, login::Login};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// How long to wait for a connection before the database counts as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits no longer for somebody else than a person would.
const LOCK_USERS: &str = "set local lock_timeout = '5s';
    select name from locks where name = 'users' for update";

/// The relational database: a small pool that connects when first used and reconnects by itself.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// A pool of at most `connections` to the database at `url`. Does not connect yet. Where the URL has
    /// no password, whoever `aws` says we are logs in by a token of IAM.
    ///
    /// TLS is as the URL's `sslmode` says, checked against the public certificate authorities,
    /// among them the one that signs for RDS Proxy.
    pub fn new(url: &str, connections: usize, aws: &SdkConfig) -> Result<Self, StoreError> {
        let mut config = Config::from_str(url)?;
        config.connect_timeout(CONNECT_TIMEOUT);
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let login = Login::new(&config, tls(), aws);
        let pool = Pool::builder(Manager::from_connect(config, login, recycling))
            .runtime(Runtime::Tokio1)
            .max_size(connections)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .map_err(StoreError::postgres)?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("select 1").await?;
        Ok(())
    }

    /// Does something to users while nobody else does, in whatever process: what is checked before a
    /// change still holds when it is made, although Cognito, which keeps the users, has no
    /// transactions.
    pub async fn alone_with_users<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LOCK_USERS).await?;
        let done = work.await;
        // It has written nothing: its end, of whatever kind, only gives the row free.
        if let Err(error) = transaction.rollback().await {
            tracing::warn!(%error, "users.lock_lost");
        }
        Ok(done)
    }

    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }
}

/// Brings the database at `url` up to the present schema. Forward only; safe to run again.
pub async fn migrate(url: &str, aws: &SdkConfig) -> Result<(), StoreError> {
    let mut client = Database::new(url, 1, aws)?.client().await?;
    migrations::migrations::runner()
        .run_async(&mut **client.as_mut())
        .await
        .map_err(StoreError::postgres)?;
    Ok(())
}

/// Gives the functions' user the password that RDS Proxy logs in with.
pub async fn let_functions_in(
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
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions();
    MakeRustlsConnect::new(match config {
        Ok(config) => config.with_root_certificates(roots).with_no_client_auth(),
        Err(never) => unreachable!("the provider's own versions suit it: {never}"),
    })
}
