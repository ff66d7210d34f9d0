//! Runs a function as a Lambda, or as an HTTP server if the environment variable `LISTEN` is set:
//! the same code runs in any container.

mod detached;

use std::{env, fmt::Display, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use telemetry::TraceContext;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

pub use detached::run_to_end;

/// The response header of Lambda's Invoke API that marks an error of the function itself. The body
/// describes it.
const FUNCTION_ERROR: &str = "X-Amz-Function-Error";

/// The number of requests in flight at once, including those that wait for a database connection.
/// Further requests are refused: a queue would only grow.
const MAX_IN_FLIGHT: usize = 64;

/// The timeout for receiving a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The `Retry-After` of a refused request, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// The number of database connections that the requests in flight share.
const CONNECTIONS: usize = 16;

/// The address to listen on, such as `0.0.0.0:8080`, from `LISTEN`; `None` in a Lambda.
pub fn listen_address() -> anyhow::Result<Option<SocketAddr>> {
    let Ok(address) = env::var("LISTEN") else {
        return Ok(None);
    };
    let parsed = address.parse();
    parsed
        .map(Some)
        .with_context(|| format!("LISTEN must be an address and a port, not {address:?}"))
}

/// The number of database connections that a program may open: `of_a_lambda` in a Lambda, which
/// processes one event at a time; more in a server.
pub fn max_connections(of_a_lambda: usize) -> anyhow::Result<usize> {
    Ok(listen_address()?.map_or(of_a_lambda, |_| CONNECTIONS))
}

/// Runs a program: on one thread in a Lambda, which processes one event at a time; in a server, on
/// one thread per processor.
pub fn block_on(program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = match listen_address()? {
        Some(_) => runtime::Builder::new_multi_thread(),
        None => runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(program)
}

/// Serves requests until the process receives SIGTERM. Then it completes the requests in flight,
/// and waits a limited time for the work of [`run_to_end`].
pub async fn serve(address: SocketAddr, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!(address = %listener.local_addr()?, "server.listens");
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { _ = terminate.recv().await })
        .await?;
    detached::wait_for_all().await;
    Ok(())
}

/// The limit of requests in flight.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Semaphore>);

/// The right to process one request. Dropping it frees its place.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "it only has to be dropped")] OwnedSemaphorePermit);

impl Default for Capacity {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_IN_FLIGHT)))
    }
}

impl Capacity {
    /// Returns a permit, unless the limit is reached. Acquire it after the whole request has
    /// arrived, so that slow uploads do not use up the capacity.
    pub fn permit(&self) -> Option<Permit> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Permit)
    }
}

/// Runs `handler` for each event: from the runtime in a Lambda, from the body of a request in a
/// server.
pub async fn run<E, R, X, F, H>(handler: H) -> anyhow::Result<()>
where
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    X: Into<lambda_runtime::Error> + Display + Send + 'static,
    F: Future<Output = Result<R, X>> + Send + 'static,
    H: Fn(E) -> F + Clone + Send + Sync + 'static,
{
    if let Some(address) = listen_address()? {
        return serve(address, invocations(handler)).await;
    }
    let handler = service_fn(move |event: LambdaEvent<E>| {
        let handling = handler(event.payload);
        let trace = event.context.xray_trace_id;
        async move {
            telemetry::in_trace(trace.as_deref(), handling)
                .await
                .map_err(Into::into)
        }
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// The routes of Lambda's Invoke API, so that callers of a Lambda can call this server, and two
/// health checks.
fn invocations<E, R, X, F, H>(handler: H) -> Router
where
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    X: Display + Send + 'static,
    F: Future<Output = Result<R, X>> + Send + 'static,
    H: Fn(E) -> F + Clone + Send + Sync + 'static,
{
    let capacity = Capacity::default();
    let invoke = async move |request: Request| {
        let trace = request.headers().get(TraceContext::HEADER).cloned();
        let trace = trace.as_ref().and_then(|trace| trace.to_str().ok());
        let event = match timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
            Ok(Ok(event)) => event,
            Ok(Err(unreadable)) => return unreadable.into_response(),
            Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
        };
        match capacity.permit() {
            Some(_permit) => telemetry::in_trace(trace, invoke(handler, event)).await,
            None => too_many_requests(),
        }
    };
    let healthy = || async { StatusCode::NO_CONTENT };
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .route("/healthz", get(healthy))
        .route("/readyz", get(healthy))
}

/// The response when the capacity is used up, with a body like Lambda's.
fn too_many_requests() -> Response {
    let body = json!({ "Type": "User", "message": "too many requests are in flight" });
    let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after, Json(body)).into_response()
}

async fn invoke<E, R, X, F>(handler: impl Fn(E) -> F, event: Bytes) -> Response
where
    E: DeserializeOwned,
    R: Serialize,
    X: Display,
    F: Future<Output = Result<R, X>>,
{
    let event = match serde_json::from_slice(&event) {
        Ok(event) => event,
        Err(error) => {
            let message = format!("the event cannot be read: {error}");
            let body = json!({ "Type": "User", "message": message });
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    };
    match handler(event).await {
        Ok(result) => Json(result).into_response(),
        Err(error) => {
            tracing::error!(%error, "function.failed");
            let body = json!({ "errorType": "Unhandled", "errorMessage": error.to_string() });
            // Lambda responds with 200. Plain HTTP clients must see that the call has failed.
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            (status, [(FUNCTION_ERROR, "Unhandled")], Json(body)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;

    use super::*;

    /// Invokes a function that halves even numbers. Returns the status, whether the function
    /// failed, and the body.
    async fn invoke_half(event: &str) -> (StatusCode, bool, String) {
        let half = |number: u32| async move {
            number
                .is_multiple_of(2)
                .then_some(number / 2)
                .ok_or("the number is odd")
        };
        let request = Request::post("/2015-03-31/functions/half/invocations")
            .body(Body::from(event.to_owned()))
            .unwrap();
        let response = invocations(half).oneshot(request).await.unwrap();
        let (status, failed) = (
            response.status(),
            response.headers().contains_key(FUNCTION_ERROR),
        );
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        (status, failed, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_error_of_the_function_is_a_server_error() {
        let (status, failed, body) = invoke_half("8").await;
        assert_eq!(
            (status, failed, body.as_str()),
            (StatusCode::OK, false, "4")
        );
        let (status, failed, body) = invoke_half("7").await;
        assert_eq!((status, failed), (StatusCode::INTERNAL_SERVER_ERROR, true));
        assert!(body.contains("the number is odd"), "{body}");
    }

    #[tokio::test]
    async fn an_unreadable_event_is_a_client_error() {
        let (status, failed, _) = invoke_half("eight").await;
        assert_eq!((status, failed), (StatusCode::BAD_REQUEST, false));
    }
}
