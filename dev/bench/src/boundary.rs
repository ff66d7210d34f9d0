//! The API's own program at Lambda's runtime API, on the stack's database. What AWS answers comes at once, from
//! memory: the emulator is slower than what it stands for.

use std::{
    collections::HashMap,
    env,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use futures::future::join_all;
use lambda_host::Function;
use serde_json::{Value, json};
use signature::{ACCESS_KEY, REGION};
use tokio::net::TcpListener;
use uuid::Uuid;

use tests::{Answer, Stack};

/// What starts an execution; each has a name of its own.
const START: &str = "AWSStepFunctions.StartExecution";

/// The API in several environments.
pub(super) struct Boundary {
    function: Function,
    origin_key: String,
}

/// How some clients fared who asked one thing after the other.
pub(super) struct Load {
    /// The time that each request took, in order of time taken.
    pub(super) times: Vec<Duration>,
    /// How long all of it took.
    pub(super) length: Duration,
}

impl Load {
    pub(super) fn new(mut times: Vec<Duration>, length: Duration) -> Self {
        times.sort_unstable();
        Self { times, length }
    }

    /// Has some clients do something for so long, each again and again.
    pub(super) async fn of(clients: usize, length: Duration, work: impl AsyncFn()) -> Self {
        let begun = Instant::now();
        let client = async || {
            let mut times = Vec::new();
            while begun.elapsed() < length {
                let asked = Instant::now();
                work().await;
                times.push(asked.elapsed());
            }
            times
        };
        let times = join_all((0..clients).map(|_| client())).await;
        Self::new(times.concat(), begun.elapsed())
    }

    pub(super) fn a_second(&self) -> f64 {
        let requests = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        f64::from(requests) / self.length.as_secs_f64()
    }

    /// The time in milliseconds that so many of a thousand requests keep to.
    pub(super) fn quantile_ms(&self, per_mille: usize) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let time = self.times.get(last * per_mille / 1_000);
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(super) fn rates(loads: &[Self]) -> Vec<f64> {
        loads.iter().map(Self::a_second).collect()
    }

    pub(super) fn quantiles_ms(loads: &[Self], per_mille: usize) -> Vec<f64> {
        let quantile = |load: &Self| load.quantile_ms(per_mille);
        loads.iter().map(quantile).collect()
    }
}

/// What either took, round by round. Who comes first is another each time, as what comes before tells on what comes
/// after.
pub(super) async fn in_turns(
    rounds: usize,
    one: impl AsyncFn() -> Load,
    other: impl AsyncFn() -> Load,
) -> [Vec<Load>; 2] {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ones.push(one().await);
            others.push(other().await);
        } else {
            others.push(other().await);
            ones.push(one().await);
        }
    }
    [ones, others]
}

/// Something to ask the API.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    /// The path as the API declares it, with its parameters.
    pub(super) route: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: Option<&'a str>,
    pub(super) user: Uuid,
}

impl Boundary {
    pub(super) async fn start(stack: &Stack, environments: usize) -> Self {
        Self::start_with(stack, environments, &[]).await
    }

    /// The same, with more in its environment.
    pub(super) async fn start_with(
        stack: &Stack,
        environments: usize,
        more: &[(&str, &str)],
    ) -> Self {
        let aws = stand_in(stack).await;
        let mut variables = environment(stack, "api", &aws).await;
        variables.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let function = Function::start(&program("api"), &variables, environments).await;
        Self {
            function: function.expect("the API should start"),
            origin_key: stack.origin_key.clone(),
        }
    }

