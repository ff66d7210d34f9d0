//! What one environment speaks with: it asks for an event, and answers it.

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

/// How long an event may be worked on, as its environment is told.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The runtime API of one environment.
#[derive(Clone)]
pub(crate) struct RuntimeApi(Arc<Shared>);

struct Shared {
    waiting: Arc<Mutex<mpsc::Receiver<PendingEvent>>>,
    tally: Arc<Tally>,
    ready: watch::Sender<bool>,
    /// The caller that waits for the answer to the event that was handed out, and since when.
    under_way: StdMutex<Option<(oneshot::Sender<Invocation>, Instant)>>,
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
            under_way: StdMutex::new(None),
        }))
    }

    pub(crate) fn router(self) -> Router {
        let answered = |State(api): State<Self>, body| async move { api.answered(body, false) };
        let failed = |State(api): State<Self>, body| async move { api.answered(body, true) };
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(answered),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn answered(&self, body: Bytes, failed: bool) -> StatusCode {
        let under_way = self
            .0
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((answer, since)) = under_way else {
            return StatusCode::BAD_REQUEST;
        };
        let took = since.elapsed();
        self.0.tally.count(took);
        // The caller may be gone.
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
    let under_way = (event.answer, Instant::now());
    *shared
        .under_way
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(under_way);
    (headers, event.body).into_response()
}
