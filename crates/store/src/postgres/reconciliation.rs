//! The progress of the reconciliation of the providers' records with ours
//! (`migrations/V15__disputes.sql`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, VariantArray};
use tokio_postgres::types::Json;

use super::Reconciliations;
use crate::error::StoreError;

const FIND: &str = "select compared_to, progress from reconciliations where name = $1";

const SAVE: &str = "insert into reconciliations (name, compared_to, progress) values ($1, $2, $3)
    on conflict (name) do update
        set compared_to = excluded.compared_to, progress = excluded.progress";

/// The provider records that are reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RecordKind {
    /// Payment intents.
    Payments,
    /// Refunds.
    Refunds,
    /// Disputes of payments.
    Disputes,
    /// Shipping labels.
    Labels,
}

/// A pass of the reconciliation: each record is compared in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Pass {
    /// Soon after the records were made.
    Soon,
    /// Once every order from the time of the records must be finished.
    Settled,
}

/// The progress of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// The end of the last window that was compared completely.
    pub compared_to: Timestamp,
    /// The window that is being compared, if there is one.
    pub progress: Option<Progress>,
}

/// A window that is being compared, and the position in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The start of the window, inclusive.
    pub start: Timestamp,
    /// The end of the window, exclusive.
    pub end: Timestamp,
    /// The provider's cursor of the current page; none for the first page.
    pub page: Option<String>,
    /// How many records of the current page are settled.
    pub settled: usize,
    /// How many times in a row the provider has failed at the next record.
    pub failures: u32,
}

impl Progress {
    /// A window in which nothing was compared yet.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start,
            end,
            page: None,
            settled: 0,
            failures: 0,
        }
    }
}

impl Reconciliations<'_> {
    /// Returns the progress of a reconciliation; none if it never began.
    pub async fn find(
        self,
        records: RecordKind,
        pass: Pass,
    ) -> Result<Option<Reconciliation>, StoreError> {
        let row = self.0.read_optional(FIND, &[&name(records, pass)]).await?;
        row.map(|row| {
            Ok(Reconciliation {
                compared_to: row.try_get("compared_to")?,
                progress: row
                    .try_get::<_, Option<Json<Progress>>>("progress")?
                    .map(|Json(progress)| progress),
            })
        })
        .transpose()
    }

    /// Saves the progress of a reconciliation.
    pub async fn save(
        self,
        records: RecordKind,
        pass: Pass,
        state: &Reconciliation,
    ) -> Result<(), StoreError> {
        let progress = state.progress.as_ref().map(Json);
        let name = name(records, pass);
        self.0
            .change(SAVE, &[&name, &state.compared_to, &progress])
            .await?;
        Ok(())
    }
}

/// The key of a reconciliation in the table, such as `payments:soon`.
fn name(records: RecordKind, pass: Pass) -> String {
    format!("{records}:{pass}")
}
