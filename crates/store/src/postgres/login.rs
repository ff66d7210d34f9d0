//! How the database's server finds out that it is us: by the password in the URL or, where there is
//! none, by a token of IAM in its place, as RDS and RDS Proxy take it.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{
        SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings, sign,
    },
    sign::v4,
};
use deadpool_postgres::{ConfigConnectImpl, Connect};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, config::Host};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

/// How long a token may be used to log in; the connection then lasts for as long as it likes.
const LASTS: Duration = Duration::from_mins(15);

/// Logs in wherever a connection is made.
pub(crate) struct Login {
    connector: ConfigConnectImpl<MakeRustlsConnect>,
    tokens: Option<Tokens>,
}

/// Tokens that say who we are at AWS.
struct Tokens {
    credentials: SharedCredentialsProvider,
    region: Region,
}

/// Whom the token is for.
struct Account<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
}

impl Login {
    pub(crate) fn new(config: &Config, tls: MakeRustlsConnect, aws: &SdkConfig) -> Self {
        let tokens = || {
            Some(Tokens {
                credentials: aws.credentials_provider()?,
                region: aws.region()?.clone(),
            })
        };
        Self {
            connector: ConfigConnectImpl { tls },
            tokens: config.get_password().is_none().then(tokens).flatten(),
        }
    }

    /// The configuration with a token. Without one, the server refuses us, as it should.
    async fn with_token(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if let (Some(tokens), Some(account)) = (&self.tokens, Account::of(&config)) {
            match tokens.token(&account, SystemTime::now()).await {
                Ok(token) => _ = config.password(token),
                Err(error) => tracing::error!(%error, "database.no_token"),
            }
        }
        config
    }
}

impl Connect for Login {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move {
            let config = self.with_token(&config).await;
            self.connector.connect(&config).await
        })
    }
}

impl<'a> Account<'a> {
    fn of(config: &'a Config) -> Option<Self> {
        let host = config.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(name) => Some(name.as_str()),
            #[cfg(unix)]
            Host::Unix(_) => None,
        });
        Some(Self {
            host: host?,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: config.get_user()?,
        })
    }
}

impl Tokens {
    /// A request to connect, signed, without its scheme: that is all that a token is
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>).
    async fn token(
        &self,
        account: &Account<'_>,
        now: SystemTime,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let identity = self.credentials.provide_credentials().await?.into();
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(LASTS);
        settings.signature_location = SignatureLocation::QueryParams;
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name("rds-db")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let Account { host, port, user } = account;
        let mut url = Url::parse(&format!("https://{host}:{port}/"))?;
        url.query_pairs_mut()
            .append_pair("Action", "connect")
            .append_pair("DBUser", user);
        let address = url.to_string();
        let nothing = SignableBody::Bytes(&[]);
        let request = SignableRequest::new("GET", &address, std::iter::empty(), nothing)?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        for (name, value) in instructions.params() {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(url[url::Position::BeforeHost..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_credential_types::Credentials;

    use super::*;

    fn tokens() -> Tokens {
        let credentials = Credentials::new("AKIDEXAMPLE", "a-secret", None, None, "test");
        Tokens {
            credentials: SharedCredentialsProvider::new(credentials),
            region: Region::from_static("eu-west-1"),
        }
    }

    #[tokio::test]
    async fn a_token_is_the_one_that_the_aws_tools_make() {
        let account = Account {
            host: "cauce.proxy-abc.eu-west-1.rds.amazonaws.com",
            port: 5432,
            user: "cauce_app",
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_627_007);
        let token = tokens().token(&account, now).await.unwrap();
        // By `aws rds generate-db-auth-token` with the same key, at the same time.
        let expected = "cauce.proxy-abc.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=cauce_app&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20261125T171647Z&X-Amz-SignedHeaders=host&X-Amz-Expires=900&X-Amz-Signature=96faeaa2e651c70e5802ed839e26cc77da7930d546006ebe5dfa4c47cc91af5e";
        // Its parts come in any order.
        let parts = |token: &str| token.split('&').map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(parts(&token), parts(expected));
    }

    #[tokio::test]
    async fn whoever_has_a_password_needs_no_token() {
        let aws = SdkConfig::builder()
            .region(tokens().region)
            .credentials_provider(tokens().credentials)
            .build();
        let logs_in_with = async |url: &str| {
            let config = url.parse().unwrap();
            let login = Login::new(&config, super::super::database::tls(), &aws);
            let config = login.with_token(&config).await;
            String::from_utf8(config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(logs_in_with("postgres://a:secret@db/cauce").await, "secret");
        let token = logs_in_with("postgres://a@db/cauce").await;
        assert!(token.starts_with("db:5432/?Action=connect&DBUser=a&"));
    }
}
