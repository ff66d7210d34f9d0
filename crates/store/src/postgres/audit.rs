//! The audit log: who did what, or tried to. Rows are only ever added; the database refuses the rest.

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
    cursor::{self, BadCursor, Page},
    error::StoreError,
};

/// Rows as one array for each column, so that any number of them is one statement.
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

const FIND: &str =
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

/// Who did something, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditActor {
    /// The user's id; none for a caller without a valid token. E-mail addresses change hands, ids do not.
    pub id: Option<Uuid>,
    /// The user's e-mail address at that time, or the network address that a call came from.
    pub name: String,
}

/// What somebody did, or tried to.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// Who.
    pub actor: &'a AuditActor,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
}

/// What somebody did, or tried to, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditRow {
    /// Its name.
    pub id: Uuid,
    /// When it ended.
    pub at: Timestamp,
    /// The user's e-mail address at that time, or the network address that a call came from.
    pub actor: String,
    /// The user's id; none for a caller without a valid token.
    pub actor_id: Option<Uuid>,
    /// What, such as `circuit.force`.
    pub action: String,
    /// To what, such as an order's id.
    pub target: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// Whether it was done.
    pub outcome: AuditOutcome,
    /// How the target was before.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// How it was after; why not, if it was refused.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// The trace that leads to the logs.
    pub trace_id: String,
}

/// Which rows are wanted: those that are as each of these says.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    /// Who.
    pub actor: Option<String>,
    /// What.
    pub action: Option<String>,
    /// To what.
    pub target: Option<String>,
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment that is too late.
    pub to: Option<Timestamp>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AuditFrom {
    before: (Timestamp, Uuid),
}

impl AuditFrom {
    /// With the newest row.
    pub const NEWEST: Self = Self {
        before: (Timestamp::MAX, Uuid::max()),
    };
}

impl FromStr for AuditFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        let from: Self = cursor::decode(cursor)?;
        // PostgreSQL knows no time as early as the earliest that a cursor could name.
        let is_known = from.before.0 >= Timestamp::UNIX_EPOCH;
        is_known.then_some(from).ok_or(BadCursor)
    }
}

impl AuditLog<'_> {
    /// Adds a row to the audit log.
    pub async fn record(self, entry: &AuditEntry<'_>, now: Timestamp) -> Result<(), StoreError> {
        self.add_to_audit_log(slice::from_ref(entry), now, None)
            .await
    }

    /// Adds a row to the audit log, unless the same actor did the same to the same target within that time.
    pub async fn record_unless_recent(
        self,
        entry: &AuditEntry<'_>,
        now: Timestamp,
        within: SignedDuration,
    ) -> Result<(), StoreError> {
        self.add_to_audit_log(slice::from_ref(entry), now, Some(now - within))
            .await
    }

    /// Adds rows to the audit log, all or none.
    pub async fn record_all(
        self,
        entries: &[AuditEntry<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.add_to_audit_log(entries, now, None).await
    }

    async fn add_to_audit_log(
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

    /// The rows that are wanted, the newest first.
    pub async fn search(
        self,
        search: &AuditSearch,
        from: AuditFrom,
        limit: u8,
    ) -> Result<Page<AuditRow>, StoreError> {
        let (at, id) = from.before;
        // Not prepared, so that it is planned anew for what is asked for.
        let parameters: [(&(dyn ToSql + Sync), Type); 8] = [
            (&at, Type::TIMESTAMPTZ),
            (&id, Type::UUID),
            (&search.actor, Type::TEXT),
            (&search.action, Type::TEXT),
            (&search.target, Type::TEXT),
            (&search.from, Type::TIMESTAMPTZ),
            (&search.to, Type::TIMESTAMPTZ),
            (&(i64::from(limit) + 1), Type::INT8),
        ];
        let rows = self.0.query(Query::Planned(FIND, &parameters)).await?;
        let items: Vec<AuditRow> = rows
            .iter()
            .take(limit.into())
            .map(read)
            .collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| rows.len() > items.len());
        let next_cursor = last.map(|last| {
            cursor::encode(&AuditFrom {
                before: (last.at, last.id),
            })
        });
        Ok(Page { items, next_cursor })
    }
}

/// A column of the rows.
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
