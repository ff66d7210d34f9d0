//! The one place where what went wrong becomes an HTTP answer (RFC 9457).

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

/// What went wrong, for a program by `type` and for a person by `detail`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Problem")]
pub(crate) struct ProblemBody {
    /// Stable, one for each kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time.
    detail: String,
    /// The part of the request at fault: a path in the body, a parameter or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// All that is at fault, each with its field, where all is told at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Names the request in the logs.
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
    /// Its `type`'s last part, its status and its title.
    #[expect(clippy::too_many_lines, reason = "a table of all kinds")]
    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "This is not for you to do"),
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
                "Something went wrong here",
            ),
            Self::InvalidCsv => (
                "invalid-csv",
                S::BAD_REQUEST,
                "The file cannot be read as a table of products",
            ),
            Self::InvalidCursor => ("invalid-cursor", S::BAD_REQUEST, "The cursor is not valid"),
            Self::InvalidJson => ("invalid-json", S::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidPath => (
                "invalid-path",
                S::BAD_REQUEST,
                "The path is not in its canonical form",
            ),
            Self::LastAdministrator => (
                "last-administrator",
                S::CONFLICT,
                "The shop needs an administrator",
            ),
            Self::MalformedRequest => (
                "malformed-request",
                S::BAD_REQUEST,
                "The request is not valid HTTP",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The method is not allowed here",
            ),
            Self::NotAdministrator => (
                "not-administrator",
                S::FORBIDDEN,
                "You are no longer an administrator",
            ),
            Self::DirectAccess => (
                "not-by-the-entrance",
                S::FORBIDDEN,
                "The API is not asked here",
            ),
            Self::NotFound => ("not-found", S::NOT_FOUND, "There is no such thing"),
            Self::OrderNotCancellable => (
                "order-not-cancellable",
                S::CONFLICT,
                "The order can no longer be cancelled",
            ),
            Self::NothingToRestart => (
                "nothing-to-restart",
                S::CONFLICT,
                "There is nothing left to do for it",
            ),
            Self::OrderNotParked => (
                "order-not-parked",
                S::CONFLICT,
                "It does not wait for a provider",
            ),
            Self::OrderNotRefundable => (
                "order-not-refundable",
                S::CONFLICT,
                "There is no money to give back",
            ),
            Self::OrderTooLarge => (
                "order-too-large",
                S::UNPROCESSABLE_ENTITY,
                "The order is larger than one order may be",
            ),
            Self::OrdersUnderWay => (
                "orders-under-way",
                S::CONFLICT,
                "An order or a refund is under way",
            ),
            Self::OutOfStock => ("out-of-stock", S::CONFLICT, "There is not enough stock"),
            Self::OwnAccount => (
                "own-account",
                S::CONFLICT,
                "Nobody changes their own account here",
            ),
            Self::OwnOrder => (
                "own-order",
                S::FORBIDDEN,
                "Your own order is refunded by a colleague",
            ),
            Self::OwnRefundRequest => (
                "own-refund-request",
                S::FORBIDDEN,
                "A second person has to approve the refund",
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
                "The refund is more than what you may refund in a day",
            ),
            Self::RefundOverLimit => (
                "refund-over-limit",
                S::FORBIDDEN,
                "The refund is more than what you may give back of one order",
            ),
            Self::PreconditionFailed => (
                "precondition-failed",
                S::PRECONDITION_FAILED,
                "It is not as it was when you read it",
            ),
            Self::PreconditionRequired => (
                "precondition-required",
                S::PRECONDITION_REQUIRED,
                "Say which version the change is meant for",
            ),
            Self::RefundTooLarge => (
                "refund-too-large",
                S::UNPROCESSABLE_ENTITY,
                "The refund is more than what is left of what was taken",
            ),
            Self::RequestTimeout => (
                "request-timeout",
                S::REQUEST_TIMEOUT,
                "The request took too long to arrive",
            ),
            Self::StaffAccount => (
                "staff-account",
                S::CONFLICT,
                "The account of a member of staff is not erased",
            ),
            Self::TooManyOrders => (
                "too-many-orders",
                S::TOO_MANY_REQUESTS,
                "Too many orders in a short time",
            ),
            Self::TooManyTries => (
                "too-many-tries",
                S::TOO_MANY_REQUESTS,
                "Too many tries in a short time",
            ),
            Self::TooMuchUnpaid => (
                "too-much-unpaid",
                S::TOO_MANY_REQUESTS,
                "Too much is ordered that is not paid yet",
            ),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "Sign in first"),
            Self::Unavailable => (
                "unavailable",
                S::SERVICE_UNAVAILABLE,
                "A part of the shop does not answer",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body is of another type than is read here",
            ),
            Self::Validation => (
                "validation",
                S::UNPROCESSABLE_ENTITY,
                "A field has a value that is not allowed",
            ),
            Self::WebhookForged => (
                "webhook-forged",
                S::BAD_REQUEST,
                "The event is not signed by the provider",
            ),
            Self::WebhookStale => (
                "webhook-stale",
                S::BAD_REQUEST,
                "The event was signed too long ago, or in the future",
            ),
            Self::WebhookUnreadable => (
                "webhook-unreadable",
                S::BAD_REQUEST,
                "The event is not in a form that is known here",
            ),
        }
    }
}

