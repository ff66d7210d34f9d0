//! Pages that one process of the frontend renders, and what script comes with them. What the API answers comes at
//! once, from memory.

use std::{
    collections::HashMap,
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use reqwest::Client;
use serde::Serialize;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use super::{
    Spread,
    boundary::{self, Load},
};
use tests::{Answer, Stack, eventually};

/// How many visitors look at once, in how many rounds, and how long one is.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);

/// What rendering pages takes.
#[derive(Debug, Serialize)]
pub struct Pages {
    /// Front pages in a second.
    pub front_a_second: Spread,
    /// Pages of one product.
    pub product_a_second: Spread,
    /// Script of the front page, in kB, zipped.
    pub script_kb: f64,
}

/// A process of the frontend, until it is dropped.
struct Frontend {
    url: String,
    http: Client,
    _process: Child,
}

/// Has visitors look at two pages.
pub async fn pages(stack: &Stack) -> Pages {
    let frontend = Frontend::start(stack).await;
    Pages {
        front_a_second: frontend.renders("/").await,
        product_a_second: frontend.renders("/products/COFFEE-0002").await,
        script_kb: frontend.script_kb().await,
    }
}

impl Frontend {
    async fn start(stack: &Stack) -> Self {
        let api = stand_in(stack).await;
        let port = free_port().await;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../frontend");
        let process = Command::new("node")
            .arg("server.js")
            .current_dir(folder)
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("ORIGIN", format!("http://127.0.0.1:{port}"))
            .env("API_URL", api)
            .env("FRONTEND_KEY", &stack.frontend_key)
            .env("AWS_REGION", "us-east-1")
            .env("COGNITO_ENDPOINT", &stack.aws.endpoint)
            .env("COGNITO_CLIENT_ID", &stack.aws.user_pool_client_id)
            .env("COGNITO_CLIENT_SECRET", &stack.aws.user_pool_client_secret)
            .env("SESSION_SECRET", "a-secret-that-is-worth-nothing-at-all")
            .env("REQUESTS_PER_SECOND", "999999")
            .env("REQUEST_BURST", "999999")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node should run");
        let frontend = Self {
            url: format!("http://127.0.0.1:{port}"),
            http: Client::new(),
            _process: process,
        };
        eventually("a frontend that answers", async || {
            let asked = Answer::try_of(frontend.http.get(format!("{}/healthz", frontend.url)));
            asked.await.map_err(|error| error.to_string())
        })
        .await;
        frontend
    }

    async fn page(&self, path: &str) -> Answer {
        let page = self.http.get(format!("{}{path}", self.url));
        Answer::of(page).await.with_status(200)
    }

    async fn renders(&self, path: &str) -> Spread {
        let look = async || {
            self.page(path).await;
        };
        Load::of(AT_ONCE, ROUND, look).await;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(Load::of(AT_ONCE, ROUND, look).await.a_second());
        }
        Spread::of(rounds)
    }

    /// All scripts that the front page names, in itself or in its head.
    async fn script_kb(&self) -> f64 {
        let page = self.page("/").await;
        let page = format!("{}{}", page.header("link"), page.body);
        let parts = page.split(['"', '<', '>']);
        let named = parts.filter_map(|part| part.strip_suffix(".js"));
        let mut paths: Vec<String> = named
            .filter_map(|part| Some(format!("/_app/{}.js", part.split_once("_app/")?.1)))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        assert!(!paths.is_empty(), "the page should name scripts");
        let mut kilobytes = 0.0;
        for path in paths {
            let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
            let written = zipped.write_all(self.page(&path).await.body.as_bytes());
            written.expect("memory should be written to");
            let zipped = zipped.finish().expect("memory should be written to");
            kilobytes += f64::from(u32::try_from(zipped.len()).unwrap_or(u32::MAX)) / 1e3;
        }
        kilobytes
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port should be free");
    listener
        .local_addr()
        .expect("it should have an address")
        .port()
}

/// What stands in the API's place, and knows what the API has answered.
struct StandIn {
    stack: Stack,
    answers: Mutex<HashMap<String, String>>,
}

async fn stand_in(stack: &Stack) -> String {
    let it = StandIn {
        stack: stack.clone(),
        answers: Mutex::default(),
    };
    boundary::serve(Router::new().fallback(answer).with_state(Arc::new(it))).await
}

async fn answer(State(it): State<Arc<StandIn>>, uri: Uri) -> Response {
    let json = [("content-type", "application/json")];
    let path = uri.to_string();
    let answers = || it.answers.lock().unwrap_or_else(PoisonError::into_inner);
    let known = answers().get(&path).cloned();
    if let Some(known) = known {
        return (json, known).into_response();
    }
    let asked = Answer::of(it.stack.http.get(format!("{}{path}", it.stack.api))).await;
    if asked.status != 200 {
        let status = StatusCode::from_u16(asked.status).unwrap_or(StatusCode::BAD_GATEWAY);
        return (status, json, asked.body).into_response();
    }
    answers().insert(path, asked.body.clone());
    (json, asked.body).into_response()
}
