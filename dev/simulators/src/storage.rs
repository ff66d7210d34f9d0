//! The state of a simulator: documents by name, an index of them, an agenda, and a ledger of
//! effects. Each change is one transaction that is on disk before the call is answered, so a kill
//! loses nothing.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use redb::{
    AccessGuard, Database, MultimapTable, MultimapTableDefinition, ReadOnlyMultimapTable,
    ReadOnlyTable, ReadableDatabase, ReadableMultimapTable, ReadableTable, ReadableTableMetadata,
    Table, TableDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::{Mutex, watch};

const DOCUMENTS: TableDefinition<&str, &str> = TableDefinition::new("documents");
const INDEX: MultimapTableDefinition<&str, &str> = MultimapTableDefinition::new("index");
const LEDGER: TableDefinition<u64, &str> = TableDefinition::new("ledger");
const LEDGER_OF_ORDER: MultimapTableDefinition<&str, u64> =
    MultimapTableDefinition::new("ledger_of_order");

/// Key: list, then the Unix millisecond at which the item is due, then its name.
const AGENDA: TableDefinition<AgendaKey, &str> = TableDefinition::new("agenda");
type AgendaKey = (&'static str, u64, &'static str);

/// A simulator's state on disk.
pub struct Storage {
    database: Database,
    /// Serializes changes without blocking the thread of a task that waits.
    write_lock: Mutex<()>,
    /// Notified of every change.
    changes: watch::Sender<()>,
}

/// The state within one transaction.
pub(crate) struct State<'a> {
    documents: Table<'a, &'static str, &'static str>,
    index: MultimapTable<'a, &'static str, &'static str>,
    ledger: Table<'a, u64, &'static str>,
    ledger_of_order: MultimapTable<'a, &'static str, u64>,
    agenda: Table<'a, AgendaKey, &'static str>,
    changed: bool,
}

/// A read-only snapshot of the state.
pub(crate) struct Snapshot {
    documents: ReadOnlyTable<&'static str, &'static str>,
    index: ReadOnlyMultimapTable<&'static str, &'static str>,
    ledger: ReadOnlyTable<u64, &'static str>,
    ledger_of_order: ReadOnlyMultimapTable<&'static str, u64>,
    agenda: ReadOnlyTable<AgendaKey, &'static str>,
}

/// An item of an agenda.
pub(crate) struct AgendaItem<T> {
    pub(crate) at_ms: u64,
    pub(crate) name: String,
    pub(crate) item: T,
}

/// The last character: sorts after every name.
const LAST_CHAR: &str = "\u{10ffff}";

/// Lookups, within a transaction or in a snapshot.
pub(crate) trait Read {
    fn documents(&self) -> &impl ReadableTable<&'static str, &'static str>;
    fn index(&self) -> &impl ReadableMultimapTable<&'static str, &'static str>;

    fn get<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let found = self.documents().get(name)?;
        Ok(found
            .map(|found| serde_json::from_str(found.value()))
            .transpose()?)
    }

    /// The documents whose names begin with `prefix`, last name first. With an `end`, only the
    /// names before `prefix` + `end`.
    fn newest<T: DeserializeOwned>(
        &self,
        prefix: &str,
        end: Option<&str>,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<T>>> {
        let end = format!("{prefix}{}", end.unwrap_or(LAST_CHAR));
        Ok(self.named(prefix, &end)?.rev().map(read))
    }

    /// The documents with names from `start` up to but not including `end`, to be [`read`].
    fn named(
        &self,
        start: &str,
        end: &str,
    ) -> anyhow::Result<redb::Range<'_, &'static str, &'static str>> {
        Ok(self.documents().range(start..end)?)
    }

    /// The documents that are indexed under `key`, last name first.
    fn indexed<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Vec<T>> {
        let mut found = Vec::new();
        for name in self.index().get(key)?.rev() {
            found.extend(self.get(name?.value())?);
        }
        Ok(found)
    }
}

