//! The audit log: who did what, or tried to. Rows are only ever added; the database refuses the rest.

use std::slice;

use jiff::Timestamp;
use serde_json::Value;
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::{database::Database, error::StoreError};

const ADD: &str = "insert into audit_log (
        id, at, actor, action, target, reason, outcome, before, after, trace_id)
    select id, $2, actor, action, target, reason, outcome, before, after, trace_id
    from unnest($1::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::jsonb[], $9::jsonb[], $10::text[])
        as row (id, actor, action, target, reason, outcome, before, after, trace_id)";

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
        self.audit_all(slice::from_ref(entry), now).await
    }

    /// Adds rows to the audit log, all or none.
    pub async fn audit_all(
        &self,
        entries: &[AuditEntry<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = entries.iter().map(|_| Uuid::now_v7()).collect();
        let reasons: Vec<_> = entries.iter().map(|entry| entry.reason).collect();
        let before: Vec<_> = entries.iter().map(|entry| &entry.before).collect();
        let after: Vec<_> = entries.iter().map(|entry| &entry.after).collect();
        let client = self.client().await?;
        let statement = client.prepare_cached(ADD).await?;
        client
            .execute(
                &statement,
                &[
                    &ids,
                    &now,
                    &texts(entries, |entry| entry.actor),
                    &texts(entries, |entry| entry.action),
                    &texts(entries, |entry| entry.target),
                    &reasons,
                    &texts(entries, |entry| entry.outcome.into()),
                    &before,
                    &after,
                    &texts(entries, |entry| entry.trace_id),
                ],
            )
            .await?;
        Ok(())
    }
}

/// A column of the rows.
fn texts<'a>(entries: &'a [AuditEntry<'_>], of: fn(&'a AuditEntry<'_>) -> &'a str) -> Vec<&'a str> {
    entries.iter().map(of).collect()
}
