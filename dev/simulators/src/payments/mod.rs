//! Payments by Stripe's API: PaymentIntents with idempotency keys, test cards, and holds that lapse.

mod answer;
mod cards;
mod idempotency;
mod intents;
mod operations;
mod params;
mod render;
mod search;

use axum::{
    Router,
    body::Bytes,
    extract::{FromRequest, Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    faults::{Fault, Mode},
    server::{self, Desk},
};
use answer::{Answer, Failure, Refusal};
use idempotency::{Claim, InFlight, MAX_KEY_CHARS, Purpose};
use operations::Work;
use params::Params;

/// How the payments simulator differs from another.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Rules {
    /// How long a card is held, in seconds
    #[arg(long, default_value_t = 7 * 24 * 3600)]
    pub hold_seconds: i64,
    /// How long search does not see a new payment, in milliseconds (up to a minute at Stripe)
    #[arg(long, default_value_t = 0)]
    pub search_lag_ms: i64,
}

#[derive(Clone)]
struct Payments {
    desk: Desk,
    rules: Rules,
    in_flight: InFlight,
}

/// The routes of the payments simulator.
pub fn routes(desk: Desk, rules: Rules) -> Router {
    let payments = Payments {
        desk: desk.clone(),
        rules,
        in_flight: InFlight::default(),
    };
    Router::new()
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(retrieve))
        .route("/v1/payment_intents/{id}/confirm", post(confirm))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/balance", get(balance))
        .fallback(unknown)
        .with_state(payments)
        .merge(server::control(desk))
}

async fn create(State(payments): State<Payments>, call: Call) -> Response {
    payments.answer("create", call, Work::create).await
}

async fn list(State(payments): State<Payments>, call: Call) -> Response {
    payments.answer("list", call, Work::list).await
}

async fn search(State(payments): State<Payments>, call: Call) -> Response {
    payments.answer("search", call, Work::search).await
}

async fn retrieve(State(payments): State<Payments>, Path(id): Path<String>, call: Call) -> Response {
    payments.answer("retrieve", call, |work| work.retrieve(&id)).await
}

async fn confirm(State(payments): State<Payments>, Path(id): Path<String>, call: Call) -> Response {
    payments.answer("confirm", call, |work| work.confirm(&id)).await
}

async fn capture(State(payments): State<Payments>, Path(id): Path<String>, call: Call) -> Response {
    payments.answer("capture", call, |work| work.capture(&id)).await
}

async fn cancel(State(payments): State<Payments>, Path(id): Path<String>, call: Call) -> Response {
    payments.answer("cancel", call, |work| work.cancel(&id)).await
}

async fn balance(State(payments): State<Payments>, call: Call) -> Response {
    payments.answer("balance", call, Work::balance).await
}

async fn unknown(method: Method, uri: axum::http::Uri) -> Response {
    let message = format!("Unrecognized request URL ({method}: {}).", uri.path());
    Answer::from(Refusal::new(404, "invalid_request_error", message)).into_response()
}

/// A request, as far as every operation has it.
struct Call {
    path: String,
    params: Params,
    headers: HeaderMap,
    /// Only a POST has one that counts.
    key: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let is_post = request.method() == Method::POST;
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let key = headers
            .get("idempotency-key")
            .and_then(|key| key.to_str().ok())
            .filter(|key| is_post && !key.is_empty())
            .map(str::to_owned);
        Ok(Self {
            path,
            params: Params::parse(query.as_bytes(), &body),
            headers,
            key,
        })
    }
}

