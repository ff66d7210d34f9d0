//! The runtime API of one environment: the function requests an event and posts the answer.

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::{Invocation, PendingEvent, Tally};

/// The timeout that the environment is given for an event. It is not enforced.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The runtime API of one environment.
#[derive(Clone)]
pub(crate) struct RuntimeApi(Arc<Shared>);

struct Shared {
    waiting: Arc<Mutex<mpsc::Receiver<PendingEvent>>>,
    tally: Arc<Tally>,
    ready: watch::Sender<bool>,
    /// The caller of the current event, who waits for its answer, and when the event was delivered.
    current: StdMutex<Option<(oneshot::Sender<Invocation>, Instant)>>,
}

impl RuntimeApi {
    pub(crate) fn new(
        waiting: Arc<Mutex<mpsc::Receiver<PendingEvent>>>,
        tally: Arc<Tally>,
        ready: watch::Sender<bool>,
    ) -> Self {
        Self(Arc::new(Shared {
            waiting,
            tally,
            ready,
            current: StdMutex::new(None),
        }))
    }

    pub(crate) fn router(self) -> Router {
        let respond = |State(api): State<Self>, body| async move { api.respond(body, false) };
        let fail = |State(api): State<Self>, body| async move { api.respond(body, true) };
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(respond),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn respond(&self, body: Bytes, failed: bool) -> StatusCode {
        let current = self
            .0
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((answer, since)) = current else {
            return StatusCode::BAD_REQUEST;
        };
        let took = since.elapsed();
        self.0.tally.count(took);
        // The caller may have disconnected.
        _ = answer.send(Invocation { body, failed, took });
        StatusCode::ACCEPTED
    }
}

async fn next(State(RuntimeApi(shared)): State<RuntimeApi>) -> Response {
    shared.ready.send_replace(true);
    let Some(event) = shared.waiting.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + TIME_LIMIT;
    let deadline = deadline
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", Uuid::new_v4().to_string()),
        ("Lambda-Runtime-Deadline-Ms", deadline.to_string()),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:000000000000:function:measured".to_owned(),
        ),
        ("Content-Type", "application/json".to_owned()),
    ];
    let current = (event.answer, Instant::now());
    *shared
        .current
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(current);
    (headers, event.body).into_response()
}
