//! What a call is answered: an object, or an error in Stripe's shape.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{server::Lost, storage::StorageError};

/// An answer, before it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
    /// Whether work began: only then is the answer kept for the idempotency key.
    #[serde(skip)]
    pub executed: bool,
    /// Whether it is told again.
    #[serde(skip)]
    pub replayed: bool,
    /// Whether the connection is dropped instead.
    #[serde(skip)]
    pub lost: bool,
    /// Seconds for `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// An error in Stripe's shape.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: u16,
    error: Map<String, Value>,
    executed: bool,
}

/// Why an operation gave no object.
#[derive(Debug)]
pub enum Failure {
    /// It was refused.
    Refused(Refusal),
    /// The simulator itself is broken.
    Storage(StorageError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Refusal {
    /// An error of a type, before any work.
    pub fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut error = Map::new();
        error.insert("type".to_owned(), json!(kind));
        error.insert("message".to_owned(), json!(message.into()));
        Self {
            status,
            error,
            executed: false,
        }
    }

    /// A parameter that breaks a rule.
    pub fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message).with("param", param)
    }

    /// A parameter that has to be there.
    pub fn missing(param: &str) -> Self {
        Self::invalid(param, format!("Missing required param: {param}.")).code("parameter_missing")
    }

    /// A parameter that is no whole number.
    pub fn not_an_integer(param: &str, text: &str) -> Self {
        Self::invalid(param, format!("Invalid integer: {text}")).code("parameter_invalid_integer")
    }

    /// Something named that is not there.
    pub fn no_such(status: u16, what: &str, param: &str, id: &str) -> Self {
        Self::new(status, "invalid_request_error", format!("No such {what}: '{id}'"))
            .with("param", param)
            .code("resource_missing")
    }

    /// Adds the code.
    pub fn code(self, code: &str) -> Self {
        let slug = code.replace('_', "-");
        self.with("code", code)
            .with("doc_url", format!("https://docs.stripe.com/error-codes/{slug}"))
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.error.insert(name.to_owned(), value.into());
        self
    }

    /// Says that work had begun.
    pub fn executed(mut self) -> Self {
        self.executed = true;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = json!({ "error": refusal.error });
        Self::new(refusal.status, body, refusal.executed)
    }
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: u16, body: Value, executed: bool) -> Self {
        Self {
            status,
            body,
            executed,
            replayed: false,
            lost: false,
            retry_after: None,
        }
    }

    /// Work broke off.
    pub fn broken() -> Self {
        let message = "Sorry! There was an error while talking to one of our backends.";
        Refusal::new(500, "api_error", message).executed().into()
    }

    /// Work did not begin.
    pub fn unavailable() -> Self {
        Refusal::new(503, "api_error", "The API is temporarily unavailable.").into()
    }

    /// Too many calls.
    pub fn rate_limited(retry_after: Option<u64>) -> Self {
        let message = "Request rate limit exceeded.";
        let refusal = Refusal::new(429, "invalid_request_error", message).code("rate_limit");
        Self {
            retry_after,
            ..refusal.into()
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body)).into_response();
        if self.replayed {
            let told_again = HeaderValue::from_static("true");
            response.headers_mut().insert("idempotent-replayed", told_again);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.lost {
            response.extensions_mut().insert(Lost);
        }
        response
    }
}
