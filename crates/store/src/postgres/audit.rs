//! The audit log: who did what, or tried to. The functions' database role can only add rows.

use std::{slice, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AuditLog, database::Query};
use crate::{
    cursor::{self, BadCursor, Page, one_more},
    error::StoreError,
};

/// Takes one array for each column, so that one statement adds any number of rows.
const ADD: &str = "insert into audit_log (
        id, at, actor, actor_id, action, target, reason, outcome, before, after, trace_id)
    select id, $2, actor, actor_id, action, target, reason, outcome, before, after, trace_id
    from unnest($1::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::jsonb[], $10::jsonb[], $11::text[])
        as row (id, actor, actor_id, action, target, reason, outcome, before, after, trace_id)
    where $12::timestamptz is null or not exists (
        select from audit_log as recent
        where recent.actor = row.actor and recent.at > $12
            and recent.actor_id is not distinct from row.actor_id
            and recent.action = row.action and recent.target = row.target)";

const SEARCH: &str =
    "select id, at, actor, actor_id, action, target, reason, outcome, before, after, trace_id
    from audit_log
    where (at, id) < ($1, $2)
        and ($3 is null or actor = $3)
        and ($4 is null or action = $4)
        and ($5 is null or target = $5)
        and ($6 is null or at >= $6)
        and ($7 is null or at < $7)
    order by at desc, id desc
    limit $8";

/// The user or the caller who did something, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditActor {
    /// The user's id; none for a caller without a valid token. Unlike an id, an e-mail address can
    /// become another person's.
    pub id: Option<Uuid>,
    /// The user's e-mail address at that time, or the caller's network address.
    pub name: String,
}

/// A new entry of the audit log: an action, or an attempt at one.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// The user or the caller who acted.
    pub actor: &'a AuditActor,
    /// The action, such as `circuit.force`.
    pub action: &'a str,
    /// The target of the action, such as an order's id.
    pub target: &'a str,
    /// The reason, in the actor's words.
    pub reason: Option<&'a str>,
    /// Whether the action was done or refused.
    pub outcome: AuditOutcome,
    /// The target's state before the action.
    pub before: Option<Value>,
    /// The target's state after the action; the reason of the refusal, if it was refused.
    pub after: Option<Value>,
    /// The trace id of the request, for finding its logs.
    pub trace_id: &'a str,
}

/// Whether an action was done or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuditOutcome {
    /// The action was done.
    Done,
    /// The action was not allowed.
    Refused,
}

/// An entry of the audit log: an action, or an attempt at one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditRow {
    /// The entry's id.
    pub id: Uuid,
    /// The time at which the action ended.
    pub at: Timestamp,
    /// The user's e-mail address at that time, or the caller's network address.
    pub actor: String,
    /// The user's id; none for a caller without a valid token.
    pub actor_id: Option<Uuid>,
    /// The action, such as `circuit.force`.
    pub action: String,
    /// The target of the action, such as an order's id.
    pub target: String,
    /// The reason, in the actor's words.
    pub reason: Option<String>,
    /// Whether the action was done or refused.
    pub outcome: AuditOutcome,
    /// The target's state before the action.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The target's state after the action; the reason of the refusal, if it was refused.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// The trace id of the request, for finding its logs.
    pub trace_id: String,
}

/// The conditions of a search of the audit log. A condition that is not given matches every entry.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    /// The name of the actor.
    pub actor: Option<String>,
    /// The action, such as `circuit.force`.
    pub action: Option<String>,
    /// The target of the action.
    pub target: Option<String>,
    /// The start of the period, inclusive.
    pub from: Option<Timestamp>,
    /// The end of the period, exclusive.
    pub to: Option<Timestamp>,
}

/// The start of a page of the audit log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AuditCursor {
    before: (Timestamp, Uuid),
}

impl AuditCursor {
    /// The newest entry.
    pub const NEWEST: Self = Self {
        before: (Timestamp::MAX, Uuid::max()),
    };
}

impl FromStr for AuditCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        let from: Self = cursor::decode(cursor)?;
        // A forged cursor could hold a time that is too early for PostgreSQL.
        let is_supported = from.before.0 >= Timestamp::UNIX_EPOCH;
        is_supported.then_some(from).ok_or(BadCursor)
    }
}

impl AuditLog<'_> {
    /// Adds an entry to the audit log.
    pub async fn record(self, entry: &AuditEntry<'_>, now: Timestamp) -> Result<(), StoreError> {
        self.add(slice::from_ref(entry), now, None).await
    }

    /// Adds an entry to the audit log, unless there is one of the same actor, action and target
    /// from the last `within`.
    pub async fn record_unless_recent(
        self,
        entry: &AuditEntry<'_>,
        now: Timestamp,
        within: SignedDuration,
    ) -> Result<(), StoreError> {
        self.add(slice::from_ref(entry), now, Some(now - within))
            .await
    }

    /// Adds entries to the audit log, all or none.
    pub async fn record_all(
        self,
        entries: &[AuditEntry<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.add(entries, now, None).await
    }

    async fn add(
        self,
        entries: &[AuditEntry<'_>],
        now: Timestamp,
        unless_since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = entries.iter().map(|_| Uuid::now_v7()).collect();
        let actors: Vec<_> = entries.iter().map(|entry| entry.actor.id).collect();
        let reasons: Vec<_> = entries.iter().map(|entry| entry.reason).collect();
        let before: Vec<_> = entries.iter().map(|entry| &entry.before).collect();
        let after: Vec<_> = entries.iter().map(|entry| &entry.after).collect();
        self.0
            .write(
                ADD,
                &[
                    &ids,
                    &now,
                    &texts(entries, |entry| entry.actor.name.as_str()),
                    &actors,
                    &texts(entries, |entry| entry.action),
                    &texts(entries, |entry| entry.target),
                    &reasons,
                    &texts(entries, |entry| entry.outcome.into()),
                    &before,
                    &after,
                    &texts(entries, |entry| entry.trace_id),
                    &unless_since,
                ],
            )
            .await?;
        Ok(())
    }

    /// Returns the entries that match, the newest first.
    pub async fn search(
        self,
        search: &AuditSearch,
        from: AuditCursor,
        limit: u8,
    ) -> Result<Page<AuditRow>, StoreError> {
        let (at, id) = from.before;
        // Not prepared, so that its plan fits the given conditions.
        let parameters: [(&(dyn ToSql + Sync), Type); 8] = [
            (&at, Type::TIMESTAMPTZ),
            (&id, Type::UUID),
            (&search.actor, Type::TEXT),
            (&search.action, Type::TEXT),
            (&search.target, Type::TEXT),
            (&search.from, Type::TIMESTAMPTZ),
            (&search.to, Type::TIMESTAMPTZ),
            (&one_more(limit), Type::INT8),
        ];
        let rows = self.0.query(Query::Unprepared(SEARCH, &parameters)).await?;
        Page::read(&rows, limit, read, |last| AuditCursor {
            before: (last.at, last.id),
        })
    }
}

/// A text column of the new rows.
fn texts<'a>(entries: &'a [AuditEntry<'_>], of: fn(&'a AuditEntry<'_>) -> &'a str) -> Vec<&'a str> {
    entries.iter().map(of).collect()
}

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        actor_id: row.try_get("actor_id")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        reason: row.try_get("reason")?,
        outcome: row
            .try_get::<_, &str>("outcome")?
            .parse()
            .map_err(|error| StoreError::unreadable("audit_log.outcome", error))?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        trace_id: row.try_get("trace_id")?,
    })
}
