//! Faults to order: what the service does instead of, or besides, its work.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

/// How long a call hangs: longer than any caller waits.
const HANG: Duration = Duration::from_mins(1);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
enum Fault {
    /// Answers with this status, and does nothing. `kept`: under the call's idempotency key too, as
    /// Stripe keeps an error that comes once work has begun.
    Error {
        status: u16,
        #[serde(default)]
        kept: bool,
    },
    /// Answers 429, and does nothing.
    RateLimited { retry_after: u16 },
    /// Never answers, and does nothing.
    Hang,
    /// Does its work and breaks the connection off.
    LoseAnswer,
    /// Does its work after this many milliseconds.
    Slow { ms: u64 },
}

/// A fault, where it strikes and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultOrder {
    #[serde(flatten)]
    fault: Fault,
    /// How many calls it strikes; all of them, if not given.
    next: Option<u32>,
    /// Only calls whose `METHOD /path` contains this.
    operation: Option<String>,
}

/// The fault that is ordered now.
#[derive(Default)]
pub struct Faults(Mutex<Option<FaultOrder>>);

/// The faults of a service, with its own form of an error.
#[derive(Clone)]
pub(crate) struct Injector {
    pub(crate) faults: Arc<Faults>,
    pub(crate) error: fn(StatusCode) -> Value,
}

/// Tells whoever keeps answers to answer with this status and to keep that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakOff(pub(crate) StatusCode);

impl Faults {
    fn set(&self, order: Option<FaultOrder>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = order;
    }

    fn current(&self) -> Option<FaultOrder> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The fault that strikes this call, counted down.
    fn strike(&self, call: &str) -> Option<Fault> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let order = current.as_mut()?;
        if order
            .operation
            .as_ref()
            .is_some_and(|operation| !call.contains(operation.as_str()))
        {
            return None;
        }
        match &mut order.next {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        Some(order.fault)
    }
}

pub(crate) async fn show(State(faults): State<Arc<Faults>>) -> Json<Option<FaultOrder>> {
    Json(faults.current())
}

pub(crate) async fn order(
    State(faults): State<Arc<Faults>>,
    Json(order): Json<FaultOrder>,
) -> StatusCode {
    tracing::info!(?order, "fault.ordered");
    faults.set(Some(order));
    StatusCode::NO_CONTENT
}

pub(crate) async fn clear(State(faults): State<Arc<Faults>>) -> StatusCode {
    faults.set(None);
    StatusCode::NO_CONTENT
}

pub(crate) async fn inject(
    State(injector): State<Injector>,
    mut request: Request,
    next: Next,
) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let fault = injector.faults.strike(&call);
    let error = |status| (status, Json((injector.error)(status))).into_response();
    if let Some(fault) = fault {
        tracing::info!(call, ?fault, "fault.struck");
    }
    match fault {
        None => next.run(request).await,
        Some(Fault::Error { status, kept }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if kept && request.headers().contains_key("idempotency-key") {
                request.extensions_mut().insert(BreakOff(status));
                return next.run(request).await;
            }
            error(status)
        }
        Some(Fault::RateLimited { retry_after }) => {
            let header = [(header::RETRY_AFTER, HeaderValue::from(retry_after))];
            (header, error(StatusCode::TOO_MANY_REQUESTS)).into_response()
        }
        Some(Fault::Hang) => {
            sleep(HANG).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Some(Fault::LoseAnswer) => {
            next.run(request).await;
            let broken = stream::iter([Err::<Bytes, _>(io::Error::other("broken off"))]);
            Body::from_stream(broken).into_response()
        }
        Some(Fault::Slow { ms }) => {
            sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
    }
}