    /// The event that API Gateway makes of a request, its token checked.
    pub(super) fn event(&self, ask: Ask<'_>) -> Bytes {
        let Ask {
            method,
            route,
            path,
            query,
            body,
            user,
        } = ask;
        // Orders of one network are accepted one after the other, and visitors have networks of their own.
        let visitor = Ipv4Addr::from_bits(rand::random());
        let headers = json!({
            "accept": "application/json",
            "cauce-origin-key": self.origin_key,
            "cauce-viewer-address": visitor.to_string(),
            "content-type": "application/json",
            "idempotency-key": Uuid::new_v4(),
            "x-amzn-trace-id": "Root=1-581cf771-a006649127e371903a2de979",
        });
        let route = format!("{method} {route}");
        let event = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "measured",
                "authorizer": { "jwt": { "claims": {
                    "sub": user,
                    "token_use": "access",
                    "email": "shopper@cauce.example",
                    "scope": "orders:read orders:write profile:read",
                }, "scopes": ["orders:read"] } },
                "domainName": "measured.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "measured",
                "http": {
                    "method": method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.8",
                    "userAgent": "bench",
                },
                "requestId": "measured",
                "routeKey": route,
                "stage": "$default",
                "time": "25/Nov/2026:19:03:58 +0000",
                "timeEpoch": 1_795_633_438_000_i64,
            },
            "body": body,
            "isBase64Encoded": false,
        });
        event.to_string().into()
    }

    /// Asks once; the answer must have that status.
    pub(super) async fn asks(&self, event: Bytes, status: u16) -> Value {
        let answer = self.function.invoke(event).await;
        let answer = answer.expect("the API should answer");
        let answer: Value =
            serde_json::from_slice(&answer.body).expect("its answer should be JSON");
        assert_eq!(answer["statusCode"], status, "{answer}");
        answer
    }

    /// Has some clients ask for so long, each one thing after the other.
    pub(super) async fn load(
        &self,
        clients: usize,
        length: Duration,
        status: u16,
        event: impl Fn() -> Bytes,
    ) -> Load {
        let ask = async || {
            self.asks(event(), status).await;
        };
        Load::of(clients, length, ask).await
    }
}

/// What a function is told, with that in AWS's place.
pub(super) async fn environment(
    stack: &Stack,
    function: &str,
    aws: &str,
) -> HashMap<String, String> {
    let mut variables = stack.environment_of(function).await;
    let more = [
        ("AWS_ENDPOINT_URL", aws),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.0),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1),
    ];
    variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}

/// A program of ours that was built with this one.
pub(super) fn program(name: &str) -> PathBuf {
    let ourselves = env::current_exe().expect("a program should know its file");
    ourselves.with_file_name(name)
}

/// What stands in AWS's place, and knows what the emulator has answered.
struct StandIn {
    stack: Arc<Stack>,
    answers: Mutex<HashMap<(String, Bytes), String>>,
}

/// Starts what stands in AWS's place; where it is.
pub(super) async fn stand_in(stack: &Stack) -> String {
    let stack = Arc::new(stack.clone());
    let answers = Mutex::default();
    let router = Router::new()
        .fallback(answer)
        .with_state(Arc::new(StandIn { stack, answers }));
    serve(router).await
}

/// Has something answer at a port of its own; where it is.
pub(super) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port should be free");
    let address = listener.local_addr().expect("it should have an address");
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

async fn answer(State(it): State<Arc<StandIn>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let Some(target) = target else {
        return StatusCode::NOT_IMPLEMENTED.into_response();
    };
    let json = [("content-type", "application/x-amz-json-1.0")];
    if target == START {
        let started =
            json!({ "executionArn": "arn:aws:states:::execution:measured", "startDate": 1.0 });
        return (json, started.to_string()).into_response();
    }
    let question = (target.to_owned(), body);
    let known = it
        .answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&question)
        .cloned();
    if let Some(known) = known {
        return (json, known).into_response();
    }
    let request: Value = serde_json::from_slice(&question.1).unwrap_or_default();
    let answer = Answer::of(it.stack.aws_request(target, &request))
        .await
        .with_status(200)
        .body;
    it.answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(question, answer.clone());
    (json, answer).into_response()
}