/// A stored document with its name.
type Entry<'a> =
    Result<(AccessGuard<'a, &'static str>, AccessGuard<'a, &'static str>), redb::StorageError>;

pub(crate) fn read<T: DeserializeOwned>(entry: Entry<'_>) -> anyhow::Result<T> {
    let (_, document) = entry?;
    Ok(serde_json::from_str(document.value())?)
}

impl Storage {
    /// Opens or creates the state called `name` in the folder `data`.
    pub fn open(data: &Path, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let path = data.join(format!("{name}.redb"));
        let database =
            Database::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let storage = Self {
            database,
            write_lock: Mutex::default(),
            changes: watch::Sender::default(),
        };
        // Creates the tables, which snapshots need, and the index of an old ledger.
        storage.transact_now(index_ledger)?;
        Ok(storage)
    }

    /// Runs `change` in a transaction of its own, after earlier ones, and commits it on success.
    pub(crate) async fn transact<T>(
        &self,
        change: impl FnOnce(&mut State<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let _lock = self.write_lock.lock().await;
        self.transact_now(change)
    }

    /// Like [`Storage::transact`], but blocks the thread. For rare changes in synchronous code.
    pub(crate) fn transact_now<T>(
        &self,
        change: impl FnOnce(&mut State<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let transaction = self.database.begin_write()?;
        let (result, changed) = {
            let mut state = State {
                documents: transaction.open_table(DOCUMENTS)?,
                index: transaction.open_multimap_table(INDEX)?,
                ledger: transaction.open_table(LEDGER)?,
                ledger_of_order: transaction.open_multimap_table(LEDGER_OF_ORDER)?,
                agenda: transaction.open_table(AGENDA)?,
                changed: false,
            };
            (change(&mut state)?, state.changed)
        };
        if changed {
            transaction.commit()?;
            self.changes.send_replace(());
        } else {
            transaction.abort()?;
        }
        Ok(result)
    }

    /// Notifies of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The state as it is now. Reads and writes do not block each other.
    pub(crate) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let transaction = self.database.begin_read()?;
        Ok(Snapshot {
            documents: transaction.open_table(DOCUMENTS)?,
            index: transaction.open_multimap_table(INDEX)?,
            ledger: transaction.open_table(LEDGER)?,
            ledger_of_order: transaction.open_multimap_table(LEDGER_OF_ORDER)?,
            agenda: transaction.open_table(AGENDA)?,
        })
    }
}

impl Read for State<'_> {
    fn documents(&self) -> &impl ReadableTable<&'static str, &'static str> {
        &self.documents
    }

    fn index(&self) -> &impl ReadableMultimapTable<&'static str, &'static str> {
        &self.index
    }
}

impl Read for Snapshot {
    fn documents(&self) -> &impl ReadableTable<&'static str, &'static str> {
        &self.documents
    }

    fn index(&self) -> &impl ReadableMultimapTable<&'static str, &'static str> {
        &self.index
    }
}

