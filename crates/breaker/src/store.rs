//! Where a fleet keeps what it shares.

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

/// How a write of a circuit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Done,
    /// Nothing is written: another was faster, and this is what the circuit is now.
    Overtaken(Box<Circuit>),
}

/// How spending from the retry budget ended, with the bucket's counts as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The retry is counted.
    Allowed(Counts),
    /// The bucket has all the retries it may have.
    Refused(Counts),
}

/// Where a fleet keeps its circuits, by name.
///
/// Reads see every write that was answered before they began.
pub trait Store: Send + Sync + 'static {
    /// The circuit; a new one if nothing is known of it.
    fn read(&self, name: &str) -> impl Future<Output = Result<Circuit, Error>> + Send;

    /// Writes a circuit over the version that was seen, together with the transition that led to it,
    /// which is kept until `keep_until`. Both are written, or neither.
    fn write(
        &self,
        name: &str,
        circuit: &Circuit,
        seen: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> impl Future<Output = Result<Written, Error>> + Send;

    /// Adds to a bucket, which may be forgotten after `keep_until`; gives its counts afterwards.
    fn add(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> impl Future<Output = Result<Counts, Error>> + Send;

    /// Counts one retry in a bucket, unless it already has `room` of them.
    fn spend(
        &self,
        name: &str,
        slot: Slot,
        room: u64,
        keep_until: Timestamp,
    ) -> impl Future<Output = Result<Spent, Error>> + Send;

    /// The sum of the buckets of one generation from `first` to before `end`.
    fn sum(
        &self,
        name: &str,
        first: Slot,
        end: Slot,
    ) -> impl Future<Output = Result<Counts, Error>> + Send;

    /// The last transitions, newest first, at most `limit`.
    fn history(
        &self,
        name: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Transition>, Error>> + Send;
}
