//! Stripe's idempotency keys. For a day, or as long as is set, a repeated key gets the first answer
//! again. A key with other parameters, or one that is in use, is refused.

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

use super::{ApiResponse, params::Params};
use crate::{
    injection::{Abort, Problem, REPLAYED},
    serve::SimulatorError,
    storage::{Read, State, Storage},
};

/// The header of the key.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The document with the time up to which keys were forgotten early.
const FORGOTTEN: &str = "keys_forgotten_up_to";

/// The document with the [`KeyRetention`], if it is not the provider's.
const RETENTION: &str = "keys_memory";

/// How long a key is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRetention {
    kept_ms: i64,
}

impl Default for KeyRetention {
    fn default() -> Self {
        Self {
            kept_ms: 24 * 60 * 60 * 1000,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredAnswer {
    at: Timestamp,
    path: String,
    params: Params,
    answer: ApiResponse,
}

/// The keys of the calls in progress.
#[derive(Clone, Default)]
pub(super) struct KeysInUse(Arc<Mutex<HashSet<String>>>);

impl KeysInUse {
    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Releases the key when it is dropped, also if the call is aborted.
struct Claim {
    key: String,
    in_use: KeysInUse,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_use.keys().remove(&self.key);
    }
}

/// Refuses a call while another one with its key is in progress.
pub(super) async fn refuse_key_in_use(
    Extract(in_use): Extract<KeysInUse>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = key(&request) else {
        return next.run(request).await;
    };
    if !in_use.keys().insert(key.clone()) {
        let message = "There is currently another in-progress request using this idempotency key.";
        let code = Some("idempotency_key_in_use");
        return ApiResponse::error(409, "invalid_request_error", code, message).into_response();
    }
    let _claim = Claim { key, in_use };
    next.run(request).await
}

/// Runs `work` once for the request's key, and stores its answer in the same transaction. The
/// answer to a request that is refused before its execution begins, such as a malformed one, is not
/// stored.
pub(super) async fn with_idempotency(
    storage: &Storage,
    request: Request,
    work: impl FnOnce(&mut State<'_>, &Params) -> anyhow::Result<ApiResponse>,
) -> Result<Response, SimulatorError> {
    let path = request.uri().path().to_owned();
    let key = key(&request).map(|key| format!("key/{key}"));
    let abort = request.extensions().get::<Abort>().cloned();
    // A call without parameters has no content type.
    let pairs = if request.headers().contains_key(header::CONTENT_TYPE) {
        Form::<Vec<(String, String)>>::from_request(request, &()).await
    } else {
        Ok(Form(Vec::new()))
    };
    let Ok(Form(pairs)) = pairs else {
        let message = "The body must be form-encoded.";
        return Ok(ApiResponse::error(400, "invalid_request_error", None, message).into_response());
    };
    let params = Params::from(pairs);
    let answered = storage.transact(|state| {
        let Some(key) = key else {
            return Ok((work(state, &params)?, false));
        };
        let now = Timestamp::now();
        let stored: Option<StoredAnswer> = state.get(&key)?;
        let forgotten: Option<Timestamp> = state.get(FORGOTTEN)?;
        let retention: KeyRetention = state.get(RETENTION)?.unwrap_or_default();
        let kept_for = SignedDuration::from_millis(retention.kept_ms);
        let is_valid = |stored: &StoredAnswer| {
            let is_fresh = now.duration_since(stored.at) < kept_for;
            is_fresh && forgotten.is_none_or(|up_to| stored.at > up_to)
        };
        if let Some(stored) = stored.filter(is_valid) {
            return Ok(if stored.path == path && stored.params == params {
                (stored.answer, true)
            } else {
                (key_reuse_error(), false)
            });
        }
        let answer = match abort {
            Some(Abort(problem)) => ApiResponse::from(problem).executed(),
            None => work(state, &params)?,
        };
        if answer.has_begun {
            let stored = StoredAnswer {
                at: now,
                path,
                params,
                answer: answer.clone(),
            };
            state.put(&key, &stored)?;
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

fn key_reuse_error() -> ApiResponse {
    let message = "Keys for idempotent requests can only be used with the same parameters they \
                   were first used with.";
    ApiResponse::error(400, "idempotency_error", None, message)
}

impl From<Problem> for ApiResponse {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status.as_u16(),
            body: problem.body,
            has_begun: false,
        }
    }
}

/// Sets how long keys are kept from now on.
pub(super) async fn set_retention(
    Extract(storage): Extract<Arc<Storage>>,
    Json(retention): Json<KeyRetention>,
) -> Result<StatusCode, SimulatorError> {
    let set = storage.transact(|state| state.put(RETENTION, &retention));
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the keys that were first used up to that time.
pub(super) fn forget_keys(storage: &Storage, up_to: Timestamp) -> anyhow::Result<()> {
    storage.transact_now(|state| state.put(FORGOTTEN, &up_to))
}
