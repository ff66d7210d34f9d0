//! What a fault does to a call, once it strikes.

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
    faults::{Fault, Faults, Incoming},
    storage::Storage,
};

/// How long a call hangs: longer than any caller waits.
const HANG: Duration = Duration::from_mins(1);

/// Says of an answer that it was given before, under the same idempotency key.
pub(crate) const REPLAYED: &str = "idempotent-replayed";

/// The most that a call may send.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A refusal or a fault, in the provider's own form.
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

/// Has the handler answer this and keep it under the call's key, or do half of the work and answer this.
#[derive(Debug, Clone)]
pub(crate) struct BreakOff(pub(crate) Problem);

/// Tells what becomes of a label that is being bought.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LabelFault {
    /// The carrier cannot make it.
    Error,
    /// It takes the carrier this long to make it.
    Processing(Duration),
}

/// Tells a search that it finds nothing younger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchedUpTo(pub(crate) Timestamp);

/// A call as it came in.
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

/// What faults have to know of a provider.
#[derive(Clone, Copy)]
pub(crate) struct Provider {
    /// A fault of its own, as it tells of one.
    pub(crate) error: fn(StatusCode) -> Value,
    /// A refusal that is final, as it tells of one.
    pub(crate) refusal: fn(&Call<'_>) -> Problem,
    /// A refusal of an account that cannot be served, as it tells of one.
    pub(crate) not_served: fn() -> Problem,
    /// The order that a call concerns.
    pub(crate) order_of: fn(&Storage, &Call<'_>) -> anyhow::Result<Option<String>>,
    /// Whether a refusal leaves something of the call behind: the answer under its key, or the half of
    /// its work.
    pub(crate) leaves_traces: fn(&Call<'_>) -> bool,
    /// Whether it would know a call again if it came twice.
    pub(crate) is_repeatable: fn(&Call<'_>) -> bool,
    /// Has it forget the idempotency keys up to then.
    pub(crate) forget_keys: fn(&Storage, Timestamp) -> anyhow::Result<()>,
}

/// The faults of a service.
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
    if !injector.faults.are_ordered() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let fault = injector.fault(&parts, &body);
    let handling = Handling { parts, body, next };
    match fault {
        Some(fault) => injector.suffer(fault, handling).await,
        None => handling.work().await,
    }
}

/// A call that is yet to be handled.
struct Handling {
    parts: Parts,
    body: Bytes,
    next: Next,
}

impl Handling {
    async fn work(self) -> Response {
        let request = Request::from_parts(self.parts, Body::from(self.body));
        self.next.run(request).await
    }

    async fn work_twice(self) -> Response {
        let again = Self {
            parts: self.parts.clone(),
            body: self.body.clone(),
            next: self.next.clone(),
        };
        self.work().await;
        again.work().await
    }

    /// Does the work with something that it should know.
    async fn work_with<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Response {
        self.parts.extensions.insert(extension);
        self.work().await
    }

    /// The same call, as if it had come without its idempotency key.
    fn without_key(&self) -> Self {
        let mut parts = self.parts.clone();
        parts.headers.remove("idempotency-key");
        Self {
            parts,
            body: self.body.clone(),
            next: self.next.clone(),
        }
    }

    /// Answers so, once the call has left its traces.
    async fn break_off(self, problem: Problem, provider: Provider) -> Response {
        if !(provider.leaves_traces)(&self.call()) {
            return problem.into_response();
        }
        self.work_with(BreakOff(problem)).await
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
        let fault = self.faults.strike(&Incoming {
            operation: &operation,
            order_id: order_id.as_deref(),
            is_repeatable: (self.provider.is_repeatable)(&call),
        })?;
        tracing::info!(operation, order_id, ?fault, "fault.struck");
        Some(fault)
    }

    async fn suffer(&self, fault: Fault, handling: Handling) -> Response {
        let hang = |ms: Option<u64>| sleep(ms.map_or(HANG, Duration::from_millis));
        match fault {
            Fault::Error { status, kept } => {
                let problem = self.problem(status);
                if kept {
                    handling.break_off(problem, self.provider).await
                } else {
                    problem.into_response()
                }
            }
            Fault::Refuse => {
                let refusal = (self.provider.refusal)(&handling.call());
                handling.break_off(refusal, self.provider).await
            }
            Fault::NotServed { kept } => {
                let problem = (self.provider.not_served)();
                if kept {
                    handling.break_off(problem, self.provider).await
                } else {
                    problem.into_response()
                }
            }
            Fault::LateEffect { ms } => {
                let late = handling.without_key();
                let answer = handling.break_off(self.problem(500), self.provider).await;
                // A replay is no work that could still be done.
                if !answer.headers().contains_key(REPLAYED) {
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(ms)).await;
                        late.work().await;
                    });
                }
                answer
            }
            Fault::LabelError => handling.work_with(LabelFault::Error).await,
            Fault::LabelProcessing { ms } => {
                let takes = Duration::from_millis(ms);
                handling.work_with(LabelFault::Processing(takes)).await
            }
            Fault::RateLimited { retry_after } => {
                let header = [(header::RETRY_AFTER, HeaderValue::from(retry_after))];
                (header, self.problem(429)).into_response()
            }
            Fault::Slow { ms } | Fault::SlowRecovery { ms, .. } => {
                sleep(Duration::from_millis(ms)).await;
                handling.work().await
            }
            Fault::Hang { ms } => {
                hang(ms).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::HangAfter { ms } => {
                handling.work().await;
                hang(ms).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::ResetBefore => reset(handling.connection()),
            Fault::ResetAfter => {
                let connection = handling.connection();
                handling.work().await;
                reset(connection)
            }
            Fault::LoseAnswer => {
                handling.work().await;
                broken_off()
            }
            Fault::Duplicate => handling.work_twice().await,
            Fault::Truncated => truncated(handling.work().await).await,
            Fault::Malformed => {
                handling.work().await;
                let header = [(header::CONTENT_TYPE, "application/json")];
                (header, "upstream connect error, so no JSON {").into_response()
            }
            Fault::WrongContentType => {
                handling.work().await;
                Html("<html><body><h1>We will be back soon</h1></body></html>").into_response()
            }
            Fault::ForgetKeys { older_than_ms } => match self.forget_keys(ago(older_than_ms)) {
                Ok(()) => handling.work().await,
                Err(error) => crate::serve::Broken::from(error).into_response(),
            },
            Fault::SearchLag { ms } => handling.work_with(SearchedUpTo(ago(ms))).await,
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

/// Has the connection reset before anything of the answer is sent.
fn reset(connection: Option<Connection>) -> Response {
    if let Some(connection) = connection {
        connection.reset();
    }
    broken_off()
}

fn broken_off() -> Response {
    let broken = stream::iter([Err::<Bytes, _>(io::Error::other("broken off"))]);
    Body::from_stream(broken).into_response()
}

/// Half of an answer, which says of itself that it is whole.
async fn truncated(response: Response) -> Response {
    let (_, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return broken_off();
    };
    let half = body.slice(..body.len() / 2);
    ([(header::CONTENT_TYPE, "application/json")], half).into_response()
}