impl State<'_> {
    pub(crate) fn put(&mut self, name: &str, document: &impl Serialize) -> anyhow::Result<()> {
        self.documents
            .insert(name, serde_json::to_string(document)?.as_str())?;
        self.changed = true;
        Ok(())
    }

    /// Whether anything is indexed.
    pub(crate) fn is_indexed(&self) -> anyhow::Result<bool> {
        Ok(!self.index.is_empty()?)
    }

    /// Indexes the document `name` under `key`.
    pub(crate) fn index_as(&mut self, key: &str, name: &str) -> anyhow::Result<()> {
        self.index.insert(key, name)?;
        self.changed = true;
        Ok(())
    }

    /// Adds an item to the agenda `list`.
    pub(crate) fn schedule(
        &mut self,
        list: &'static str,
        after: Duration,
        item: &impl Serialize,
    ) -> anyhow::Result<()> {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let at_ms = now_ms().saturating_add(after_ms);
        let (name, item) = (new_id("due"), serde_json::to_string(item)?);
        self.agenda
            .insert((list, at_ms, name.as_str()), item.as_str())?;
        self.changed = true;
        Ok(())
    }

    /// Removes an item from the agenda. Returns whether it was still there.
    pub(crate) fn unschedule<T>(
        &mut self,
        list: &str,
        due: &AgendaItem<T>,
    ) -> anyhow::Result<bool> {
        let removed = self.agenda.remove((list, due.at_ms, due.name.as_str()))?;
        self.changed = true;
        Ok(removed.is_some())
    }

    /// Removes every item from the agenda `list`.
    pub(crate) fn clear_agenda(&mut self, list: &str) -> anyhow::Result<()> {
        self.agenda
            .retain_in((list, 0, "")..=(list, u64::MAX, LAST_CHAR), |_, _| false)?;
        self.changed = true;
        Ok(())
    }

    /// Appends an effect to the ledger.
    pub(crate) fn record(&mut self, mut effect: Value) -> anyhow::Result<()> {
        effect["at"] = Timestamp::now().to_string().into();
        let next = self.ledger.len()?;
        self.ledger.insert(next, effect.to_string().as_str())?;
        if let Some(order_id) = effect["order_id"].as_str() {
            self.ledger_of_order.insert(order_id, next)?;
        }
        self.changed = true;
        Ok(())
    }
}

/// Indexes a ledger that has no index yet.
fn index_ledger(state: &mut State<'_>) -> anyhow::Result<()> {
    state.changed = true;
    if !state.ledger_of_order.is_empty()? {
        return Ok(());
    }
    for entry in state.ledger.iter()? {
        let (number, effect) = entry?;
        let effect: Value = serde_json::from_str(effect.value())?;
        if let Some(order_id) = effect["order_id"].as_str() {
            state.ledger_of_order.insert(order_id, number.value())?;
        }
    }
    Ok(())
}

impl Snapshot {
    /// The items of the agenda `list` that are due by `now`, earliest first, at most `limit`.
    pub(crate) fn due<T: DeserializeOwned>(
        &self,
        list: &str,
        now: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<AgendaItem<T>>> {
        let until_now = (list, 0, "")..(list, now + 1, "");
        let due = self.agenda.range::<(&str, u64, &str)>(until_now)?;
        due.take(limit)
            .map(|entry| {
                let (key, item) = entry?;
                let (_, at_ms, name) = key.value();
                Ok(AgendaItem {
                    at_ms,
                    name: name.to_owned(),
                    item: serde_json::from_str(item.value())?,
                })
            })
            .collect()
    }

    /// The time from `now` until the next item of the agenda `list` is due.
    pub(crate) fn until_due(&self, list: &str, now: u64) -> anyhow::Result<Option<Duration>> {
        let later = (list, now + 1, "")..=(list, u64::MAX, LAST_CHAR);
        let next = self.agenda.range::<(&str, u64, &str)>(later)?.next();
        let at_ms = next.transpose()?.map(|(key, _)| key.value().1);
        Ok(at_ms.map(|at_ms| Duration::from_millis(at_ms - now)))
    }

    /// The number of items on the agenda `list`.
    pub(crate) fn count_scheduled(&self, list: &str) -> anyhow::Result<usize> {
        let all = (list, 0, "")..=(list, u64::MAX, LAST_CHAR);
        Ok(self.agenda.range::<(&str, u64, &str)>(all)?.count())
    }

    /// Every effect, oldest first, or those of one order.
    pub(crate) fn ledger(&self, order_id: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let mut effects = Vec::new();
        if let Some(order_id) = order_id {
            for number in self.ledger_of_order.get(order_id)? {
                if let Some(effect) = self.ledger.get(number?.value())? {
                    effects.push(serde_json::from_str(effect.value())?);
                }
            }
        } else {
            for entry in self.ledger.iter()? {
                effects.push(serde_json::from_str(entry?.1.value())?);
            }
        }
        Ok(effects)
    }
}

/// A new id in Stripe's form: a prefix and letters. Later ids sort later.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::now_v7().simple())
}

/// The current Unix time in milliseconds, as agendas use it.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
