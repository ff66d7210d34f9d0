//! What can go wrong with a store itself.

use std::error::Error;

use thiserror::Error;
use tokio_postgres::error::DbError;

/// A store that could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached or refuses to work; trying again later may help.
    #[error("{store} did not answer")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// What its client said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It holds something that the present rules cannot read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// What PostgreSQL said, if it was PostgreSQL.
    pub(crate) fn of_database(&self) -> Option<&DbError> {
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
