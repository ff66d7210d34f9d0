//! What can go wrong with the breaker itself; never what went wrong with the guarded service.

use std::error::Error as StdError;

use thiserror::Error;

/// Why the breaker could not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The store cannot be reached or refuses to work; trying again later may help.
    #[error("the breaker's store did not answer")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The store did not answer within [`Config::store_timeout`](crate::Config::store_timeout).
    #[error("the breaker's store did not answer in time")]
    TimedOut,
    /// The store failed a moment ago and is left alone for
    /// [`Config::refresh_every`](crate::Config::refresh_every).
    #[error("the breaker's store did not answer a moment ago")]
    LeftAlone,
    /// The store holds something that this version cannot read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Others kept changing the circuit; nothing was written.
    #[error("the circuit keeps changing")]
    Contended,
    /// Forcing or releasing a circuit needs somebody's name and a reason, neither longer than
    /// [`Error::MAX_TEXT`] bytes.
    #[error(
        "a name and a reason are needed, of 1 to {} bytes each",
        Self::MAX_TEXT
    )]
    Unexplained,
}

impl Error {
    /// How long a name or a reason may be, in bytes.
    pub const MAX_TEXT: usize = 1_000;
}
