//! How the service is called: how often, for what, when, and by how many at once.

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

/// How many seconds are remembered one by one.
const SECONDS_KEPT: usize = 24 * 3600;

/// The calls since the program began, or since they were last forgotten.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Record>);

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Record {
    total: u64,
    by_operation: BTreeMap<String, u64>,
    /// Unix seconds in which there were calls, and how many.
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
        if self.by_second.len() > SECONDS_KEPT {
            self.by_second.pop_front();
        }
        self.at_once += 1;
        self.most_at_once = self.most_at_once.max(self.at_once);
    }
}

/// Ends a call's count, however the call ends.
struct UnderWay(Arc<Calls>);

impl Drop for UnderWay {
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
    // The address as it is routed, so that no caller can make up new ones to remember.
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("elsewhere", MatchedPath::as_str);
    let operation = format!("{} {path}", request.method());
    calls
        .record()
        .begin(operation, Timestamp::now().as_second());
    let _under_way = UnderWay(calls);
    next.run(request).await
}

pub(crate) async fn show(State(shared): State<Shared>) -> Json<Record> {
    Json(shared.calls.record().clone())
}

pub(crate) async fn forget(State(shared): State<Shared>) -> StatusCode {
    let mut record = shared.calls.record();
    *record = Record {
        at_once: record.at_once,
        ..Record::default()
    };
    StatusCode::NO_CONTENT
}
