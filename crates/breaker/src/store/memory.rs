//! A store in this process's memory: for tests, benches and examples, and for a fleet of one.

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
    store::{Spent, Store, Written},
};

/// A store in this process's memory. Clones share it.
///
/// It counts what is asked of it, and can be made unreachable.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

/// How often a store was asked for what, failed tries included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Reads of circuits, counters and histories.
    pub reads: u64,
    /// Writes of circuits and counters.
    pub writes: u64,
}

#[derive(Debug, Default)]
struct Contents {
    circuits: HashMap<String, Kept>,
    tally: Tally,
    unreachable: bool,
}

#[derive(Debug, Default)]
struct Kept {
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
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been asked of it so far.
    pub fn tally(&self) -> Tally {
        self.contents().tally
    }

    /// Makes it fail every call, or work again.
    pub fn set_reachable(&self, reachable: bool) {
        self.contents().unreachable = !reachable;
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_of<T>(&self, name: &str, look: impl FnOnce(&mut Kept) -> T) -> Result<T, Error> {
        let mut contents = self.contents();
        contents.tally.reads += 1;
        contents.circuit(name).map(look)
    }

    fn write_to<T>(&self, name: &str, change: impl FnOnce(&mut Kept) -> T) -> Result<T, Error> {
        let mut contents = self.contents();
        contents.tally.writes += 1;
        contents.circuit(name).map(change)
    }
}

impl Contents {
    fn circuit(&mut self, name: &str) -> Result<&mut Kept, Error> {
        if self.unreachable {
            let error = io::Error::new(io::ErrorKind::NotConnected, "made unreachable");
            return Err(Error::Unreachable(error.into()));
        }
        Ok(self.circuits.entry(name.to_owned()).or_default())
    }
}

impl Kept {
    fn bucket(&mut self, slot: Slot, keep_until: Timestamp) -> &mut Counts {
        let begun = slot.start;
        self.buckets
            .retain(|_, bucket| bucket.keep_until.as_millisecond() > begun);
        let bucket = self.buckets.entry(slot).or_insert(Bucket {
            counts: Counts::default(),
            keep_until,
        });
        &mut bucket.counts
    }
}

impl Store for Memory {
    async fn read(&self, name: &str) -> Result<Circuit, Error> {
        self.read_of(name, |kept| kept.circuit.clone())
    }

    async fn write(
        &self,
        name: &str,
        circuit: &Circuit,
        seen: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<Written, Error> {
        self.write_to(name, |kept| {
            if kept.circuit.version != seen {
                return Written::Overtaken(Box::new(kept.circuit.clone()));
            }
            kept.circuit = circuit.clone();
            if let Some((transition, keep_until)) = transition {
                kept.history.retain(|(_, until)| *until > transition.at);
                kept.history.push((transition.clone(), keep_until));
            }
            Written::Done
        })
    }

    async fn add(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> Result<Counts, Error> {
        self.write_to(name, |kept| {
            let bucket = kept.bucket(slot, keep_until);
            *bucket += counts;
            *bucket
        })
    }

    async fn spend(
        &self,
        name: &str,
        slot: Slot,
        room: u64,
        keep_until: Timestamp,
    ) -> Result<Spent, Error> {
        self.write_to(name, |kept| {
            let bucket = kept.bucket(slot, keep_until);
            if bucket.retries >= room {
                return Spent::Refused(*bucket);
            }
            bucket.retries += 1;
            Spent::Allowed(*bucket)
        })
    }

    async fn sum(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        self.read_of(name, |kept| {
            kept.buckets
                .range(first..end)
                .fold(Counts::default(), |sum, (_, bucket)| sum + bucket.counts)
        })
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.read_of(name, |kept| {
            let newest_first = kept.history.iter().rev().take(limit);
            newest_first
                .map(|(transition, _)| transition.clone())
                .collect()
        })
    }
}
