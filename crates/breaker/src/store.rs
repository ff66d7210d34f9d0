//! The storage that a fleet shares.

#[cfg(feature = "dynamodb")]
mod dynamodb;
mod memory;

use jiff::Timestamp;

#[cfg(feature = "dynamodb")]
pub use self::dynamodb::DynamoDb;
pub use self::memory::{Memory, Tally};
use crate::{
    circuit::Circuit,
    counts::{Counts, Slot},
    error::Error,
    history::Transition,
};

/// The outcome of [`Store::write_circuit`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteOutcome {
    /// The circuit is written.
    Written,
    /// Nothing is written: the stored version differs from the expected one. Holds the stored
    /// circuit.
    Conflict(Box<Circuit>),
}

/// The outcome of [`Store::spend_retry`], with the bucket's counts after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpendOutcome {
    /// The retry is counted.
    Allowed(Counts),
    /// The bucket has no room for another retry.
    Refused(Counts),
}

/// The storage that a fleet shares: circuits, their counters and their history, by the circuit's
/// name.
///
/// Reads are strongly consistent: they see every write that completed before they began.
pub trait Store: Send + Sync + 'static {
    /// Returns the circuit, or [`Circuit::default`] if it was never written.
    fn read_circuit(&self, name: &str) -> impl Future<Output = Result<Circuit, Error>> + Send;

    /// Writes a circuit if the stored [version](Circuit::version) is `expected`: 0 if it was never
    /// written. The transition is written in the same transaction, and may be deleted after
    /// `keep_until`.
    fn write_circuit(
        &self,
        name: &str,
        circuit: &Circuit,
        expected: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> impl Future<Output = Result<WriteOutcome, Error>> + Send;

    /// Adds to a bucket, which may be deleted after `keep_until`. Returns its counts after that.
    fn add_counts(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> impl Future<Output = Result<Counts, Error>> + Send;

    /// Counts one retry in a bucket that has fewer than `limit`.
    fn spend_retry(
        &self,
        name: &str,
        slot: Slot,
        limit: u64,
        keep_until: Timestamp,
    ) -> impl Future<Output = Result<SpendOutcome, Error>> + Send;

    /// Returns the sum of the buckets of one generation, from `first` up to but without `end`.
    fn sum_counts(
        &self,
        name: &str,
        first: Slot,
        end: Slot,
    ) -> impl Future<Output = Result<Counts, Error>> + Send;

    /// Returns the latest transitions, newest first, at most `limit`.
    fn history(
        &self,
        name: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Transition>, Error>> + Send;
}
