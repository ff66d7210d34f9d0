//! Call statistics of a simulator: total, by operation, by second, and the most at once.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::serve::Shared;

/// How many seconds of the statistics by second are kept.
const MAX_SECONDS: usize = 24 * 3600;

/// The statistics since the program started or since the last `DELETE /_calls`.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Record>);

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Record {
    total: u64,
    by_operation: BTreeMap<String, u64>,
    /// Each Unix second with calls, and their number.
    by_second: VecDeque<(i64, u64)>,
    most_at_once: u64,
    #[serde(skip)]
    at_once: u64,
}

impl Calls {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn begin(&mut self, operation: String, second: i64) {
        self.total += 1;
        *self.by_operation.entry(operation).or_default() += 1;
        match self.by_second.back_mut() {
            Some((last, calls)) if *last == second => *calls += 1,
            _ => self.by_second.push_back((second, 1)),
        }
        if self.by_second.len() > MAX_SECONDS {
            self.by_second.pop_front();
        }
        self.at_once += 1;
        self.most_at_once = self.most_at_once.max(self.at_once);
    }
}

/// Counts a call as active until it is dropped, also if the call is aborted.
struct ActiveCall(Arc<Calls>);

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.record().at_once -= 1;
    }
}

pub(crate) async fn count(
    State(calls): State<Arc<Calls>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    // The route, not the path: callers cannot fill the memory with made-up paths.
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("elsewhere", MatchedPath::as_str);
    let operation = format!("{} {path}", request.method());
    calls
        .record()
        .begin(operation, Timestamp::now().as_second());
    let _active = ActiveCall(calls);
    next.run(request).await
}

pub(crate) async fn show(State(shared): State<Shared>) -> Json<Record> {
    Json(shared.calls.record().clone())
}

pub(crate) async fn reset(State(shared): State<Shared>) -> StatusCode {
    let mut record = shared.calls.record();
    *record = Record {
        at_once: record.at_once,
        ..Record::default()
    };
    StatusCode::NO_CONTENT
}
