//! What a simulator really did, in order: the witness that tests compare the shop's books with.
//! An entry is written in the transaction that has the effect.

use jiff::Timestamp;
use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use crate::storage::{StorageError, Table, Transaction};

const LEDGER: Table = TableDefinition::new("ledger");

/// One effect on the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub effect: Effect,
    /// The payment's or label's id.
    pub id: String,
    /// The order it was for: `metadata[order_id]` or `external_shipment_id`.
    pub order_id: Option<String>,
    /// How much money it moved, held or let go, in minor units.
    pub cents: i64,
    /// Of which currency: three capital letters.
    pub currency: String,
}

/// What can be done to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Money is held on a card.
    Authorized,
    /// Money is taken.
    Captured,
    /// Held money is let go.
    Canceled,
    /// A label is paid for.
    LabelBought,
    /// A label is given back.
    LabelVoided,
}

/// Writes an effect down.
pub fn record(transaction: &Transaction, entry: &Entry) -> Result<(), StorageError> {
    let number = transaction.next("ledger")?;
    transaction.put(LEDGER, &format!("{number:020}"), entry)
}

/// All effects in order, or those for one order.
pub fn read(
    transaction: &Transaction,
    order_id: Option<&str>,
) -> Result<Vec<Entry>, StorageError> {
    transaction.all(LEDGER, |entry: &Entry| {
        order_id.is_none_or(|wanted| entry.order_id.as_deref() == Some(wanted))
    })
}
