//! Turns every error into an HTTP response in problem+json (RFC 9457).

use std::{any::Any, fmt};

use axum::{
    Json,
    extract::{Extension, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use orders::{NotRefundable, PlacementError, catalogue::Fault};
use providers::webhook::WebhookError;
use serde::Serialize;
use serde_json::{Value, json};
use settings::SettingError;
use store::{AcceptError, AdjustError, RecordError, StoreError, UnpaidLimits};
use telemetry::TraceId;
use utoipa::ToSchema;

use crate::audit;

/// An error. Programs decide by `type`; `title` and `detail` are for people.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Problem")]
pub(crate) struct ProblemBody {
    /// A stable URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// A short text for the kind of problem.
    title: &'static str,
    /// The HTTP status code.
    status: u16,
    /// What is wrong with this request, and what to do about it.
    detail: String,
    /// The invalid part of the request: a path in the body, a parameter or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Each fault with its field, if the route reports all faults together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Finds the request in the logs.
    trace_id: String,
}

/// The kinds of problem, each a stable `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemType {
    Forbidden,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    Internal,
    InvalidCsv,
    InvalidCursor,
    InvalidJson,
    InvalidPath,
    LastAdministrator,
    MalformedRequest,
    MethodNotAllowed,
    NotAdministrator,
    DirectAccess,
    NotFound,
    NothingToRestart,
    OrderNotCancellable,
    OrderNotParked,
    OrderNotRefundable,
    OrderTooLarge,
    OrdersUnderWay,
    OutOfStock,
    OwnAccount,
    OwnOrder,
    OwnRefundRequest,
    PayloadTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    RefundApprovalClosed,
    RefundOverDayLimit,
    RefundOverLimit,
    RefundTooLarge,
    RequestTimeout,
    StaffAccount,
    TooManyOrders,
    TooManyTries,
    TooMuchUnpaid,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    Validation,
    WebhookForged,
    WebhookStale,
    WebhookUnreadable,
}

impl ProblemType {
    /// The last segment of its `type`, its status and its title.
    #[expect(clippy::too_many_lines, reason = "a table of all kinds")]
    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Forbidden => (
                "forbidden",
                S::FORBIDDEN,
                "You do not have permission for this",
            ),
            Self::IdempotencyKeyMissing => (
                "idempotency-key-missing",
                S::BAD_REQUEST,
                "The Idempotency-Key header is missing",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::Internal => (
                "internal",
                S::INTERNAL_SERVER_ERROR,
                "An internal error occurred",
            ),
            Self::InvalidCsv => (
                "invalid-csv",
                S::BAD_REQUEST,
                "The file is not a valid table of products",
            ),
            Self::InvalidCursor => ("invalid-cursor", S::BAD_REQUEST, "The cursor is not valid"),
            Self::InvalidJson => ("invalid-json", S::BAD_REQUEST, "The body is not valid JSON"),
            Self::InvalidPath => (
                "invalid-path",
                S::BAD_REQUEST,
                "The path is not in its canonical form",
            ),
            Self::LastAdministrator => (
                "last-administrator",
                S::CONFLICT,
                "The shop must keep an administrator",
            ),
            Self::MalformedRequest => (
                "malformed-request",
                S::BAD_REQUEST,
                "The request is not valid HTTP",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The method is not allowed for this address",
            ),
            Self::NotAdministrator => (
                "not-administrator",
                S::FORBIDDEN,
                "You are no longer an administrator",
            ),
            Self::DirectAccess => (
                "not-by-the-entrance",
                S::FORBIDDEN,
                "The API cannot be called at this address",
            ),
            Self::NotFound => ("not-found", S::NOT_FOUND, "The resource does not exist"),
            Self::OrderNotCancellable => (
                "order-not-cancellable",
                S::CONFLICT,
                "The order can no longer be cancelled",
            ),
            Self::NothingToRestart => (
                "nothing-to-restart",
                S::CONFLICT,
                "There is nothing to restart",
            ),
            Self::OrderNotParked => (
                "order-not-parked",
                S::CONFLICT,
                "The order or refund is not waiting for a provider",
            ),
            Self::OrderNotRefundable => (
                "order-not-refundable",
                S::CONFLICT,
                "The order cannot be refunded",
            ),
            Self::OrderTooLarge => (
                "order-too-large",
                S::UNPROCESSABLE_ENTITY,
                "The order exceeds the limit for one order",
            ),
            Self::OrdersUnderWay => (
                "orders-under-way",
                S::CONFLICT,
                "An order or a refund is still in progress",
            ),
            Self::OutOfStock => ("out-of-stock", S::CONFLICT, "There is not enough stock"),
            Self::OwnAccount => (
                "own-account",
                S::CONFLICT,
                "You cannot change your own account here",
            ),
            Self::OwnOrder => (
                "own-order",
                S::FORBIDDEN,
                "You cannot refund your own order",
            ),
            Self::OwnRefundRequest => (
                "own-refund-request",
                S::FORBIDDEN,
                "You cannot approve a refund that you requested",
            ),
            Self::PayloadTooLarge => (
                "payload-too-large",
                S::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::RefundApprovalClosed => (
                "refund-approval-closed",
                S::CONFLICT,
                "The request for approval is no longer open",
            ),
            Self::RefundOverDayLimit => (
                "refund-over-day-limit",
                S::FORBIDDEN,
                "The refund exceeds your limit for one day",
            ),
            Self::RefundOverLimit => (
                "refund-over-limit",
                S::FORBIDDEN,
                "The refund exceeds your limit for one order",
            ),
            Self::PreconditionFailed => (
                "precondition-failed",
                S::PRECONDITION_FAILED,
                "The resource has changed since you read it",
            ),
            Self::PreconditionRequired => (
                "precondition-required",
                S::PRECONDITION_REQUIRED,
                "If-Match or If-None-Match is required",
            ),
            Self::RefundTooLarge => (
                "refund-too-large",
                S::UNPROCESSABLE_ENTITY,
                "The refund exceeds what is left to refund",
            ),
            Self::RequestTimeout => (
                "request-timeout",
                S::REQUEST_TIMEOUT,
                "The request took too long to arrive",
            ),
            Self::StaffAccount => (
                "staff-account",
                S::CONFLICT,
                "A staff account cannot be erased",
            ),
            Self::TooManyOrders => (
                "too-many-orders",
                S::TOO_MANY_REQUESTS,
                "Too many orders in a short time",
            ),
            Self::TooManyTries => (
                "too-many-tries",
                S::TOO_MANY_REQUESTS,
                "Too many attempts in a short time",
            ),
            Self::TooMuchUnpaid => (
                "too-much-unpaid",
                S::TOO_MANY_REQUESTS,
                "Unpaid orders would exceed the limit",
            ),
            Self::Unauthorized => (
                "unauthorized",
                S::UNAUTHORIZED,
                "Authentication is required",
            ),
            Self::Unavailable => (
                "unavailable",
                S::SERVICE_UNAVAILABLE,
                "A part of the shop does not answer",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body has an unsupported media type",
            ),
            Self::Validation => (
                "validation",
                S::UNPROCESSABLE_ENTITY,
                "A field is not valid",
            ),
            Self::WebhookForged => (
                "webhook-forged",
                S::BAD_REQUEST,
                "The event does not have the provider's signature",
            ),
            Self::WebhookStale => (
                "webhook-stale",
                S::BAD_REQUEST,
                "The event's timestamp is too old or in the future",
            ),
            Self::WebhookUnreadable => (
                "webhook-unreadable",
                S::BAD_REQUEST,
                "The event has an unsupported format",
            ),
        }
    }
}

/// An error for the caller. It stays in the response's extensions until [`render`] writes the body.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: ProblemType,
    detail: String,
    field: Option<String>,
    errors: Vec<Fault>,
    etag: Option<String>,
    retry_after: Option<u16>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            errors: Vec::new(),
            etag: None,
            retry_after: None,
        }
    }

    /// A fault of ours, which the caller of this function has logged.
    pub(crate) fn internal() -> Self {
        let detail = "The error has been logged. Retry the request, with the same Idempotency-Key \
                      if it has one. If it fails again, report the trace_id.";
        Self::new(ProblemType::Internal, detail)
    }

    /// Something that the API depends on does not answer.
    pub(crate) fn unavailable() -> Self {
        let detail = "Retry the request after the seconds in Retry-After, with the same \
                      Idempotency-Key if it has one.";
        Self::new(ProblemType::Unavailable, detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("There is no such {what}."))
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "The access token is missing, invalid or expired.";
        Self::new(ProblemType::Unauthorized, detail)
    }

    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Sets the field, unless the problem has one.
    pub(crate) fn or_at(mut self, field: String) -> Self {
        self.field.get_or_insert(field);
        self
    }

    /// Sends the `ETag` of the current version.
    pub(crate) fn with_etag(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// What the audit log stores. It is cleaned, as detail and field may quote the caller's input.
    pub(crate) fn summary(&self) -> Value {
        let (kind, _, _) = self.kind.parts();
        let field = self.field.as_deref().map(audit::storable);
        json!({ "problem": kind, "detail": audit::storable(&self.detail), "field": field })
    }

    /// Sends `Retry-After`.
    pub(crate) fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.parts().1.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a response that carries a [`Problem`], with the request's trace id.
pub(crate) async fn render(
    Extension(trace): Extension<TraceId>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.render_body(trace),
        None => response,
    }
}

