//! Errors of the breaker itself. Failures of the guarded service are not among them.

use std::error::Error as StdError;

use thiserror::Error;

/// Why a breaker's operation failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be reached or returned an error. A later attempt may succeed.
    #[error("the breaker's store did not answer")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The store did not answer within [`Config::store_timeout`](crate::Config::store_timeout).
    #[error("the breaker's store did not answer in time")]
    TimedOut,
    /// The store failed less than [`Config::refresh_every`](crate::Config::refresh_every) ago, and
    /// is not called again before then.
    #[error("the breaker's store failed a moment ago and is not called again yet")]
    InCooldown,
    /// The store holds data that this version cannot read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// The kind of record, such as "an item of the breaker's table".
        what: &'static str,
        /// Why it cannot be read.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Other writers changed the circuit during each attempt to write it. Nothing was written.
    #[error("the circuit keeps changing")]
    Contended,
    /// The operator's name or the reason for forcing or releasing a circuit is empty, or longer
    /// than [`Error::MAX_TEXT`].
    #[error(
        "a name and a reason are needed, of 1 to {} bytes each",
        Self::MAX_TEXT
    )]
    InvalidExplanation,
}

impl Error {
    /// The longest name or reason, in bytes.
    pub const MAX_TEXT: usize = 1_000;
}