impl Payments {
    async fn answer(
        &self,
        operation: &'static str,
        call: Call,
        work: impl FnOnce(&Work<'_>) -> Result<Value, Failure>,
    ) -> Response {
        let answer = self
            .attempt(operation, &call, work)
            .await
            .unwrap_or_else(Answer::from);
        let (status, replayed, lost) = (answer.status, answer.replayed, answer.lost);
        tracing::info!(event = "payments.answered", operation, status, replayed, lost);
        let mut response = answer.into_response();
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&intents::Intent::name("req")) {
            headers.insert("request-id", id);
        }
        for name in ["idempotency-key", "stripe-version"] {
            if let Some(value) = call.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
        response
    }

    /// The order matters: a key in use is told before any fault, a fault before any work.
    async fn attempt(
        &self,
        operation: &str,
        call: &Call,
        work: impl FnOnce(&Work<'_>) -> Result<Value, Failure>,
    ) -> Result<Answer, Refusal> {
        authenticate(&call.headers)?;
        let _claim = self.claim(call.key.as_deref())?;
        let fault = self.desk.faults.suffer(operation);
        let mode = fault.as_ref().map(|fault| fault.mode).unwrap_or_default();
        if let Some(answer) = suffer(fault).await {
            return Ok(answer);
        }
        let mut answer = self.execute(call, mode == Mode::Error500, work);
        answer.lost = mode == Mode::LoseAnswer;
        Ok(answer)
    }

    fn claim(&self, key: Option<&str>) -> Result<Option<Claim>, Refusal> {
        let Some(key) = key else {
            return Ok(None);
        };
        if key.chars().count() > MAX_KEY_CHARS {
            let message = format!("Idempotency keys are at most {MAX_KEY_CHARS} characters long.");
            return Err(Refusal::new(400, "invalid_request_error", message));
        }
        self.in_flight.claim(key).map(Some)
    }

    fn execute(
        &self,
        call: &Call,
        breaks: bool,
        work: impl FnOnce(&Work<'_>) -> Result<Value, Failure>,
    ) -> Answer {
        let now = Timestamp::now();
        let params = call.params.canonical();
        let purpose = call.key.as_deref().map(|key| Purpose {
            key,
            endpoint: &call.path,
            params: &params,
        });
        let result = self.desk.store.transact(|transaction| {
            if let Some(purpose) = purpose
                && let Some(first) = purpose.recall(transaction, now)?
            {
                return Ok(first);
            }
            let at_work = Work {
                transaction,
                params: &call.params,
                rules: self.rules,
                now,
            };
            let outcome = if breaks { Ok(Answer::broken()) } else { done(work(&at_work)) };
            let answer = outcome?;
            if let Some(purpose) = purpose.filter(|_| answer.executed) {
                purpose.remember(transaction, &answer, now)?;
            }
            Ok(answer)
        });
        result.unwrap_or_else(|error| {
            tracing::error!(event = "storage.failed", %error);
            Answer::broken()
        })
    }
}

fn done(outcome: Result<Value, Failure>) -> Result<Answer, crate::storage::StorageError> {
    match outcome {
        Ok(body) => Ok(Answer::new(200, body, true)),
        Err(Failure::Refused(refusal)) => Ok(refusal.into()),
        Err(Failure::Storage(error)) => Err(error),
    }
}

/// What a fault does before any work: delays it, or answers in its place.
async fn suffer(fault: Option<Fault>) -> Option<Answer> {
    let fault = fault?;
    match fault.mode {
        Mode::Hang => std::future::pending().await,
        Mode::RateLimited => Some(Answer::rate_limited(fault.retry_after)),
        Mode::Error503 => Some(Answer::unavailable()),
        Mode::Slow => {
            tokio::time::sleep(fault.delay()).await;
            None
        }
        Mode::None | Mode::Error500 | Mode::LoseAnswer => None,
    }
}

/// A secret test key, as a bearer token or as the name of basic authentication.
fn authenticate(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = given.and_then(|given| {
        if let Some(token) = given.strip_prefix("Bearer ") {
            return Some(token.to_owned());
        }
        let decoded = BASE64_STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        Some(pair.split(':').next()?.to_owned())
    });
    let message = match key {
        Some(key) if key.len() > "sk_test_".len() && key.starts_with("sk_test_") => return Ok(()),
        Some(_) => "Invalid API Key provided.",
        None => "You did not provide an API key.",
    };
    Err(Refusal::new(401, "invalid_request_error", message))
}
