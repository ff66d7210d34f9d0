//! What a function is told by its environment. Each `main` reads it once, and refuses to start with
//! the name of what is missing or makes no sense.

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

/// What each Lambda finds in its environment.
const LAMBDA_HAS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// It is not set, or not text.
    #[error("the environment variable {0} is missing")]
    Missing(&'static str),
    /// It is no number, or not one in range.
    #[error("the environment variable {0} is not a number that makes sense")]
    NoNumber(&'static str),
    /// It names a secret that cannot be had, or that is empty.
    #[error("the secret that the environment variable {name} names cannot be had: {why}")]
    NoSecret {
        /// The variable.
        name: &'static str,
        /// What Secrets Manager said.
        why: String,
    },
}

/// The value of an environment variable.
pub fn required(name: &'static str) -> Result<String, SettingError> {
    env::var(name).map_err(|_| SettingError::Missing(name))
}

/// The number in an environment variable.
pub fn number<T: FromStr>(name: &'static str) -> Result<T, SettingError> {
    let text = required(name)?;
    text.trim()
        .parse()
        .map_err(|_| SettingError::NoNumber(name))
}

/// How AWS is called: with what the environment says, and believing nobody but AWS's own authorities. The SDK by
/// itself reads all authorities of the machine, anew for each client; and makes ready to look for keys and region
/// elsewhere, by clients of their own, even where the environment has them, as a Lambda's has.
pub fn aws() -> ConfigLoader {
    let trusted = TrustStore::empty().with_pem_certificate(tls::AWS_AUTHORITIES);
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let http = match TlsContext::builder().with_trust_store(trusted).build() {
        Ok(context) => http.tls_context(context),
        Err(never) => unreachable!("nothing of it can be wrong: {never}"),
    };
    let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(http.build_https());
    let is_there = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
    if LAMBDA_HAS.iter().all(is_there) {
        aws.credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .region(EnvironmentVariableRegionProvider::new())
    } else {
        aws
    }
}

/// Secrets Manager, which keeps what no environment should show.
#[derive(Debug, Clone)]
pub struct Secrets(aws_sdk_secretsmanager::Client);

impl Secrets {
    /// The secrets that `aws` lets us read.
    pub fn new(aws: &SdkConfig) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(aws))
    }

    /// The secret whose ARN is in an environment variable. It is never empty: anybody could sign with
    /// that.
    pub async fn required(&self, name: &'static str) -> Result<String, SettingError> {
        self.read(name, &required(name)?).await
    }

    /// The same, read when it is first asked for.
    pub fn lazy(&self, name: &'static str) -> Result<LazySecret, SettingError> {
        Ok(LazySecret(Source::Named {
            secrets: self.clone(),
            name,
            arn: required(name)?,
            value: OnceCell::new(),
        }))
    }

    async fn read(&self, name: &'static str, arn: &str) -> Result<String, SettingError> {
        let no_secret = |why: &dyn Display| SettingError::NoSecret {
            name,
            why: why.to_string(),
        };
        let answer = self.0.get_secret_value().secret_id(arn).send().await;
        let secret = answer
            .map_err(|error| no_secret(&aws_sdk_secretsmanager::Error::from(error)))?
            .secret_string;
        secret
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| no_secret(&"it is empty"))
    }
}

/// A secret that is read when it is first asked for, and kept: what few requests need, the others do not wait for.
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
    /// One that need not be read, such as a test's.
    pub fn known(secret: impl Into<String>) -> Self {
        Self(Source::Known(secret.into()))
    }

    /// The secret. After a failure it is asked for again the next time.
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
    fn what_is_missing_is_named() {
        let missing = required("CAUCE_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable CAUCE_NO_SUCH_VARIABLE is missing"
        );
    }

    #[test]
    fn a_path_is_no_number() {
        let error = number::<u32>("PATH").unwrap_err();
        assert_eq!(error, SettingError::NoNumber("PATH"));
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_had_is_named() {
        let aws = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .build();
        // No ARN, no region, no credentials.
        let secrets = Secrets::new(&aws);
        let at_once = secrets.required("PATH").await;
        let later = secrets.lazy("PATH").unwrap();
        for error in [at_once.unwrap_err(), later.read().await.unwrap_err()] {
            assert!(
                error
                    .to_string()
                    .starts_with("the secret that the environment variable PATH names")
            );
        }
    }
}
