//! Applies a fault to the call that it strikes.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use futures::stream;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    connection::Connection,
    faults::{Fault, Faults, IncomingCall},
    storage::Storage,
};

/// How long a call hangs: longer than any caller waits.
const HANG: Duration = Duration::from_mins(1);

/// The header of an answer that is replayed from its idempotency key.
pub(crate) const REPLAYED: &str = "idempotent-replayed";

/// The largest request body.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// An error in the provider's form.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// Request extension: the handler answers this problem after processing has begun. Payments store
/// it under the idempotency key, shipping leaves a shipment without a label.
#[derive(Debug, Clone)]
pub(crate) struct Abort(pub(crate) Problem);

/// Request extension: what goes wrong with a label that is bought.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LabelFault {
    /// The carrier fails to create it.
    Error,
    /// It stays `processing` for this long.
    Processing(Duration),
}

/// Request extension: a search finds nothing created later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchLimit(pub(crate) Timestamp);

/// A call as it was received.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl<'a> Call<'a> {
    fn new(parts: &'a Parts, body: &'a [u8]) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            body,
        }
    }
}

/// What fault injection needs from a provider.
#[derive(Clone, Copy)]
pub(crate) struct Provider {
    /// The body of a server error or a rate limit.
    pub(crate) error: fn(StatusCode) -> Value,
    /// A final refusal.
    pub(crate) refusal: fn(&Call<'_>) -> Problem,
    /// An error of the caller's account.
    pub(crate) account_error: fn() -> Problem,
    /// The order that a call concerns.
    pub(crate) order_of: fn(&Storage, &Call<'_>) -> anyhow::Result<Option<String>>,
    /// Whether a call that fails while it is processed leaves something behind: the answer under
    /// its key, or a shipment without a label.
    pub(crate) leaves_traces: fn(&Call<'_>) -> bool,
    /// Whether it would deduplicate the call.
    pub(crate) is_repeatable: fn(&Call<'_>) -> bool,
    /// Forgets the idempotency keys that were first used up to that time.
    pub(crate) forget_keys: fn(&Storage, Timestamp) -> anyhow::Result<()>,
}

/// Injects the faults of a service.
#[derive(Clone)]
pub(crate) struct Injector {
    pub(crate) faults: Arc<Faults>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) provider: Provider,
}

pub(crate) async fn inject(
    State(injector): State<Injector>,
    request: Request,
    next: Next,
) -> Response {
    if !injector.faults.is_active() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let fault = injector.fault(&parts, &body);
    let pending = PendingCall { parts, body, next };
    match fault {
        Some(fault) => injector.apply(fault, pending).await,
        None => pending.process().await,
    }
}

/// A call that is not processed yet.
struct PendingCall {
    parts: Parts,
    body: Bytes,
    next: Next,
}

impl PendingCall {
    async fn process(self) -> Response {
        let request = Request::from_parts(self.parts, Body::from(self.body));
        self.next.run(request).await
    }

    async fn process_twice(self) -> Response {
        let again = Self {
            parts: self.parts.clone(),
            body: self.body.clone(),
            next: self.next.clone(),
        };
        self.process().await;
        again.process().await
    }

    /// Processes the call with a request extension.
    async fn process_with<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Response {
        self.parts.extensions.insert(extension);
        self.process().await
    }

    /// The same call without its idempotency key.
    fn without_key(&self) -> Self {
        let mut parts = self.parts.clone();
        parts.headers.remove("idempotency-key");
        Self {
            parts,
            body: self.body.clone(),
            next: self.next.clone(),
        }
    }

    /// Answers with `problem` after processing has begun, where that leaves traces.
    async fn abort_with(self, problem: Problem, provider: Provider) -> Response {
        if !(provider.leaves_traces)(&self.call()) {
            return problem.into_response();
        }
        self.process_with(Abort(problem)).await
    }

    fn call(&self) -> Call<'_> {
        Call::new(&self.parts, &self.body)
    }

    fn connection(&self) -> Option<Connection> {
        let ConnectInfo(connection) = self.parts.extensions.get::<ConnectInfo<Connection>>()?;
        Some(connection.clone())
    }
}

impl Injector {
    fn fault(&self, parts: &Parts, body: &Bytes) -> Option<Fault> {
        let call = Call::new(parts, body);
        let operation = format!("{} {}", parts.method, parts.uri.path());
        let order_id = (self.provider.order_of)(&self.storage, &call).unwrap_or_else(|error| {
            tracing::error!(?error, "simulator.broken");
            None
        });
        let fault = self.faults.strike(&IncomingCall {
            operation: &operation,
            order_id: order_id.as_deref(),
            is_repeatable: (self.provider.is_repeatable)(&call),
        })?;
        tracing::info!(operation, order_id, ?fault, "fault.struck");
        Some(fault)
    }

    async fn apply(&self, fault: Fault, pending: PendingCall) -> Response {
        let hang = |ms: Option<u64>| sleep(ms.map_or(HANG, Duration::from_millis));
        match fault {
            Fault::Error { status, kept } => {
                let problem = self.problem(status);
                if kept {
                    pending.abort_with(problem, self.provider).await
                } else {
                    problem.into_response()
                }
            }
            Fault::Refuse => {
                let refusal = (self.provider.refusal)(&pending.call());
                pending.abort_with(refusal, self.provider).await
            }
            Fault::AccountError { kept } => {
                let problem = (self.provider.account_error)();
                if kept {
                    pending.abort_with(problem, self.provider).await
                } else {
                    problem.into_response()
                }
            }
            Fault::LateEffect { ms } => {
                let late = pending.without_key();
                let answer = pending.abort_with(self.problem(500), self.provider).await;
                // A replayed call must not be processed later.
                if !answer.headers().contains_key(REPLAYED) {
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(ms)).await;
                        late.process().await;
                    });
                }
                answer
            }
            Fault::LabelError => pending.process_with(LabelFault::Error).await,
            Fault::LabelProcessing { ms } => {
                let delay = Duration::from_millis(ms);
                pending.process_with(LabelFault::Processing(delay)).await
            }
            Fault::RateLimited { retry_after } => {
                let header = [(header::RETRY_AFTER, HeaderValue::from(retry_after))];
                (header, self.problem(429)).into_response()
            }
            Fault::Slow { ms } | Fault::SlowRecovery { ms, .. } => {
                sleep(Duration::from_millis(ms)).await;
                pending.process().await
            }
            Fault::Hang { ms } => {
                hang(ms).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::HangAfter { ms } => {
                pending.process().await;
                hang(ms).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::ResetBefore => reset(pending.connection()),
            Fault::ResetAfter => {
                let connection = pending.connection();
                pending.process().await;
                reset(connection)
            }
            Fault::LoseAnswer => {
                pending.process().await;
                cut_off()
            }
            Fault::Duplicate => pending.process_twice().await,
            Fault::Truncated => truncated(pending.process().await).await,
            Fault::Malformed => {
                pending.process().await;
                let header = [(header::CONTENT_TYPE, "application/json")];
                (header, "upstream connect error, so no JSON {").into_response()
            }
            Fault::WrongContentType => {
                pending.process().await;
                Html("<html><body><h1>We will be back soon</h1></body></html>").into_response()
            }
            Fault::ForgetKeys { older_than_ms } => match self.forget_keys(ago(older_than_ms)) {
                Ok(()) => pending.process().await,
                Err(error) => crate::serve::SimulatorError::from(error).into_response(),
            },
            Fault::SearchLag { ms } => pending.process_with(SearchLimit(ago(ms))).await,
        }
    }

    fn problem(&self, status: u16) -> Problem {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = (self.provider.error)(status);
        Problem { status, body }
    }

    fn forget_keys(&self, up_to: Timestamp) -> anyhow::Result<()> {
        (self.provider.forget_keys)(&self.storage, up_to)
    }
}

fn ago(ms: u64) -> Timestamp {
    Timestamp::now() - Duration::from_millis(ms)
}

/// Resets the connection before any byte of the answer is sent.
fn reset(connection: Option<Connection>) -> Response {
    if let Some(connection) = connection {
        connection.reset();
    }
    cut_off()
}

/// An answer whose body fails, so that the connection is closed.
fn cut_off() -> Response {
    let broken = stream::iter([Err::<Bytes, _>(io::Error::other("cut off by a fault"))]);
    Body::from_stream(broken).into_response()
}

/// Half of the body, as a complete answer.
async fn truncated(response: Response) -> Response {
    let (_, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return cut_off();
    };
    let half = body.slice(..body.len() / 2);
    ([(header::CONTENT_TYPE, "application/json")], half).into_response()
}
