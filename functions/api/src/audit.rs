//! The audit log: whoever changes something, or tries to, leaves a row, whatever came of it. It is
//! wrapped around the routes, so that no handler can forget it, and no refusal escapes it.

use axum::{
    Extension,
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use serde::Serialize;
use serde_json::Value;
use store::{Database, Deed, Verdict};
use telemetry::TraceId;

use crate::{
    problem::Problem,
    request::{Caller, Raw, Reason},
};

/// What a route leaves in the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audited {
    /// Every attempt, under this name.
    Attempts(&'static str),
    /// Only what was refused, under this name.
    Refusals(&'static str),
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
    actor: String,
    action: &'static str,
    target: String,
    reason: Option<String>,
    trace: TraceId,
}

/// What came of it.
struct Outcome {
    verdict: Verdict,
    before: Option<Value>,
    after: Option<Value>,
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
    let (Audited::Attempts(action) | Audited::Refusals(action)) = audited;
    let (mut parts, body) = request.into_parts();
    let bytes = match Raw::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(Raw(bytes)) => bytes,
        Err(problem) => return problem.into_response(),
    };
    let attempt = Attempt {
        actor: actor(&mut parts).await,
        action,
        target: target(&mut parts)
            .await
            .unwrap_or_else(|| action.to_owned()),
        reason: reason(&bytes),
        trace,
    };
    let response = next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await;
    let outcome = Outcome::of(&response);
    let is_repeated = response.headers().contains_key("idempotent-replayed");
    let is_wanted = match audited {
        Audited::Attempts(_) => true,
        Audited::Refusals(_) => outcome.verdict == Verdict::Refused,
    };
    if is_wanted && !is_repeated {
        attempt.ended(&database, outcome).await;
    }
    response
}

impl Outcome {
    fn of(response: &Response) -> Self {
        let extensions = response.extensions();
        let Changed { before, after } = extensions.get().cloned().unwrap_or_default();
        let problem = extensions.get::<Problem>().map(Problem::summary);
        let verdict = if response.status().is_success() {
            Verdict::Done
        } else {
            Verdict::Refused
        };
        Self {
            verdict,
            before,
            after: problem.or(after),
        }
    }
}

impl Attempt {
    async fn ended(self, database: &Database, outcome: Outcome) {
        let deed = Deed {
            actor: &self.actor,
            action: self.action,
            target: &self.target,
            reason: self.reason.as_deref(),
            outcome: outcome.verdict,
            before: outcome.before,
            after: outcome.after,
            trace_id: &self.trace.to_string(),
        };
        if let Err(error) = database.audit(&deed, Timestamp::now()).await {
            tracing::error!(%error, ?deed, "audit.failed");
        }
    }
}

/// The user, or else from where the request came.
async fn actor(parts: &mut Parts) -> String {
    if let Ok(caller) = Caller::from_request_parts(parts, &()).await {
        return caller.name();
    }
    let address = match parts.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    };
    address.unwrap_or_else(|| "unknown".to_owned())
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
