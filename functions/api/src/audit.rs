//! Writes the audit log: who did or attempted what.
//!
//! The guard of each route writes it, not the handlers. So no handler can forget it, and refused
//! calls are logged too.

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
use store::{AuditActor, AuditEntry, AuditOutcome, Counter, Database, Limit, LimitStatus};
use telemetry::{Metrics, TraceId, Unit};
use uuid::Uuid;

use crate::{authorization::Caller, edge::ClientIp, problem::Problem, request::Reason};

/// The least time between two logged refusals that anyone can cause, for each route in each
/// execution environment of the function.
const REFUSAL_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// For how long repeated reads of the same data by the same person add no row: pages poll.
const READ_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// How many refusals of one shopper are logged. Accounts are free, and must not fill the table.
const SHOPPER_REFUSALS: Limit = Limit::new(20, 1);

/// Which calls of a route are logged. "Throttled" is once in [`REFUSAL_INTERVAL`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audited {
    /// Denied calls (401, 403), throttled.
    Denials,
    /// All calls with a valid token, under this action. Denied calls without one, throttled.
    Attempts(&'static str),
    /// Reads of other people's data, under this action. Denied calls, throttled.
    Reads(&'static str),
    /// Refused calls of any kind, under this action, throttled: anyone can make them.
    Refusals(&'static str),
}

/// Admits one row in each [`REFUSAL_INTERVAL`], and counts the suppressed ones.
#[derive(Debug, Default)]
struct RowThrottle(Mutex<RowThrottleState>);

#[derive(Debug, Default)]
struct RowThrottleState {
    last_admitted: Option<Timestamp>,
    suppressed: u64,
}

impl RowThrottle {
    /// The number of rows suppressed since the last admitted one, or `None` to suppress this one.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.last_admitted;
        if last.is_some_and(|last| now < last + REFUSAL_INTERVAL) {
            state.suppressed += 1;
            return None;
        }
        state.last_admitted = Some(now);
        Some(mem::take(&mut state.suppressed))
    }
}

/// Marks a response that contains personal data of someone other than the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersonalDataRead;

impl PersonalDataRead {
    /// For a response that may contain personal data of several people.
    pub(crate) const MARK: Extension<Self> = Extension(Self);

    /// For a response that contains personal data of `owner`. `None` if that is the caller.
    pub(crate) fn unless_own(caller: &Caller, owner: ShopperId) -> Option<Extension<Self>> {
        (caller.id != owner).then_some(Self::MARK)
    }
}

/// The state before and after a change. A handler adds it to its response for the audit log.
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

/// A call before its outcome is known.
pub(crate) struct Attempt {
    actor: Actor,
    /// The first parameter of the path, such as an order's id.
    target: Option<String>,
    reason: Option<String>,
    trace: TraceId,
}

/// Who made the call.
enum Actor {
    User(Caller),
    /// A caller without a valid token, by IP address.
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

/// Under which condition a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowRule {
    Always,
    /// If the shopper has not reached [`SHOPPER_REFUSALS`].
    WithinLimit(Uuid),
    /// Unless an equal row was written in the last [`READ_INTERVAL`].
    UnlessRecent,
    /// Always, with the number of rows suppressed before it.
    AfterSuppressed(u64),
}

impl Audited {
    /// The `action` of the route's rows.
    const fn action(self) -> &'static str {
        match self {
            Self::Denials => "access.denied",
            Self::Attempts(action) | Self::Reads(action) | Self::Refusals(action) => action,
        }
    }
}

