//! The settings of a function: environment variables, and the AWS clients and secrets that they
//! configure. Each `main` reads them once, and exits with the name of a variable that is missing or
//! invalid.

use std::{env, fmt::Display, str::FromStr};

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use thiserror::Error;
use tokio::sync::OnceCell;

/// The variables of the credentials and the region, which every Lambda has.
const LAMBDA_VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// The variable is not set, or is not valid Unicode.
    #[error("the environment variable {0} is missing")]
    Missing(&'static str),
    /// The variable is not a number, or the number is out of range.
    #[error("the environment variable {0} is not a number, or is out of range")]
    InvalidNumber(&'static str),
    /// The variable is the ARN of a secret that cannot be read, or is empty.
    #[error("the secret that the environment variable {name} names cannot be read: {why}")]
    UnreadableSecret {
        /// The variable.
        name: &'static str,
        /// The error of Secrets Manager.
        why: String,
    },
}

/// Returns the value of an environment variable.
pub fn required(name: &'static str) -> Result<String, SettingError> {
    env::var(name).map_err(|_| SettingError::Missing(name))
}

/// Returns the number in an environment variable.
pub fn number<T: FromStr>(name: &'static str) -> Result<T, SettingError> {
    let text = required(name)?;
    text.trim()
        .parse()
        .map_err(|_| SettingError::InvalidNumber(name))
}

/// Returns the configuration of AWS clients, from the environment.
///
/// The clients trust only Amazon's own certificate authorities. By default, the SDK reads all
/// authorities of the machine, again for each client. It also builds HTTP clients to look up
/// credentials and the region elsewhere, even if the environment has them, as in a Lambda.
pub fn aws() -> ConfigLoader {
    let trusted = TrustStore::empty().with_pem_certificate(tls::AWS_AUTHORITIES);
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let http = match TlsContext::builder().with_trust_store(trusted).build() {
        Ok(context) => http.tls_context(context),
        Err(never) => unreachable!("the context has only a trust store: {never}"),
    };
    let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(http.build_https());
    let is_set = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
    if LAMBDA_VARIABLES.iter().all(is_set) {
        aws.credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .region(EnvironmentVariableRegionProvider::new())
    } else {
        aws
    }
}

/// A client of Secrets Manager, which stores the values that must not be in environment variables.
#[derive(Debug, Clone)]
pub struct Secrets(aws_sdk_secretsmanager::Client);

impl Secrets {
    /// Returns a client with the configuration `aws`.
    pub fn new(aws: &SdkConfig) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(aws))
    }

    /// Reads the secret whose ARN is in an environment variable. An empty secret is an error,
    /// because anyone could sign with it.
    pub async fn required(&self, name: &'static str) -> Result<String, SettingError> {
        self.read(name, &required(name)?).await
    }

    /// Like [`Secrets::required`], but reads the secret when it is first used.
    pub fn lazy(&self, name: &'static str) -> Result<LazySecret, SettingError> {
        Ok(LazySecret(Source::Named {
            secrets: self.clone(),
            name,
            arn: required(name)?,
            value: OnceCell::new(),
        }))
    }

    async fn read(&self, name: &'static str, arn: &str) -> Result<String, SettingError> {
        let error = |why: &dyn Display| SettingError::UnreadableSecret {
            name,
            why: why.to_string(),
        };
        let response = self.0.get_secret_value().secret_id(arn).send().await;
        let secret = response
            .map_err(|failure| error(&aws_sdk_secretsmanager::Error::from(failure)))?
            .secret_string;
        secret
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| error(&"it is empty"))
    }
}

/// A secret that is read when it is first used, and then cached: requests that do not need it do
/// not wait for it.
pub struct LazySecret(Source);

enum Source {
    Known(String),
    Named {
        secrets: Secrets,
        name: &'static str,
        arn: String,
        value: OnceCell<String>,
    },
}

impl LazySecret {
    /// Returns a secret with a known value, for tests.
    pub fn known(secret: impl Into<String>) -> Self {
        Self(Source::Known(secret.into()))
    }

    /// Returns the secret. After an error, the next call reads it again.
    pub async fn read(&self) -> Result<&str, SettingError> {
        match &self.0 {
            Source::Known(secret) => Ok(secret),
            Source::Named {
                secrets,
                name,
                arn,
                value,
            } => value
                .get_or_try_init(|| secrets.read(name, arn))
                .await
                .map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_a_missing_variable() {
        let missing = required("CAUCE_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable CAUCE_NO_SUCH_VARIABLE is missing"
        );
    }

    #[test]
    fn a_path_is_not_a_number() {
        let error = number::<u32>("PATH").unwrap_err();
        assert_eq!(error, SettingError::InvalidNumber("PATH"));
    }

    #[tokio::test]
    async fn the_error_names_the_variable_of_an_unreadable_secret() {
        let aws = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .build();
        // No ARN, no region, no credentials.
        let secrets = Secrets::new(&aws);
        let eager = secrets.required("PATH").await;
        let lazy = secrets.lazy("PATH").unwrap();
        for error in [eager.unwrap_err(), lazy.read().await.unwrap_err()] {
            assert!(
                error
                    .to_string()
                    .starts_with("the secret that the environment variable PATH names")
            );
        }
    }
}
