//! Runs a function as a Lambda or, where the environment variable `LISTEN` says so, behind plain HTTP:
//! the same code, in a container of any kind.

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
use telemetry::TracePlace;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

pub use detached::run_to_end;

/// How Lambda says that the function itself has failed; the body says why.
const FUNCTION_ERROR: &str = "X-Amz-Function-Error";

/// How many requests are under way at once, those that wait for the database among them. Further ones are refused at
/// once: a queue would only grow.
const AT_ONCE: usize = 64;

/// How long a request's body may take to arrive.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);

/// In how many seconds to come again.
const COME_AGAIN: &str = "1";

/// How many connections to the database share the requests that are under way.
const CONNECTIONS: usize = 16;

/// Where to listen, such as `0.0.0.0:8080`; nothing in a Lambda.
pub fn address() -> anyhow::Result<Option<SocketAddr>> {
    let Ok(address) = env::var("LISTEN") else {
        return Ok(None);
    };
    let parsed = address.parse();
    parsed
        .map(Some)
        .with_context(|| format!("LISTEN must be an address and a port, not {address:?}"))
}

/// How many connections to the database a program may have: `of_a_lambda` where it is one, which does one thing at a
/// time; else enough for many.
pub fn connections(of_a_lambda: usize) -> anyhow::Result<usize> {
    Ok(address()?.map_or(of_a_lambda, |_| CONNECTIONS))
}

/// Runs a program: on one thread where it is a Lambda, which does one thing at a time; else on as many as there are
/// processors.
pub fn block_on(program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = match address()? {
        Some(_) => runtime::Builder::new_multi_thread(),
        None => runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(program)
}

/// Answers requests until the process is told to end; those under way are answered still, and what is
/// to run to its end has some time for it.
pub async fn serve(address: SocketAddr, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!(address = %listener.local_addr()?, "server.listens");
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { _ = terminate.recv().await })
        .await?;
    detached::wait().await;
    Ok(())
}

/// How many requests may be under way at once.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Semaphore>);

/// A place among the requests under way, until it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

impl Default for Capacity {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Capacity {
    /// A place, unless all are taken. Take it once the whole request is here: unfinished requests take none.
    pub fn permit(&self) -> Option<Permit> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Permit)
    }
}

/// Handles events: as a Lambda those that the runtime brings, else those that are posted.
pub async fn run<E, R, X, F, H>(handler: H) -> anyhow::Result<()>
where
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    X: Into<lambda_runtime::Error> + Display + Send + 'static,
    F: Future<Output = Result<R, X>> + Send + 'static,
    H: Fn(E) -> F + Clone + Send + Sync + 'static,
{
    if let Some(address) = address()? {
        return serve(address, invocations(handler)).await;
    }
    let handler = service_fn(move |event: LambdaEvent<E>| {
        let answer = handler(event.payload);
        let trace = event.context.xray_trace_id;
        async move {
            telemetry::at(trace.as_deref(), answer)
                .await
                .map_err(Into::into)
        }
    });
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// Lambda's own Invoke API, so that the callers of a Lambda can call this, and two health checks.
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
        let trace = request.headers().get(TracePlace::HEADER).cloned();
        let trace = trace.as_ref().and_then(|trace| trace.to_str().ok());
        let event = match timeout(BODY_WITHIN, Bytes::from_request(request, &())).await {
            Ok(Ok(event)) => event,
            Ok(Err(unreadable)) => return unreadable.into_response(),
            Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
        };
        match capacity.permit() {
            Some(_permit) => telemetry::at(trace, invoke(handler, event)).await,
            None => too_many(),
        }
    };
    let alive = || async { StatusCode::NO_CONTENT };
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .route("/healthz", get(alive))
        .route("/readyz", get(alive))
}

/// As Lambda says it of itself.
fn too_many() -> Response {
    let refusal = json!({ "Type": "User", "message": "too many at once" });
    let come_again = [(header::RETRY_AFTER, COME_AGAIN)];
    (StatusCode::SERVICE_UNAVAILABLE, come_again, Json(refusal)).into_response()
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
            let problem = json!({ "Type": "User", "message": format!("no event: {error}") });
            return (StatusCode::BAD_REQUEST, Json(problem)).into_response();
        }
    };
    match handler(event).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            tracing::error!(%error, "function.failed");
            let problem = json!({ "errorType": "Unhandled", "errorMessage": error.to_string() });
            // Lambda says 200 here. Nobody who knows only HTTP shall take a failure for an answer.
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            (status, [(FUNCTION_ERROR, "Unhandled")], Json(problem)).into_response()
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

    /// What a function that halves even numbers answers.
    async fn halved(event: &str) -> (StatusCode, bool, String) {
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
    async fn a_failure_is_no_answer() {
        assert_eq!(halved("8").await, (StatusCode::OK, false, "4".to_owned()));
        let (status, failed, body) = halved("7").await;
        assert_eq!((status, failed), (StatusCode::INTERNAL_SERVER_ERROR, true));
        assert!(body.contains("the number is odd"), "{body}");
    }

    #[tokio::test]
    async fn what_is_no_event_is_the_callers_fault() {
        let (status, failed, _) = halved("eight").await;
        assert_eq!((status, failed), (StatusCode::BAD_REQUEST, false));
    }
}
