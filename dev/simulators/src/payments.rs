//! The payment service: payment intents by Stripe's API.

mod intent;
mod params;
mod replay;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use self::{intent::Intent, params::Params, replay::once};
use crate::{
    serve::Broken,
    storage::{State, Storage},
};

/// What an API call is answered: a status and a body, kept under the call's idempotency key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Answer {
    status: u16,
    body: Value,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// A refusal in the provider's form.
    fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let error = json!({ "type": kind, "code": code, "message": message });
        Self {
            status,
            body: json!({ "error": error }),
        }
    }

    fn invalid(code: &str, parameter: &str, message: &str) -> Self {
        let mut answer = Self::error(400, "invalid_request_error", Some(code), message);
        answer.body["error"]["param"] = parameter.into();
        answer
    }

    fn missing(id: &str) -> Self {
        let message = format!("No such payment_intent: '{id}'");
        Self::error(
            404,
            "invalid_request_error",
            Some("resource_missing"),
            &message,
        )
    }
}

/// The service, keeping its state in `storage`.
pub fn router(storage: Arc<Storage>) -> Router {
    Router::new()
        .route(
            "/v1/balance",
            get(|| async { Json(json!({ "object": "balance" })) }),
        )
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(show))
        .route("/v1/payment_intents/{id}/{verb}", post(act))
        .layer(middleware::from_fn(authenticate))
        .with_state(storage)
}

async fn authenticate(request: Request, next: Next) -> Response {
    let key = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|key| key.to_str().ok());
    if key.is_some_and(|key| key.starts_with("Bearer sk_") || key.starts_with("Basic ")) {
        return next.run(request).await;
    }
    Answer::error(
        401,
        "invalid_request_error",
        None,
        "Invalid API Key provided.",
    )
    .into_response()
}

async fn create(
    Extract(storage): Extract<Arc<Storage>>,
    request: Request,
) -> Result<Response, Broken> {
    once(&storage, request, |state, params| {
        let mut intent = match Intent::create(params) {
            Ok(intent) => intent,
            Err(refusal) => return Ok(refusal),
        };
        let answer = if params.get("confirm") == Some("true") {
            intent.confirm(state, params)?
        } else {
            Answer::ok(intent.view(params))
        };
        keep(state, &intent)?;
        Ok(answer)
    })
    .await
}

async fn act(
    Extract(storage): Extract<Arc<Storage>>,
    Path((id, verb)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Broken> {
    once(&storage, request, |state, params| {
        let Some(mut intent) = find(state, &id)? else {
            return Ok(Answer::missing(&id));
        };
        let answer = match verb.as_str() {
            "confirm" => intent.confirm(state, params)?,
            "capture" => intent.capture(state, params)?,
            "cancel" => intent.cancel(state, params)?,
            _ => Answer::error(
                404,
                "invalid_request_error",
                None,
                "Unrecognized request URL.",
            ),
        };
        keep(state, &intent)?;
        Ok(answer)
    })
    .await
}

async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Answer, Broken> {
    let intent = storage.transact(|state| find(state, &id))?;
    let params = Params::from(query);
    Ok(intent.map_or_else(
        || Answer::missing(&id),
        |intent| Answer::ok(intent.view(&params)),
    ))
}

async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Answer, Broken> {
    matching(&storage, query, |_| true)
}

/// By one piece of metadata, which is all that this simulator searches by.
async fn search(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Answer, Broken> {
    let text = Params::from(query.clone())
        .get("query")
        .unwrap_or_default()
        .to_owned();
    let condition = text
        .strip_prefix("metadata['")
        .and_then(|rest| rest.strip_suffix('\''))
        .and_then(|rest| rest.split_once("']:'"));
    let Some((name, value)) = condition else {
        return Ok(Answer::invalid(
            "parameter_invalid",
            "query",
            "This query is not understood.",
        ));
    };
    matching(&storage, query, |intent| intent.has_metadata(name, value))
}

fn matching(
    storage: &Storage,
    query: Vec<(String, String)>,
    wanted: impl Fn(&Intent) -> bool,
) -> Result<Answer, Broken> {
    let intents: Vec<Intent> = storage.transact(|state| state.all("intent/"))?;
    let params = Params::from(query);
    let data: Vec<Value> = intents
        .iter()
        .filter(|it| wanted(it))
        .map(|it| it.view(&params))
        .collect();
    Ok(Answer::ok(
        json!({ "object": "list", "has_more": false, "data": data }),
    ))
}

fn find(state: &State<'_>, id: &str) -> anyhow::Result<Option<Intent>> {
    state.get(&format!("intent/{id}"))
}

fn keep(state: &mut State<'_>, intent: &Intent) -> anyhow::Result<()> {
    state.put(&format!("intent/{}", intent.id), intent)
}
