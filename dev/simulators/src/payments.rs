//! The payment service: payment intents by Stripe's API.

mod cards;
mod intent;
mod params;
mod replay;
mod search;
mod view;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use self::{
    intent::Intent,
    params::Params,
    replay::{InUse, once, one_at_a_time},
};
use crate::{
    faults::{Faults, Injector, inject},
    serve::Broken,
    storage::{State, Storage, new_id},
};

/// How many payments a list shows, and the most that it can be asked for.
const DEFAULT_PAGE: i64 = 10;
const MAX_PAGE: i64 = 100;

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

    /// Whether work was begun: a call that is refused before leaves no trace.
    fn begun(&self) -> bool {
        !matches!(self.status, 400 | 404)
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
        let code = Some("resource_missing");
        let mut answer = Self::error(404, "invalid_request_error", code, &message);
        answer.body["error"]["param"] = "intent".into();
        answer
    }
}

/// The service, keeping its state in `storage` and failing as ordered.
pub fn router(storage: Arc<Storage>, faults: Arc<Faults>) -> Router {
    let injector = Injector {
        faults,
        error: broken,
    };
    Router::new()
        .route("/v1/balance", get(balance))
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(show))
        .route("/v1/payment_intents/{id}/{verb}", post(act))
        .fallback(|| async { unknown_address() })
        .layer(middleware::from_fn_with_state(injector, inject))
        // Outside the faults: a slow call holds its key.
        .layer(middleware::from_fn_with_state(
            InUse::default(),
            one_at_a_time,
        ))
        .layer(middleware::from_fn(authenticate))
        .with_state(storage)
}

/// A fault in the provider's form.
fn broken(status: StatusCode) -> Value {
    let answer = if status == StatusCode::TOO_MANY_REQUESTS {
        let message = "Request rate limit exceeded.";
        Answer::error(429, "invalid_request_error", Some("rate_limit"), message)
    } else {
        let message = "An error occurred on our side.";
        Answer::error(status.as_u16(), "api_error", None, message)
    };
    answer.body
}

async fn authenticate(request: Request, next: Next) -> Response {
    let mut response = if has_key(&request).unwrap_or_default() {
        next.run(request).await
    } else {
        let message = "Invalid API Key provided.";
        Answer::error(401, "invalid_request_error", None, message).into_response()
    };
    if let Ok(id) = new_id("req").parse() {
        response.headers_mut().insert("request-id", id);
    }
    response
}

/// Whether a secret key comes as a bearer token, or as the name in basic authentication.
fn has_key(request: &Request) -> Option<bool> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    if let Some(token) = given.strip_prefix("Bearer ") {
        return Some(token.starts_with("sk_"));
    }
    let pair = BASE64_STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
    Some(pair.starts_with(b"sk_"))
}

async fn balance() -> Json<Value> {
    let none = json!([{ "amount": 0, "currency": "eur" }]);
    Json(json!({ "object": "balance", "livemode": false, "available": none, "pending": none }))
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
        keep(state, &intent, answer)
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
            _ => unknown_address(),
        };
        keep(state, &intent, answer)
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
    let params = Params::from(query);
    if let Err(refusal) = params.only(&["expand", "limit", "starting_after"]) {
        return Ok(refusal);
    }
    let after = params.get("starting_after").map(str::to_owned);
    page(&storage, &params, "list", |intent| {
        after.as_ref().is_none_or(|after| intent.id < *after)
    })
}

async fn search(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Answer, Broken> {
    let params = Params::from(query);
    let known = params.only(&["expand", "limit", "page", "query"]);
    let text = known.and_then(|()| params.required("query"));
    match text.and_then(search::Query::parse) {
        Ok(query) => page(&storage, &params, "search_result", |it| query.finds(it)),
        Err(refusal) => Ok(refusal),
    }
}

/// The first page of the wanted payments, the newest first.
fn page(
    storage: &Storage,
    params: &Params,
    kind: &str,
    wanted: impl Fn(&Intent) -> bool,
) -> Result<Answer, Broken> {
    let limit = match params.number("limit") {
        Ok(limit) => usize::try_from(limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE))?,
        Err(refusal) => return Ok(refusal),
    };
    let mut intents: Vec<Intent> = storage.transact(|state| state.all("intent/"))?;
    intents.retain(wanted);
    let has_more = intents.len() > limit;
    let newest = intents.iter().rev().take(limit);
    let data: Vec<Value> = newest.map(|intent| intent.view(params)).collect();
    let url = "/v1/payment_intents";
    let mut list = json!({ "object": kind, "url": url, "has_more": has_more, "data": data });
    if kind == "search_result" {
        list["next_page"] = Value::Null;
    }
    Ok(Answer::ok(list))
}

fn find(state: &State<'_>, id: &str) -> anyhow::Result<Option<Intent>> {
    state.get(&format!("intent/{id}"))
}

/// Keeps what an answer says of a payment; a refusal before any work says nothing.
fn keep(state: &mut State<'_>, intent: &Intent, answer: Answer) -> anyhow::Result<Answer> {
    if answer.begun() {
        state.put(&format!("intent/{}", intent.id), intent)?;
    }
    Ok(answer)
}

fn unknown_address() -> Answer {
    Answer::error(
        404,
        "invalid_request_error",
        None,
        "Unrecognized request URL.",
    )
}