/// What went wrong. Travels in the response's extensions until [`render`] writes the body.
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

    /// At `field`, unless it names one already.
    pub(crate) fn or_at(mut self, field: String) -> Self {
        self.field.get_or_insert(field);
        self
    }

    /// The `ETag` of what is there.
    pub(crate) fn tagged(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// What the audit log keeps of it. Detail and field may quote what the caller sent.
    pub(crate) fn summary(&self) -> Value {
        let (kind, _, _) = self.kind.parts();
        let field = self.field.as_deref().map(audit::kept);
        json!({ "problem": kind, "detail": audit::kept(&self.detail), "field": field })
    }

    /// In how many seconds to try again.
    pub(crate) fn after(mut self, seconds: u16) -> Self {
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

/// Writes the body of a problem, with the trace that leads to the logs.
pub(crate) async fn render(
    Extension(trace): Extension<TraceId>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.rendered(trace),
        None => response,
    }
}

impl Problem {
    /// The response with its body.
    pub(crate) fn rendered(self, trace: TraceId) -> Response {
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

/// The response of a handler that has panicked: a fault of ours, which must not take the program with it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that a panic's responder has"
)]
pub(crate) fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(message, "handler.panicked");
    Problem::new(ProblemType::Internal, "It has been logged.").into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(error = %error, cause, "store.failed");
        match error {
            StoreError::Unavailable { .. } => {
                Self::new(ProblemType::Unavailable, "Please try again in a moment.").after(2)
            }
            StoreError::Unreadable { .. } => {
                Self::new(ProblemType::Internal, "It has been logged.")
            }
        }
    }
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        tracing::error!(%error, "setting.failed");
        Self::new(ProblemType::Unavailable, "Please try again in a moment.").after(60)
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
            breaker::Error::Unreadable { .. } => {
                Self::new(ProblemType::Internal, "It has been logged.")
            }
            _ => Self::new(ProblemType::Unavailable, "Please try again in a moment.").after(2),
        }
    }
}

impl From<PlacementError> for Problem {
    fn from(error: PlacementError) -> Self {
        Self::new(ProblemType::Validation, error.to_string()).at(error.field())
    }
}

impl From<Vec<Fault>> for Problem {
    /// The first is told as the only one would be.
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
            AdjustError::NotEnough(there_are) => Self::new(
                ProblemType::OutOfStock,
                format!("There are only {there_are}."),
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
                Self::new(ProblemType::TooManyOrders, "Please wait a minute.").after(60)
            }
            AcceptError::OutOfStock(skus) => {
                let skus: Vec<&str> = skus.iter().map(orders::Sku::as_str).collect();
                Self::new(
                    ProblemType::OutOfStock,
                    format!("Not enough of: {}.", skus.join(", ")),
                )
            }
            AcceptError::TooMuchUnpaid(UnpaidLimits { units, cents }) => Self::new(
                ProblemType::TooMuchUnpaid,
                format!(
                    "Orders that are not paid yet may hold {units} articles and {cents} cents in all. \
                     Order less, or wait until the others are paid."
                ),
            )
            .after(600),
            AcceptError::OrderTooLarge(UnpaidLimits { units, cents }) => {
                let detail = format!(
                    "One order may hold {units} articles and cost {cents} cents. Divide it, and \
                     place each part when the one before is paid."
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
                Self::new(ProblemType::Unavailable, "The order is being changed.").after(1)
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
            NotRefundable::NotTaken(_)
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
            // A forger must not learn how close the signature was.
            WebhookError::Missing | WebhookError::Forged => Self::new(
                ProblemType::WebhookForged,
                "The signature is missing or does not fit.",
            ),
            WebhookError::Stale => {
                Self::new(ProblemType::WebhookStale, "Sign it anew, or set the clock.")
            }
            WebhookError::Unreadable(reason) => {
                Self::new(ProblemType::WebhookUnreadable, reason).at("body")
            }
            WebhookError::NoKeys(_) => Self::new(
                ProblemType::Unavailable,
                "The signature cannot be checked now.",
            )
            .after(60),
        }
    }
}

impl Problem {
    pub(crate) fn key_reused() -> Self {
        let detail = "Use a new key for a new request.";
        Self::new(ProblemType::IdempotencyKeyReused, detail).at("Idempotency-Key")
    }
}
