//! What a simulator keeps: documents by name, and a ledger of effects. Each change is one
//! transaction that is on the disk before it is answered, so that a kill loses nothing.

use std::{fs, path::Path};

use anyhow::Context;
use jiff::Timestamp;
use redb::{Database, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

const DOCUMENTS: TableDefinition<&str, &str> = TableDefinition::new("documents");
const LEDGER: TableDefinition<u64, &str> = TableDefinition::new("ledger");

/// A simulator's state on the disk.
pub struct Storage {
    database: Database,
}

/// The state within one transaction.
pub(crate) struct State<'a> {
    documents: Table<'a, &'static str, &'static str>,
    ledger: Table<'a, u64, &'static str>,
    changed: bool,
}

impl Storage {
    /// Opens, or begins, the state called `name` in the folder `data`.
    pub fn open(data: &Path, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let path = data.join(format!("{name}.redb"));
        let database =
            Database::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { database })
    }

    /// Runs `change` alone, and keeps what it did if it succeeds. What only reads costs no write.
    pub(crate) fn transact<T>(
        &self,
        change: impl FnOnce(&mut State<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let transaction = self.database.begin_write()?;
        let (result, changed) = {
            let mut state = State {
                documents: transaction.open_table(DOCUMENTS)?,
                ledger: transaction.open_table(LEDGER)?,
                changed: false,
            };
            (change(&mut state)?, state.changed)
        };
        if changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(result)
    }
}

impl State<'_> {
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let found = self.documents.get(name)?;
        Ok(found
            .map(|found| serde_json::from_str(found.value()))
            .transpose()?)
    }

    pub(crate) fn put(&mut self, name: &str, document: &impl Serialize) -> anyhow::Result<()> {
        self.documents
            .insert(name, serde_json::to_string(document)?.as_str())?;
        self.changed = true;
        Ok(())
    }

    /// All documents whose names begin with `prefix`.
    pub(crate) fn all<T: DeserializeOwned>(&self, prefix: &str) -> anyhow::Result<Vec<T>> {
        let mut found = Vec::new();
        for entry in self.documents.range(prefix..)? {
            let (name, document) = entry?;
            if !name.value().starts_with(prefix) {
                break;
            }
            found.push(serde_json::from_str(document.value())?);
        }
        Ok(found)
    }

    /// Writes an effect into the ledger.
    pub(crate) fn record(&mut self, mut effect: Value) -> anyhow::Result<()> {
        effect["at"] = Timestamp::now().to_string().into();
        let next = self.ledger.len()?;
        self.ledger.insert(next, effect.to_string().as_str())?;
        self.changed = true;
        Ok(())
    }

    pub(crate) fn ledger(&self) -> anyhow::Result<Vec<Value>> {
        let mut entries = Vec::new();
        for entry in self.ledger.iter()? {
            entries.push(serde_json::from_str(entry?.1.value())?);
        }
        Ok(entries)
    }
}

/// A new name for a thing, as Stripe makes them: a prefix and letters. Later names sort later.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::now_v7().simple())
}
