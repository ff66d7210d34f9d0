//! The error of a store.

use std::error::Error;

use thiserror::Error;
use tokio_postgres::error::DbError;

/// Why a store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store is unreachable or returned an error. A later retry may succeed.
    #[error("{store} failed")]
    Unavailable {
        /// The store's name, such as `PostgreSQL`.
        store: &'static str,
        /// The error of the store's client.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Stored data, or a store's response, that this version cannot read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// What was read, such as a column's name.
        what: &'static str,
        /// Why it cannot be read.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// The error that PostgreSQL raised, with its SQLSTATE, if PostgreSQL raised one.
    pub(crate) fn db_error(&self) -> Option<&DbError> {
        let Self::Unavailable { source, .. } = self else {
            return None;
        };
        source
            .downcast_ref::<tokio_postgres::Error>()?
            .as_db_error()
    }

    pub(crate) fn postgres(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            store: "PostgreSQL",
            source: source.into(),
        }
    }

    pub(crate) fn dynamodb(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            store: "DynamoDB",
            source: source.into(),
        }
    }

    pub(crate) fn cognito(source: aws_sdk_cognitoidentityprovider::Error) -> Self {
        Self::Unavailable {
            store: "Cognito",
            source: source.into(),
        }
    }

    pub(crate) fn step_functions(source: aws_sdk_sfn::Error) -> Self {
        Self::Unavailable {
            store: "Step Functions",
            source: source.into(),
        }
    }

    pub(crate) fn sqs(source: aws_sdk_sqs::Error) -> Self {
        Self::Unavailable {
            store: "SQS",
            source: source.into(),
        }
    }

    pub(crate) fn unreadable(
        what: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unreadable {
            what,
            source: source.into(),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::postgres(error)
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::postgres(error)
    }
}