impl Problem {
    /// The response with its headers and its body.
    pub(crate) fn render_body(self, trace: TraceId) -> Response {
        let (slug, status, title) = self.kind.parts();
        let body = ProblemBody {
            kind: format!("https://cauce.example/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            field: self.field,
            errors: self.errors,
            trace_id: trace.to_string(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(etag) = self.etag.and_then(|it| HeaderValue::try_from(it).ok()) {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

/// Logs the panic of a handler and answers 500, so that the process survives it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "CatchPanicLayer passes it by value"
)]
pub(crate) fn respond_to_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(message, "handler.panicked");
    Problem::internal().into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(error = %error, cause, "store.failed");
        match error {
            StoreError::Unavailable { .. } => Self::unavailable().retry_after(2),
            StoreError::Unreadable { .. } => Self::internal(),
        }
    }
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        tracing::error!(%error, "setting.failed");
        Self::unavailable().retry_after(60)
    }
}

impl From<breaker::Error> for Problem {
    fn from(error: breaker::Error) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(error = %error, cause, "circuit.failed");
        match error {
            breaker::Error::InvalidExplanation => {
                Self::new(ProblemType::Validation, "must be at most 1000 bytes").at("reason")
            }
            breaker::Error::Unreadable { .. } => Self::internal(),
            _ => Self::unavailable().retry_after(2),
        }
    }
}

