//! What both programs have in common: arguments, serving, and the addresses that control them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    calls::{self, Calls},
    connection::{Connection, Resettable},
    faults::{self, Faults},
    storage::Storage,
};

/// How a simulator is started.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Where to listen, such as 127.0.0.1:9001; only addresses of this machine alone.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The folder to keep everything in.
    #[arg(long)]
    pub data: PathBuf,
}

/// What the parts of a simulator share.
#[derive(Clone)]
pub struct Shared {
    pub(crate) storage: Arc<Storage>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) calls: Arc<Calls>,
}

/// One of the two services.
pub type Service = fn(Shared) -> Router;

/// Serves `service` until the program is told to stop.
pub async fn serve(name: &str, service: Service, arguments: Arguments) -> anyhow::Result<()> {
    telemetry::init();
    let listen = arguments.listen;
    ensure!(
        listen.ip().is_loopback(),
        "{listen} can be reached from elsewhere"
    );
    let storage = Storage::open(&arguments.data, name)?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "simulator.ready");
    serve_on(listener, service, storage).await
}

/// Serves `service` with its ledger, its faults and its calls, from what `storage` holds.
pub async fn serve_on(
    listener: TcpListener,
    service: Service,
    storage: Storage,
) -> anyhow::Result<()> {
    let shared = Shared {
        storage: Arc::new(storage),
        faults: Arc::default(),
        calls: Arc::default(),
    };
    let app = service(shared.clone())
        .layer(from_fn_with_state(shared.calls.clone(), calls::count))
        .merge(controls(shared));
    let app = app.into_make_service_with_connect_info::<Connection>();
    axum::serve(Resettable(listener), app).await?;
    Ok(())
}

/// What a simulator has that its provider has not.
fn controls(shared: Shared) -> Router {
    Router::new()
        .route("/_health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/_ledger", get(ledger))
        .route("/_calls", get(calls::show).delete(calls::forget))
        .route(
            "/_faults",
            get(faults::show).put(faults::order).delete(faults::clear),
        )
        .route("/_faults/struck", delete(faults::forget_struck))
        .with_state(shared)
}

#[derive(Deserialize)]
struct LedgerQuery {
    order_id: Option<String>,
}

/// Every effect on the outside world, the oldest first; of one order, if asked so.
async fn ledger(
    State(shared): State<Shared>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Vec<Value>>, Broken> {
    let snapshot = shared.storage.snapshot()?;
    Ok(Json(snapshot.ledger(query.order_id.as_deref())?))
}

/// The simulator itself failed, which no provider's answer should hide.
pub(crate) struct Broken(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Broken {
    fn into_response(self) -> Response {
        tracing::error!(error = ?self.0, "simulator.broken");
        let body = json!({ "simulator": self.0.to_string() });
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    }
}
