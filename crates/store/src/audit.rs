//! The audit log: who did what, or tried to. Rows are only ever added; the database refuses the rest.

use jiff::Timestamp;
use serde_json::Value;
use strum::IntoStaticStr;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::{database::Database, error::StoreError};

const ADD: &str = "insert into audit_log (
        id, at, actor, action, target, reason, outcome, before, after, trace_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// What somebody did, or tried to.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// Who: a user's e-mail address, or the sender of a webhook.
    pub actor: &'a str,
    /// What, such as `circuit.force`.
    pub action: &'a str,
    /// To what, such as an order's id.
    pub target: &'a str,
    /// Why, in their words.
    pub reason: Option<&'a str>,
    /// Whether it was done.
    pub outcome: AuditOutcome,
    /// How the target was before.
    pub before: Option<Value>,
    /// How it was after; why not, if it was refused.
    pub after: Option<Value>,
    /// The trace that leads to the logs.
    pub trace_id: &'a str,
}

/// Whether what an entry tells of was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
}

impl Database {
    /// Adds a row to the audit log.
    pub async fn audit(&self, entry: &AuditEntry<'_>, now: Timestamp) -> Result<(), StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(ADD).await?;
        let outcome: &str = entry.outcome.into();
        client
            .execute(
                &statement,
                &[
                    &Uuid::now_v7(),
                    &now,
                    &entry.actor,
                    &entry.action,
                    &entry.target,
                    &entry.reason,
                    &outcome,
                    &entry.before.as_ref().map(Json),
                    &entry.after.as_ref().map(Json),
                    &entry.trace_id,
                ],
            )
            .await?;
        Ok(())
    }
}
