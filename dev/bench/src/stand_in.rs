//! Servers that stand in for AWS and for the API, and answer from memory: the emulator is slower
//! than AWS, and what is measured must not wait for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response as HttpResponse},
    serve::ListenerExt,
};
use serde_json::{Value, json};
use tests::{Response, Stack};
use tokio::net::TcpListener;

/// Content types of AWS's JSON protocol, and of the API.
pub(crate) const AWS_JSON: &str = "application/x-amz-json-1.0";
const JSON: &str = "application/json";

/// Starts an execution. It cannot be recorded, since each execution has a name of its own.
const START_EXECUTION: &str = "AWSStepFunctions.StartExecution";

/// The stack, and the successful responses that it gave, by request.
struct Recorder<K> {
    stack: Stack,
    responses: Mutex<HashMap<K, String>>,
}

impl<K: Eq + Hash> Recorder<K> {
    fn new(stack: &Stack) -> Arc<Self> {
        let (stack, responses) = (stack.clone(), Mutex::default());
        Arc::new(Self { stack, responses })
    }

    fn recorded(&self, request: &K) -> Option<String> {
        let responses = self.responses.lock();
        let responses = responses.unwrap_or_else(PoisonError::into_inner);
        responses.get(request).cloned()
    }

    fn record(&self, request: K, response: String) {
        let responses = self.responses.lock();
        let mut responses = responses.unwrap_or_else(PoisonError::into_inner);
        responses.insert(request, response);
    }
}

/// Starts a stand-in for AWS and returns its address. It asks the emulator for each request once.
pub(crate) async fn start_aws(stack: &Stack) -> String {
    let recorder = Recorder::<(String, Bytes)>::new(stack);
    serve(Router::new().fallback(answer_as_aws).with_state(recorder)).await
}

/// Starts a stand-in for the API and returns its address. It asks the API for each page once.
pub(crate) async fn start_api(stack: &Stack) -> String {
    let recorder = Recorder::<String>::new(stack);
    serve(Router::new().fallback(answer_as_api).with_state(recorder)).await
}

/// Serves requests at a free port and returns the address.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port should be free");
    let address = listener.local_addr().expect("it should have an address");
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

/// The operation that a request to AWS names, such as `DynamoDB_20120810.Query`.
pub(crate) fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()
}

async fn answer_as_aws(
    State(recorder): State<Arc<Recorder<(String, Bytes)>>>,
    headers: HeaderMap,
    body: Bytes,
) -> HttpResponse {
    let content_type = [("content-type", AWS_JSON)];
    let Some(target) = target(&headers) else {
        return StatusCode::NOT_IMPLEMENTED.into_response();
    };
    if target == START_EXECUTION {
        let arn = "arn:aws:states:::execution:measured";
        let started = json!({ "executionArn": arn, "startDate": 1.0 });
        return (content_type, started.to_string()).into_response();
    }
    let request = (target.to_owned(), body);
    if let Some(recorded) = recorder.recorded(&request) {
        return (content_type, recorded).into_response();
    }
    let body: Value = serde_json::from_slice(&request.1).unwrap_or_default();
    let response = Response::of(recorder.stack.aws_request(target, &body)).await;
    let response = response.with_status(200).body;
    recorder.record(request, response.clone());
    (content_type, response).into_response()
}

async fn answer_as_api(State(recorder): State<Arc<Recorder<String>>>, uri: Uri) -> HttpResponse {
    let content_type = [("content-type", JSON)];
    let path = uri.to_string();
    if let Some(recorded) = recorder.recorded(&path) {
        return (content_type, recorded).into_response();
    }
    let stack = &recorder.stack;
    let response = Response::of(stack.http.get(format!("{}{path}", stack.api))).await;
    if response.status != 200 {
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        return (status, content_type, response.body).into_response();
    }
    recorder.record(path, response.body.clone());
    (content_type, response.body).into_response()
}
