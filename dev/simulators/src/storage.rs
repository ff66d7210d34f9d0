//! What a simulator keeps: documents by name, an index of them, and a ledger of effects. Each change
//! is one transaction that is on the disk before it is answered, so that a kill loses nothing.

use std::{fs, path::Path};

use anyhow::Context;
use jiff::Timestamp;
use redb::{
    Database, MultimapTable, MultimapTableDefinition, ReadOnlyMultimapTable, ReadOnlyTable,
    ReadableDatabase, ReadableMultimapTable, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Notify;

const DOCUMENTS: TableDefinition<&str, &str> = TableDefinition::new("documents");
const INDEX: MultimapTableDefinition<&str, &str> = MultimapTableDefinition::new("index");
const LEDGER: TableDefinition<u64, &str> = TableDefinition::new("ledger");
const LEDGER_OF_ORDER: MultimapTableDefinition<&str, u64> =
    MultimapTableDefinition::new("ledger_of_order");

/// A simulator's state on the disk.
pub struct Storage {
    database: Database,
    /// Told of every change.
    changed: Notify,
}

/// The state within one transaction.
pub(crate) struct State<'a> {
    documents: Table<'a, &'static str, &'static str>,
    index: MultimapTable<'a, &'static str, &'static str>,
    ledger: Table<'a, u64, &'static str>,
    ledger_of_order: MultimapTable<'a, &'static str, u64>,
    changed: bool,
}

/// The state as it was at one moment.
pub(crate) struct Snapshot {
    documents: ReadOnlyTable<&'static str, &'static str>,
    index: ReadOnlyMultimapTable<&'static str, &'static str>,
    ledger: ReadOnlyTable<u64, &'static str>,
    ledger_of_order: ReadOnlyMultimapTable<&'static str, u64>,
}

/// What can be looked up, within a transaction and outside of one.
pub(crate) trait Read {
    fn documents(&self) -> &impl ReadableTable<&'static str, &'static str>;
    fn index(&self) -> &impl ReadableMultimapTable<&'static str, &'static str>;

    fn get<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let found = self.documents().get(name)?;
        Ok(found
            .map(|found| serde_json::from_str(found.value()))
            .transpose()?)
    }

    /// The documents whose names begin with `prefix`, the last name first; only those before
    /// `prefix` and `end`, if an end is given.
    fn newest<T: DeserializeOwned>(
        &self,
        prefix: &str,
        end: Option<&str>,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<T>>> {
        // No name holds a character after the last one of Unicode.
        let end = format!("{prefix}{}", end.unwrap_or("\u{10ffff}"));
        let range = self.documents().range(prefix..end.as_str())?;
        Ok(range
            .rev()
            .map(|entry| Ok(serde_json::from_str(entry?.1.value())?)))
    }

    /// The documents that were indexed under `key`, the last name first.
    fn indexed<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Vec<T>> {
        let mut found = Vec::new();
        for name in self.index().get(key)?.rev() {
            found.extend(self.get(name?.value())?);
        }
        Ok(found)
    }
}

impl Storage {
    /// Opens, or begins, the state called `name` in the folder `data`.
    pub fn open(data: &Path, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let path = data.join(format!("{name}.redb"));
        let database =
            Database::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let storage = Self {
            database,
            changed: Notify::new(),
        };
        // Makes the tables, which reading needs, and the ledger's index of a state that had none.
        storage.transact(index_ledger)?;
        Ok(storage)
    }

    /// Runs `change` alone, and keeps what it did if it succeeds.
    pub(crate) fn transact<T>(
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
                changed: false,
            };
            (change(&mut state)?, state.changed)
        };
        if changed {
            transaction.commit()?;
            self.changed.notify_waiters();
        } else {
            transaction.abort()?;
        }
        Ok(result)
    }

    /// The state as it is now. Reading waits for nobody, and nobody waits for it.
    pub(crate) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let transaction = self.database.begin_read()?;
        Ok(Snapshot {
            documents: transaction.open_table(DOCUMENTS)?,
            index: transaction.open_multimap_table(INDEX)?,
            ledger: transaction.open_table(LEDGER)?,
            ledger_of_order: transaction.open_multimap_table(LEDGER_OF_ORDER)?,
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

    /// Has the document `name` found under `key`.
    pub(crate) fn index_as(&mut self, key: &str, name: &str) -> anyhow::Result<()> {
        self.index.insert(key, name)?;
        self.changed = true;
        Ok(())
    }

    /// Writes an effect into the ledger.
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
    /// Every effect, the oldest first; of one order, if asked so.
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

/// A new name for a thing, as Stripe makes them: a prefix and letters. Later names sort later.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::now_v7().simple())
}
