//! The audit log: who did what, or tried to. The guard of each route writes it, so that no handler can forget it and
//! no refusal escapes it.

pub(crate) mod search;

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use axum::{
    Extension,
    extract::{FromRequestParts, RawPathParams},
    http::{StatusCode, request::Parts},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use orders::ShopperId;
use serde::Serialize;
use serde_json::Value;
use store::{AuditActor, AuditEntry, AuditOutcome, Counted, Counter, Database, Limit};
use telemetry::{Metrics, TraceId, Unit};
use uuid::Uuid;

use crate::{authorization::Caller, edge::ClientIp, problem::Problem, request::Reason};

/// How often refusals that anyone can cause are written down: once in this time for each route, in each environment
/// of the function.
const REFUSALS_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// For how long further reads of the same data by the same person add no row: pages refresh themselves.
const READS_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// How many refusals one shopper can have written down: an account costs nothing, and must not fill the table.
const REFUSALS_OF_A_SHOPPER: Limit = Limit::new(20, 1);

/// What a route leaves in the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audited {
    /// Calls that were denied (401, 403), throttled.
    Denials,
    /// Every attempt of a user under this name; denials of others, throttled.
    Attempts(&'static str),
    /// Every read of other people's data under this name; denials, throttled.
    Reads(&'static str),
    /// Every kind of refusal under this name, throttled: anyone may try.
    Refusals(&'static str),
}

/// Lets one thing through in a while, and counts what it holds back.
#[derive(Debug, Default)]
struct Throttle(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    last: Option<Timestamp>,
    held_back: u64,
}

impl Throttle {
    /// How many were held back since the last one; nothing, if this one is held back, too.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.last.is_some_and(|last| now < last + REFUSALS_EVERY) {
            passed.held_back += 1;
            return None;
        }
        passed.last = Some(now);
        Some(mem::take(&mut passed.held_back))
    }
}

/// A handler adds it to its response when that holds personal data of someone else than the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersonalDataRead;

impl PersonalDataRead {
    /// For a response with personal data of several people, or of none that is known.
    pub(crate) const MARK: Extension<Self> = Extension(Self);

    /// For a response with personal data of `owner`; nothing, if that is the caller.
    pub(crate) fn unless_own(caller: &Caller, owner: ShopperId) -> Option<Extension<Self>> {
        (caller.id != owner).then_some(Self::MARK)
    }
}

/// How something was and is. A handler adds it to its answer, for the audit log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changed {
    before: Option<Value>,
    after: Option<Value>,
}

impl Changed {
    pub(crate) fn new(before: &impl Serialize, after: &impl Serialize) -> Self {
        Self {
            before: serde_json::to_value(before).ok(),
            after: serde_json::to_value(after).ok(),
        }
    }
}

/// A call, as far as it is known before its outcome.
pub(crate) struct Attempt {
    actor: Actor,
    /// What the path names.
    target: Option<String>,
    reason: Option<String>,
    trace: TraceId,
}

/// Who calls.
enum Actor {
    User(Caller),
    /// Someone without a valid token, at this address.
    Stranger(String),
}

/// The outcome of a call.
pub(crate) struct Outcome {
    ended: AuditOutcome,
    is_denied: bool,
    is_replayed: bool,
    reads_personal_data: bool,
    before: Option<Value>,
    after: Option<Value>,
}

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Always,
    /// Unless the shopper had too many written down: [`REFUSALS_OF_A_SHOPPER`].
    WithinLimit(Uuid),
    /// Unless there is one like it of the last [`READS_EVERY`].
    UnlessRecent,
    /// With how many of its kind went unwritten before it.
    After(u64),
}

impl Audited {
    /// What the route's rows are called.
    const fn action(self) -> &'static str {
        match self {
            Self::Denials => "access.denied",
            Self::Attempts(action) | Self::Reads(action) | Self::Refusals(action) => action,
        }
    }
}

/// What one route leaves in the audit log.
pub(crate) struct AuditTrail {
    audited: Audited,
    /// The target of calls whose path names none.
    target: String,
    throttle: Throttle,
}

impl AuditTrail {
    pub(crate) fn of(audited: Audited, route: &str) -> Self {
        let target = match audited {
            Audited::Denials => route,
            Audited::Attempts(action) | Audited::Reads(action) | Audited::Refusals(action) => {
                action
            }
        };
        Self {
            audited,
            target: target.to_owned(),
            throttle: Throttle::default(),
        }
    }

    /// Whether every attempt of a user leaves a row.
    pub(crate) const fn is_of_attempts(&self) -> bool {
        matches!(self.audited, Audited::Attempts(_))
    }

    /// Writes the row that the call leaves, if it leaves one. An action stands even if its row cannot be written: a
    /// circuit can be forced while the database is away. The logs have the row then.
    pub(crate) async fn record(&self, attempt: Attempt, outcome: Outcome, database: &Database) {
        let now = Timestamp::now();
        let Some(row) = self.row(&attempt.actor, &outcome, now) else {
            return;
        };
        let outcome = match row {
            Row::After(unwritten) => outcome.counting(unwritten),
            Row::WithinLimit(shopper) if !is_within_limit(shopper, database, now).await => return,
            Row::Always | Row::WithinLimit(_) | Row::UnlessRecent => outcome,
        };
        let actor = attempt.actor.into_actor();
        let entry = AuditEntry {
            actor: &actor,
            action: self.audited.action(),
            target: attempt.target.as_ref().unwrap_or(&self.target),
            reason: attempt.reason.as_deref(),
            outcome: outcome.ended,
            before: outcome.before,
            after: outcome.after,
            trace_id: &attempt.trace.to_string(),
        };
        let written = match row {
            Row::UnlessRecent => {
                database
                    .audit()
                    .record_unless_recent(&entry, now, READS_EVERY)
                    .await
            }
            Row::Always | Row::WithinLimit(_) | Row::After(_) => {
                database.audit().record(&entry, now).await
            }
        };
        if let Err(error) = written {
            // Without names and reasons: logs are read by more people than the audit log.
            let AuditEntry {
                action,
                target,
                outcome,
                ..
            } = entry;
            tracing::error!(%error, ?outcome, action, target, actor_id = ?actor.id, "audit.failed");
            Metrics::of("Service", "api")
                .with("AuditFailures", Unit::Count, 1.0)
                .emit(now.as_millisecond());
        }
    }

