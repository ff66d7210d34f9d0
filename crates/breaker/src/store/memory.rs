//! A store in the process's memory, for tests, benchmarks, and applications of one process.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::{
    circuit::Circuit,
    counts::{Counts, Slot},
    error::Error,
    history::Transition,
    store::{SpendOutcome, Store, WriteOutcome},
};

/// A store in the process's memory, for tests and applications of one process. Clones share the
/// data.
///
/// It counts its reads and writes, and tests can make it unreachable.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

/// The number of requests to a store, including failed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Reads of circuits, counters and histories.
    pub reads: u64,
    /// Writes of circuits and counters.
    pub writes: u64,
}

#[derive(Debug, Default)]
struct Contents {
    circuits: HashMap<String, StoredCircuit>,
    tally: Tally,
    unreachable: bool,
}

#[derive(Debug, Default)]
struct StoredCircuit {
    circuit: Circuit,
    buckets: BTreeMap<Slot, Bucket>,
    history: Vec<(Transition, Timestamp)>,
}

#[derive(Debug)]
struct Bucket {
    counts: Counts,
    keep_until: Timestamp,
}

impl Memory {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of requests so far.
    pub fn tally(&self) -> Tally {
        self.contents().tally
    }

    /// Sets whether the store answers. If not, every request fails.
    pub fn set_reachable(&self, reachable: bool) {
        self.contents().unreachable = !reachable;
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, name: &str, read: impl FnOnce(&mut StoredCircuit) -> T) -> Result<T, Error> {
        let mut contents = self.contents();
        contents.tally.reads += 1;
        contents.circuit(name).map(read)
    }

    fn write<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut StoredCircuit) -> T,
    ) -> Result<T, Error> {
        let mut contents = self.contents();
        contents.tally.writes += 1;
        contents.circuit(name).map(change)
    }
}

impl Contents {
    fn circuit(&mut self, name: &str) -> Result<&mut StoredCircuit, Error> {
        if self.unreachable {
            let error = io::Error::new(io::ErrorKind::NotConnected, "set to unreachable");
            return Err(Error::Unreachable(error.into()));
        }
        Ok(self.circuits.entry(name.to_owned()).or_default())
    }
}

impl StoredCircuit {
    fn bucket(&mut self, slot: Slot, keep_until: Timestamp) -> &mut Counts {
        let now = slot.start;
        self.buckets
            .retain(|_, bucket| bucket.keep_until.as_millisecond() > now);
        let bucket = self.buckets.entry(slot).or_insert(Bucket {
            counts: Counts::default(),
            keep_until,
        });
        &mut bucket.counts
    }
}

impl Store for Memory {
    async fn read_circuit(&self, name: &str) -> Result<Circuit, Error> {
        self.read(name, |stored| stored.circuit.clone())
    }

    async fn write_circuit(
        &self,
        name: &str,
        circuit: &Circuit,
        expected: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<WriteOutcome, Error> {
        self.write(name, |stored| {
            if stored.circuit.version != expected {
                return WriteOutcome::Conflict(Box::new(stored.circuit.clone()));
            }
            stored.circuit = circuit.clone();
            if let Some((transition, keep_until)) = transition {
                stored.history.retain(|(_, until)| *until > transition.at);
                stored.history.push((transition.clone(), keep_until));
            }
            WriteOutcome::Written
        })
    }

    async fn add_counts(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> Result<Counts, Error> {
        self.write(name, |stored| {
            let bucket = stored.bucket(slot, keep_until);
            *bucket += counts;
            *bucket
        })
    }

    async fn spend_retry(
        &self,
        name: &str,
        slot: Slot,
        limit: u64,
        keep_until: Timestamp,
    ) -> Result<SpendOutcome, Error> {
        self.write(name, |stored| {
            let bucket = stored.bucket(slot, keep_until);
            if bucket.retries >= limit {
                return SpendOutcome::Refused(*bucket);
            }
            bucket.retries += 1;
            SpendOutcome::Allowed(*bucket)
        })
    }

    async fn sum_counts(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        self.read(name, |stored| {
            stored
                .buckets
                .range(first..end)
                .fold(Counts::default(), |sum, (_, bucket)| sum + bucket.counts)
        })
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.read(name, |stored| {
            let newest_first = stored.history.iter().rev().take(limit);
            newest_first
                .map(|(transition, _)| transition.clone())
                .collect()
        })
    }
}
