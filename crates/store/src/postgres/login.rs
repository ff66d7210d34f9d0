//! Login at the database server: with the password in the URL or, if there is none, with an IAM
//! token in its place, as RDS and RDS Proxy accept it.

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

/// How long a token can be used to log in. The connection may last longer.
const TOKEN_LIFETIME: Duration = Duration::from_mins(15);

/// Makes the pool's connections, and their IAM tokens if the URL has no password.
pub(crate) struct Login {
    connector: ConfigConnectImpl<MakeRustlsConnect>,
    signer: Option<TokenSigner>,
}

/// Makes IAM tokens for an AWS identity.
struct TokenSigner {
    credentials: SharedCredentialsProvider,
    region: Region,
}

/// The database user that a token is for, and its server.
struct Account<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
}

impl Login {
    pub(crate) fn new(config: &Config, tls: MakeRustlsConnect, aws: &SdkConfig) -> Self {
        let signer = || {
            Some(TokenSigner {
                credentials: aws.credentials_provider()?,
                region: aws.region()?.clone(),
            })
        };
        Self {
            connector: ConfigConnectImpl { tls },
            signer: config.get_password().is_none().then(signer).flatten(),
        }
    }

    /// Returns the configuration with a token as its password. If no token can be made, the server
    /// rejects the login.
    async fn with_token(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if let (Some(signer), Some(account)) = (&self.signer, Account::of(&config)) {
            match signer.token(&account, SystemTime::now()).await {
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

impl TokenSigner {
    /// Makes a token: a signed request to connect, without its scheme
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>).
    async fn token(
        &self,
        account: &Account<'_>,
        now: SystemTime,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let identity = self.credentials.provide_credentials().await?.into();
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(TOKEN_LIFETIME);
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
        let empty = SignableBody::Bytes(&[]);
        let request = SignableRequest::new("GET", &address, std::iter::empty(), empty)?;
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

    fn signer() -> TokenSigner {
        let credentials = Credentials::new("AKIDEXAMPLE", "a-secret", None, None, "test");
        TokenSigner {
            credentials: SharedCredentialsProvider::new(credentials),
            region: Region::from_static("eu-west-1"),
        }
    }

    #[tokio::test]
    async fn a_token_equals_that_of_the_aws_cli() {
        let account = Account {
            host: "cauce.proxy-abc.eu-west-1.rds.amazonaws.com",
            port: 5432,
            user: "cauce_app",
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_627_007);
        let token = signer().token(&account, now).await.unwrap();
        // From `aws rds generate-db-auth-token` with the same key and time.
        let expected = "cauce.proxy-abc.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=cauce_app&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20261125T171647Z&X-Amz-SignedHeaders=host&X-Amz-Expires=900&X-Amz-Signature=96faeaa2e651c70e5802ed839e26cc77da7930d546006ebe5dfa4c47cc91af5e";
        // The query parameters may be in any order.
        let parts = |token: &str| token.split('&').map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(parts(&token), parts(expected));
    }

    #[tokio::test]
    async fn a_token_is_used_only_without_a_password() {
        let aws = SdkConfig::builder()
            .region(signer().region)
            .credentials_provider(signer().credentials)
            .build();
        let password_for = async |url: &str| {
            let config = url.parse().unwrap();
            let login = Login::new(&config, super::super::database::tls(), &aws);
            let config = login.with_token(&config).await;
            String::from_utf8(config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(password_for("postgres://a:secret@db/cauce").await, "secret");
        let token = password_for("postgres://a@db/cauce").await;
        assert!(token.starts_with("db:5432/?Action=connect&DBUser=a&"));
    }
}
