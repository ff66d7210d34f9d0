//! Idempotency as the provider has it: for a day, or as long as is set, a repeated key is answered what it was
//! answered first; a key that comes with other parameters, or while it is in use, is refused.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{Form, FromRequest, Request, State as Extract},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answer, params::Params};
use crate::{
    injection::{BreakOff, Problem, REPLAYED},
    serve::Broken,
    storage::{Read, State, Storage},
};

/// The header that a key comes in.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The document that says up to when keys were forgotten before their time.
const FORGOTTEN: &str = "keys_forgotten_up_to";

/// The document that says how long a key is kept, if not as long as at the provider.
const MEMORY: &str = "keys_memory";

/// How long a key is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    kept_ms: i64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            kept_ms: 24 * 60 * 60 * 1000,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    at: Timestamp,
    path: String,
    params: Params,
    answer: Answer,
}

/// The keys of the calls that are under way.
#[derive(Clone, Default)]
pub(super) struct InUse(Arc<Mutex<HashSet<String>>>);

impl InUse {
    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the key back when the call ends, however it ends.
struct Claim {
    key: String,
    in_use: InUse,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_use.keys().remove(&self.key);
    }
}

/// Lets one call with a key through at a time.
pub(super) async fn one_at_a_time(
    Extract(in_use): Extract<InUse>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = key(&request) else {
        return next.run(request).await;
    };
    if !in_use.keys().insert(key.clone()) {
        let message = "There is currently another in-progress request using this idempotency key.";
        let code = Some("idempotency_key_in_use");
        return Answer::error(409, "invalid_request_error", code, message).into_response();
    }
    let _claim = Claim { key, in_use };
    next.run(request).await
}

/// Does `work` once for the request's key, in one transaction with keeping its answer. What is
/// refused before it is begun, as a malformed request is, is not kept.
pub(super) async fn once(
    storage: &Storage,
    request: Request,
    work: impl FnOnce(&mut State<'_>, &Params) -> anyhow::Result<Answer>,
) -> Result<Response, Broken> {
    let path = request.uri().path().to_owned();
    let key = key(&request).map(|key| format!("key/{key}"));
    let break_off = request.extensions().get::<BreakOff>().cloned();
    // A call without parameters comes without a type, too.
    let pairs = if request.headers().contains_key(header::CONTENT_TYPE) {
        Form::<Vec<(String, String)>>::from_request(request, &()).await
    } else {
        Ok(Form(Vec::new()))
    };
    let Ok(Form(pairs)) = pairs else {
        let message = "The body must be form-encoded.";
        return Ok(Answer::error(400, "invalid_request_error", None, message).into_response());
    };
    let params = Params::from(pairs);
    let answered = storage.transact(|state| {
        let Some(key) = key else {
            return Ok((work(state, &params)?, false));
        };
        let now = Timestamp::now();
        let kept: Option<Kept> = state.get(&key)?;
        let forgotten: Option<Timestamp> = state.get(FORGOTTEN)?;
        let memory: Memory = state.get(MEMORY)?.unwrap_or_default();
        let kept_for = SignedDuration::from_millis(memory.kept_ms);
        let is_remembered = |kept: &Kept| {
            now.duration_since(kept.at) < kept_for && forgotten.is_none_or(|up_to| kept.at > up_to)
        };
        if let Some(kept) = kept.filter(is_remembered) {
            return Ok(if kept.path == path && kept.params == params {
                (kept.answer, true)
            } else {
                (reused(), false)
            });
        }
        let answer = match break_off {
            Some(BreakOff(problem)) => Answer::from(problem).executed(),
            None => work(state, &params)?,
        };
        if answer.has_begun {
            let kept = Kept {
                at: now,
                path,
                params,
                answer: answer.clone(),
            };
            state.put(&key, &kept)?;
        }
        Ok((answer, false))
    });
    let (answer, replayed) = answered.await?;
    let mut response = answer.into_response();
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn key(request: &Request) -> Option<String> {
    let key = request.headers().get(IDEMPOTENCY_KEY)?;
    Some(key.to_str().ok()?.to_owned())
}

fn reused() -> Answer {
    let message = "Keys for idempotent requests can only be used with the same parameters they \
                   were first used with.";
    Answer::error(400, "idempotency_error", None, message)
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status.as_u16(),
            body: problem.body,
            has_begun: false,
        }
    }
}

/// Sets how long keys are kept from now on.
pub(super) async fn set_memory(
    Extract(storage): Extract<Arc<Storage>>,
    Json(memory): Json<Memory>,
) -> Result<StatusCode, Broken> {
    let set = storage.transact(|state| state.put(MEMORY, &memory));
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the keys that were first used up to then.
pub(super) fn forget_keys(storage: &Storage, up_to: Timestamp) -> anyhow::Result<()> {
    storage.transact_now(|state| state.put(FORGOTTEN, &up_to))
}
