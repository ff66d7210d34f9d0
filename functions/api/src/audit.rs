//! The audit log: whoever changes something, or tries to, leaves a row, whatever came of it. It is
//! wrapped around the routes, so that no handler can forget it, and no refusal escapes it.

pub(crate) mod search;

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Extension,
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::{AuditEntry, AuditOutcome, Database};
use telemetry::TraceId;

use crate::{
    entrance::ComesFrom,
    problem::Problem,
    request::{Caller, Raw, Reason},
};

/// How often at most what anybody can cause is written down, in each environment of the function.
const SELDOM: SignedDuration = SignedDuration::from_mins(1);

/// What a route leaves in the audit log.
#[derive(Debug, Clone)]
pub(crate) enum Audited {
    /// Every attempt of somebody who has signed in, under this name.
    Attempts(&'static str),
    /// Only what was refused, under this name, and seldom: anybody may try.
    Refusals(&'static str, Arc<Seldom>),
}

/// Lets one thing through in a while, and counts what it holds back.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    last: Option<Timestamp>,
    held_back: u64,
}

impl Seldom {
    /// How many were held back since the last one; nothing, if this one is held back, too.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.last.is_some_and(|last| now < last + SELDOM) {
            passed.held_back += 1;
            return None;
        }
        passed.last = Some(now);
        Some(mem::take(&mut passed.held_back))
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

/// Who tries what, read before it is tried.
struct Attempt {
    actor: Actor,
    action: &'static str,
    target: String,
    reason: Option<String>,
    trace: TraceId,
}

/// Who tries it.
enum Actor {
    /// A user.
    User(String),
    /// Somebody at an address.
    Stranger(String),
}

/// What came of it.
struct Outcome {
    ended: AuditOutcome,
    before: Option<Value>,
    after: Option<Value>,
    is_repeated: bool,
}

/// Lets the request through, and writes down what came of it. An action stands even if it cannot be
/// written down: a circuit can be forced while the database is away. The logs have the row then.
pub(crate) async fn attempt(
    State(audited): State<Audited>,
    Extension(database): Extension<Database>,
    Extension(trace): Extension<TraceId>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let bytes = match Raw::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(Raw(bytes)) => bytes,
        Err(problem) => return problem.into_response(),
    };
    let action = audited.action();
    let target = target(&mut parts).await;
    let attempt = Attempt {
        actor: actor(&mut parts).await,
        action,
        target: target.unwrap_or_else(|| action.to_owned()),
        reason: reason(&bytes),
        trace,
    };
    let response = next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await;
    let now = Timestamp::now();
    if let Some(outcome) = audited.worth_a_row(&attempt, Outcome::of(&response), now) {
        attempt.ended(&database, outcome, now).await;
    }
    response
}

impl Audited {
    pub(crate) fn refusals(action: &'static str) -> Self {
        Self::Refusals(action, Arc::default())
    }

    const fn action(&self) -> &'static str {
        match self {
            Self::Attempts(action) | Self::Refusals(action, _) => action,
        }
    }

    /// The outcome as it is to be written down, if it is.
    fn worth_a_row(
        &self,
        attempt: &Attempt,
        mut outcome: Outcome,
        now: Timestamp,
    ) -> Option<Outcome> {
        match self {
            Self::Attempts(_) => {
                let by_a_user = matches!(attempt.actor, Actor::User(_));
                (by_a_user && !outcome.is_repeated).then_some(outcome)
            }
            Self::Refusals(_, seldom) => {
                let refused = outcome.ended == AuditOutcome::Refused;
                let held_back = refused.then(|| seldom.admit(now)).flatten()?;
                if let Some(Value::Object(problem)) = &mut outcome.after {
                    problem.insert("others_since_last".to_owned(), held_back.into());
                }
                Some(outcome)
            }
        }
    }
}

impl Outcome {
    fn of(response: &Response) -> Self {
        let extensions = response.extensions();
        let Changed { before, after } = extensions.get().cloned().unwrap_or_default();
        let problem = extensions.get::<Problem>().map(Problem::summary);
        let ended = if response.status().is_success() {
            AuditOutcome::Done
        } else {
            AuditOutcome::Refused
        };
        Self {
            ended,
            before,
            after: problem.or(after),
            is_repeated: response.headers().contains_key("idempotent-replayed"),
        }
    }
}

impl Attempt {
    async fn ended(self, database: &Database, outcome: Outcome, now: Timestamp) {
        let (Actor::User(actor) | Actor::Stranger(actor)) = &self.actor;
        let entry = AuditEntry {
            actor,
            action: self.action,
            target: &self.target,
            reason: self.reason.as_deref(),
            outcome: outcome.ended,
            before: outcome.before,
            after: outcome.after,
            trace_id: &self.trace.to_string(),
        };
        if let Err(error) = database.audit(&entry, now).await {
            tracing::error!(%error, ?entry, "audit.failed");
        }
    }
}

/// The user, or else from where the request came.
async fn actor(parts: &mut Parts) -> Actor {
    if let Ok(caller) = Caller::from_request_parts(parts, &()).await {
        return Actor::User(caller.name());
    }
    let comes_from = parts.extensions.get::<ComesFrom>();
    let address = comes_from.and_then(|it| it.0);
    Actor::Stranger(address.map_or_else(|| "unknown".to_owned(), |it| it.to_string()))
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
fn kept(text: &str) -> String {
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
        let (seldom, start) = (Seldom::default(), Timestamp::UNIX_EPOCH);
        let at = |seconds| seldom.admit(start + SignedDuration::from_secs(seconds));
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