/// Writes the audit log's rows of one route.
pub(crate) struct AuditTrail {
    audited: Audited,
    /// The target of calls whose path has no parameter.
    target: String,
    throttle: RowThrottle,
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
            throttle: RowThrottle::default(),
        }
    }

    /// Whether every attempt of a user is logged.
    pub(crate) const fn logs_attempts(&self) -> bool {
        matches!(self.audited, Audited::Attempts(_))
    }

    /// Writes the row of the call, if the route's rule asks for one.
    ///
    /// A row that cannot be written does not fail the call, which has been carried out: a circuit
    /// can be forced while the database is down. The function's log then has the event.
    pub(crate) async fn record(&self, attempt: Attempt, outcome: Outcome, database: &Database) {
        let now = Timestamp::now();
        let Some(rule) = self.row_rule(&attempt.actor, &outcome, now) else {
            return;
        };
        let outcome = match rule {
            RowRule::AfterSuppressed(count) => outcome.with_suppressed_count(count),
            RowRule::WithinLimit(shopper) if !is_within_limit(shopper, database, now).await => {
                return;
            }
            RowRule::Always | RowRule::WithinLimit(_) | RowRule::UnlessRecent => outcome,
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
        let written = match rule {
            RowRule::UnlessRecent => {
                database
                    .audit()
                    .record_unless_recent(&entry, now, READ_INTERVAL)
                    .await
            }
            RowRule::Always | RowRule::WithinLimit(_) | RowRule::AfterSuppressed(_) => {
                database.audit().record(&entry, now).await
            }
        };
        if let Err(error) = written {
            // Without names and reasons: more people can read the logs than the audit log.
            let AuditEntry {
                action,
                target,
                outcome,
                ..
            } = entry;
            tracing::error!(%error, ?outcome, action, target, actor_id = ?actor.id, "audit.failed");
            count_failures(1, now);
        }
    }

    /// The rule for the row of a call. `None` if the call is not logged.
    fn row_rule(&self, actor: &Actor, outcome: &Outcome, now: Timestamp) -> Option<RowRule> {
        let refused = outcome.ended == AuditOutcome::Refused;
        let is_throttled = match (self.audited, actor) {
            (Audited::Attempts(_), Actor::User(_)) if outcome.is_replayed => return None,
            (Audited::Attempts(_), Actor::User(caller)) if refused && !caller.is_staff() => {
                return Some(RowRule::WithinLimit(caller.id.0));
            }
            (Audited::Attempts(_), Actor::User(_)) => return Some(RowRule::Always),
            (Audited::Reads(_), Actor::User(_)) if outcome.reads_personal_data => {
                return Some(RowRule::UnlessRecent);
            }
            (Audited::Refusals(_), _) => refused,
            _ => outcome.is_denied,
        };
        let suppressed = is_throttled.then(|| self.throttle.admit(now)).flatten();
        suppressed.map(RowRule::AfterSuppressed)
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

    /// The outcome with the number of rows suppressed before it.
    fn with_suppressed_count(mut self, suppressed: u64) -> Self {
        if let Some(Value::Object(problem)) = &mut self.after {
            problem.insert("others_since_last".to_owned(), suppressed.into());
        }
        self
    }
}

impl Attempt {
    pub(crate) async fn of(parts: &mut Parts, trace: TraceId) -> Self {
        Self {
            actor: Actor::of(parts),
            target: path_target(parts).await,
            reason: None,
            trace,
        }
    }

    /// Reads the reason from the body, even one that validation will refuse.
    pub(crate) fn read_reason(&mut self, body: &[u8]) {
        self.reason = parse_reason(body);
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

/// Counts rows that could not be written. An alarm is on this metric.
pub(crate) fn count_failures(rows: usize, now: Timestamp) {
    Metrics::of("Service", "api")
        .with("AuditFailures", Unit::Count, telemetry::count(rows))
        .emit(now.as_millisecond());
}

/// Counts a refusal of a shopper, and returns whether it may be logged. A database that cannot
/// count it could not store the row either.
async fn is_within_limit(shopper: Uuid, database: &Database, now: Timestamp) -> bool {
    let refusals = Counter {
        name: format!("audit.refused {shopper}"),
        limit: SHOPPER_REFUSALS,
    };
    let counted = database.attempts().count(&refusals, now).await;
    matches!(counted, Ok(LimitStatus::Within))
}

/// The first parameter of the path.
async fn path_target(parts: &mut Parts) -> Option<String> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, value) = parameters.iter().next()?;
    Some(storable(value))
}

fn parse_reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(storable(body.get("reason")?.as_str()?))
}

/// The text without NUL, which PostgreSQL refuses, cut to the length of a reason.
pub(crate) fn storable(text: &str) -> String {
    text.chars()
        .filter(|char| *char != '\0')
        .take(Reason::MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttled_rows_are_admitted_once_a_minute() {
        let (throttle, start) = (RowThrottle::default(), Timestamp::UNIX_EPOCH);
        let at = |seconds| throttle.admit(start + SignedDuration::from_secs(seconds));
        assert_eq!([0, 1, 59].map(at), [Some(0), None, None]);
        assert_eq!(
            [60, 119, 121, 600].map(at),
            [Some(2), None, Some(1), Some(0)]
        );
    }

    #[test]
    fn a_reason_is_logged_even_if_it_is_not_valid() {
        assert_eq!(parse_reason(br#"{"reason":"x"}"#).as_deref(), Some("x"));
        let with_nul = br#"{"reason":"a\u0000b"}"#;
        assert_eq!(parse_reason(with_nul).as_deref(), Some("ab"));
        let long = format!(r#"{{"reason":"{}"}}"#, "é".repeat(1_000));
        assert_eq!(parse_reason(long.as_bytes()), Some("é".repeat(500)));
        for none in ["", "{", "[]", "{}", r#"{"reason":7}"#] {
            assert_eq!(parse_reason(none.as_bytes()), None, "{none}");
        }
    }
}