    /// Whether a call leaves a row, and how.
    fn row(&self, actor: &Actor, outcome: &Outcome, now: Timestamp) -> Option<Row> {
        let refused = outcome.ended == AuditOutcome::Refused;
        let is_throttled = match (self.audited, actor) {
            (Audited::Attempts(_), Actor::User(_)) if outcome.is_replayed => return None,
            (Audited::Attempts(_), Actor::User(caller)) if refused && !caller.is_staff() => {
                return Some(Row::WithinLimit(caller.id.0));
            }
            (Audited::Attempts(_), Actor::User(_)) => return Some(Row::Always),
            (Audited::Reads(_), Actor::User(_)) if outcome.reads_personal_data => {
                return Some(Row::UnlessRecent);
            }
            (Audited::Refusals(_), _) => refused,
            _ => outcome.is_denied,
        };
        let unwritten = is_throttled.then(|| self.throttle.admit(now)).flatten();
        unwritten.map(Row::After)
    }
}

impl Outcome {
    pub(crate) fn of(response: &Response) -> Self {
        let extensions = response.extensions();
        let Changed { before, after } = extensions.get().cloned().unwrap_or_default();
        let problem = extensions.get::<Problem>().map(Problem::summary);
        let status = response.status();
        Self {
            ended: if status.is_success() {
                AuditOutcome::Done
            } else {
                AuditOutcome::Refused
            },
            is_denied: matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            is_replayed: response.headers().contains_key("idempotent-replayed"),
            reads_personal_data: extensions.get::<PersonalDataRead>().is_some(),
            before,
            after: problem.or(after),
        }
    }

    /// The outcome, and how many of its kind went unwritten.
    fn counting(mut self, unwritten: u64) -> Self {
        if let Some(Value::Object(problem)) = &mut self.after {
            problem.insert("others_since_last".to_owned(), unwritten.into());
        }
        self
    }
}

impl Attempt {
    pub(crate) async fn of(parts: &mut Parts, trace: TraceId) -> Self {
        Self {
            actor: Actor::of(parts),
            target: target(parts).await,
            reason: None,
            trace,
        }
    }

    /// Keeps the reason that the body gives, even one that is refused.
    pub(crate) fn read_reason(&mut self, body: &[u8]) {
        self.reason = reason(body);
    }
}

impl Actor {
    fn of(parts: &Parts) -> Self {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Self::User(caller.clone());
        }
        let address = parts.extensions.get::<ClientIp>().and_then(|ip| ip.0);
        Self::Stranger(address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string()))
    }

    fn into_actor(self) -> AuditActor {
        match self {
            Self::User(caller) => caller.actor(),
            Self::Stranger(name) => AuditActor { id: None, name },
        }
    }
}

/// Counts one more refusal of a shopper. While it cannot be counted, its row could not be written either.
async fn is_within_limit(shopper: Uuid, database: &Database, now: Timestamp) -> bool {
    let refusals = Counter {
        name: format!("audit.refused {shopper}"),
        limit: REFUSALS_OF_A_SHOPPER,
    };
    let counted = database.attempts().count(&refusals, now).await;
    matches!(counted, Ok(Counted::Within))
}

/// What the path names.
async fn target(parts: &mut Parts) -> Option<String> {
    let names = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, name) = names.iter().next()?;
    Some(kept(name))
}

/// The reason, even one that is refused.
fn reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(kept(body.get("reason")?.as_str()?))
}

/// As much of a text as is kept; the database takes no NUL.
pub(crate) fn kept(text: &str) -> String {
    text.chars()
        .filter(|char| *char != '\0')
        .take(Reason::MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_can_cause_is_written_down_once_a_minute() {
        let (throttle, start) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        let at = |seconds| throttle.admit(start + SignedDuration::from_secs(seconds));
        assert_eq!([0, 1, 59].map(at), [Some(0), None, None]);
        assert_eq!(
            [60, 119, 121, 600].map(at),
            [Some(2), None, Some(1), Some(0)]
        );
    }

    #[test]
    fn a_reason_is_kept_even_if_it_is_refused() {
        assert_eq!(reason(br#"{"reason":"x"}"#).as_deref(), Some("x"));
        assert_eq!(reason(br#"{"reason":"a\u0000b"}"#).as_deref(), Some("ab"));
        let long = format!(r#"{{"reason":"{}"}}"#, "é".repeat(1_000));
        assert_eq!(reason(long.as_bytes()), Some("é".repeat(500)));
        for none in ["", "{", "[]", "{}", r#"{"reason":7}"#] {
            assert_eq!(reason(none.as_bytes()), None, "{none}");
        }
    }
}
