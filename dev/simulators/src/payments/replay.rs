//! Idempotency as the provider has it: a repeated key is answered what it was answered first, and
//! a key that comes with other parameters is refused.

use axum::{
    extract::{Form, FromRequest, Request},
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{Answer, params::Params};
use crate::{
    serve::Broken,
    storage::{State, Storage},
};

#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    params: Params,
    answer: Answer,
}

/// Does `work` once for the request's key, in one transaction with keeping its answer. What is
/// refused before it is begun, as a malformed request is, is not kept.
pub(super) async fn once(
    storage: &Storage,
    request: Request,
    work: impl FnOnce(&mut State<'_>, &Params) -> anyhow::Result<Answer>,
) -> Result<Response, Broken> {
    let path = request.uri().path().to_owned();
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let key = key.map(|key| format!("key/{key}"));
    let Ok(Form(pairs)) = Form::<Vec<(String, String)>>::from_request(request, &()).await else {
        let message = "The body must be form-encoded.";
        return Ok(Answer::error(400, "invalid_request_error", None, message).into_response());
    };
    let params = Params::from(pairs);
    let (answer, replayed) = storage.transact(|state| {
        let Some(key) = key else {
            return Ok((work(state, &params)?, false));
        };
        if let Some(kept) = state.get::<Kept>(&key)? {
            return Ok(if kept.path == path && kept.params == params {
                (kept.answer, true)
            } else {
                (reused(), false)
            });
        }
        let answer = work(state, &params)?;
        if answer.status != 400 {
            state.put(
                &key,
                &Kept {
                    path,
                    params,
                    answer: answer.clone(),
                },
            )?;
        }
        Ok((answer, false))
    })?;
    let mut response = answer.into_response();
    if replayed {
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn reused() -> Answer {
    let message = "Keys for idempotent requests can only be used with the same parameters they \
                   were first used with.";
    Answer::error(400, "idempotency_error", None, message)
}