impl From<PlacementError> for Problem {
    fn from(error: PlacementError) -> Self {
        Self::new(ProblemType::Validation, error.to_string()).at(error.field())
    }
}

impl From<Vec<Fault>> for Problem {
    /// `detail` and `field` are those of the first fault; `errors` has all of them.
    fn from(errors: Vec<Fault>) -> Self {
        let first = errors.first().cloned();
        let Fault { field, detail } = first.unwrap_or_else(|| Fault::new("body", "is not valid"));
        let mut problem = Self::new(ProblemType::Validation, detail).at(field);
        problem.errors = errors;
        problem
    }
}

impl From<AdjustError> for Problem {
    fn from(error: AdjustError) -> Self {
        match error {
            AdjustError::KeyReused => Self::key_reused(),
            AdjustError::NotEnough(available) => Self::new(
                ProblemType::OutOfStock,
                format!("Only {available} are in stock. Reduce the stock by that at most."),
            )
            .at("delta"),
            AdjustError::Store(error) => error.into(),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::KeyReused => Self::key_reused(),
            AcceptError::TooManyOrders => {
                let detail = "The order was not placed. Wait a minute, then send it again.";
                Self::new(ProblemType::TooManyOrders, detail).retry_after(60)
            }
            AcceptError::OutOfStock(skus) => {
                let skus: Vec<&str> = skus.iter().map(orders::Sku::as_str).collect();
                Self::new(
                    ProblemType::OutOfStock,
                    format!("There is not enough stock of: {}.", skus.join(", ")),
                )
            }
            AcceptError::TooMuchUnpaid(UnpaidLimits { units, cents }) => Self::new(
                ProblemType::TooMuchUnpaid,
                format!(
                    "Unpaid orders may contain at most {units} articles and cost at most {cents} \
                     cents in total. Order less, or wait until earlier orders are paid."
                ),
            )
            .retry_after(600),
            AcceptError::OrderTooLarge(UnpaidLimits { units, cents }) => {
                let detail = format!(
                    "One order may contain at most {units} articles and cost at most {cents} \
                     cents. Split it, and place each part after the previous one is paid."
                );
                Self::new(ProblemType::OrderTooLarge, detail).at("lines")
            }
            AcceptError::Store(error) => error.into(),
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::NoSuchOrder => Self::not_found("order"),
            RecordError::KeyReused => Self::key_reused(),
            RecordError::NotAllowed(reason) => {
                Self::new(ProblemType::OrderNotCancellable, reason.to_string())
            }
            RecordError::Contended => {
                let detail = "Another request is changing the order. Retry in a second.";
                Self::new(ProblemType::Unavailable, detail).retry_after(1)
            }
            RecordError::Store(error) => error.into(),
        }
    }
}

