//! What both simulators share: command line, logs, the `/_` paths for tests, and a server that can
//! drop a connection instead of answering.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::{Request, Response, StatusCode},
    response::IntoResponse,
    routing::get,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::{
    faults::{Fault, Faults},
    ledger::{self, Entry},
    storage::{StorageError, Store},
};

/// The flags of a simulator.
#[derive(Debug, clap::Parser)]
pub struct Settings {
    /// Where to listen: an address on 127.0.0.0/8; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The folder that keeps its state
    #[arg(long)]
    pub data: PathBuf,
    /// Where to log to, as tracing's filter says it
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log: String,
}

/// What every call can reach.
#[derive(Clone)]
pub struct Desk {
    /// The durable state.
    pub store: Store,
    /// What goes wrong on order.
    pub faults: Faults,
}

impl Desk {
    /// A desk over the state in a folder.
    pub fn open(folder: &std::path::Path) -> Result<Self, StorageError> {
        Ok(Self {
            store: Store::open(folder)?,
            faults: Faults::default(),
        })
    }
}

/// Marks a response that must not be sent: the connection is dropped in its place.
#[derive(Debug, Clone, Copy)]
pub struct Lost;

#[derive(Debug, Error)]
#[error("the answer was lost on order")]
struct AnswerLost;

/// Logs as JSON lines on standard output.
pub fn log(settings: &Settings) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log)
        .with_context(|| format!("--log {} is no filter", settings.log))?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .init();
    Ok(())
}

/// Listens on the laptop's own address and serves until the process ends.
pub async fn run(name: &str, settings: &Settings, routes: Router) -> anyhow::Result<()> {
    if !settings.listen.ip().is_loopback() {
        bail!("--listen {} is not on this machine alone", settings.listen);
    }
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", settings.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(event = "simulator.ready", simulator = name, url = %format!("http://{address}"));
    serve(listener, routes).await
}

/// Serves `routes`, one task a connection.
pub async fn serve(listener: TcpListener, routes: Router) -> anyhow::Result<()> {
    let routes = Arc::new(routes);
    loop {
        let (stream, _) = listener.accept().await.context("accepting a connection")?;
        tokio::spawn(converse(stream, routes.clone()));
    }
}

async fn converse(stream: TcpStream, routes: Arc<Router>) {
    // Small answers must not wait for the other side's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let routes = Router::clone(&routes);
        async move {
            let Ok(response) = routes.oneshot(request.map(Body::new)).await;
            keep_or_lose(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(event = "connection.ended", %error);
    }
}

fn keep_or_lose(response: Response<Body>) -> Result<Response<Body>, AnswerLost> {
    match response.extensions().get::<Lost>() {
        Some(Lost) => Err(AnswerLost),
        None => Ok(response),
    }
}

/// The paths for tests and tools; they need no key and suffer no fault.
pub fn control(desk: Desk) -> Router {
    Router::new()
        .route("/_health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/_ledger", get(read_ledger))
        .route(
            "/_faults",
            get(show_fault).put(order_fault).delete(clear_fault),
        )
        .with_state(desk)
}

#[derive(Deserialize)]
struct LedgerFilter {
    order_id: Option<String>,
}

async fn read_ledger(
    State(desk): State<Desk>,
    Query(filter): Query<LedgerFilter>,
) -> Result<Json<Vec<Entry>>, StorageError> {
    let read = |transaction: &_| ledger::read(transaction, filter.order_id.as_deref());
    desk.store.transact(read).map(Json)
}

async fn show_fault(State(desk): State<Desk>) -> impl IntoResponse {
    Json(desk.faults.current().map_or(json!({ "mode": "none" }), |fault| json!(fault)))
}

async fn order_fault(State(desk): State<Desk>, Json(fault): Json<Fault>) -> impl IntoResponse {
    tracing::info!(event = "fault.ordered", ?fault);
    desk.faults.order(fault);
    show_fault(State(desk)).await
}

async fn clear_fault(State(desk): State<Desk>) -> StatusCode {
    desk.faults.clear();
    StatusCode::NO_CONTENT
}

impl IntoResponse for StorageError {
    fn into_response(self) -> Response<Body> {
        tracing::error!(event = "storage.failed", error = %self);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