impl From<NotRefundable> for Problem {
    fn from(reason: NotRefundable) -> Self {
        let (kind, field) = match reason {
            NotRefundable::OtherCurrency(_) | NotRefundable::UnsupportedCurrency(_) => {
                (ProblemType::Validation, Some("currency"))
            }
            NotRefundable::Nothing | NotRefundable::Amount(_) => {
                (ProblemType::Validation, Some("amount_cents"))
            }
            NotRefundable::OverLimit(_) => (ProblemType::RefundOverLimit, Some("amount_cents")),
            NotRefundable::TooMuch(_) => (ProblemType::RefundTooLarge, Some("amount_cents")),
            NotRefundable::NotCaptured(_)
            | NotRefundable::NothingLeft
            | NotRefundable::Disputed(_) => (ProblemType::OrderNotRefundable, None),
        };
        let problem = Self::new(kind, reason.to_string());
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        tracing::warn!(%error, "webhook.refused");
        match error {
            // One text for both: a forger must not learn what is wrong with the signature.
            WebhookError::Missing | WebhookError::Forged => Self::new(
                ProblemType::WebhookForged,
                "The signature is missing or does not match.",
            ),
            WebhookError::Stale => {
                let detail = "Sign the event again, or correct the clock of the sender.";
                Self::new(ProblemType::WebhookStale, detail)
            }
            WebhookError::Unreadable(reason) => {
                Self::new(ProblemType::WebhookUnreadable, reason).at("body")
            }
            WebhookError::NoKeys(_) => Self::new(
                ProblemType::Unavailable,
                "The signature cannot be verified now. Send the event again later.",
            )
            .retry_after(60),
        }
    }
}

impl Problem {
    pub(crate) fn key_reused() -> Self {
        let detail = "Use a new key for a different request.";
        Self::new(ProblemType::IdempotencyKeyReused, detail).at("Idempotency-Key")
    }
}
