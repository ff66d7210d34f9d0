//! What both programs have in common: arguments, the ledger's address, faults, and serving.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
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

/// One of the two services.
pub type Service = fn(Arc<Storage>, Arc<Faults>) -> Router;

/// Serves `service` until the program is told to stop.
pub async fn serve(name: &str, service: Service, arguments: Arguments) -> anyhow::Result<()> {
    telemetry::init();
    let listen = arguments.listen;
    ensure!(
        listen.ip().is_loopback(),
        "{listen} can be reached from elsewhere"
    );
    let storage = Arc::new(Storage::open(&arguments.data, name)?);
    let app = app(service, storage);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "simulator.ready");
    axum::serve(listener, app).await?;
    Ok(())
}

/// A service with its ledger and its faults.
pub fn app(service: Service, storage: Arc<Storage>) -> Router {
    let faults = Arc::new(Faults::default());
    service(storage.clone(), faults.clone())
        .route("/_health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/_ledger", get(ledger).with_state(storage))
        .route(
            "/_faults",
            get(faults::show)
                .put(faults::order)
                .delete(faults::clear)
                .with_state(faults),
        )
}

#[derive(Deserialize)]
struct LedgerQuery {
    order_id: Option<String>,
}

/// Every effect on the outside world, the oldest first; of one order, if asked so.
async fn ledger(
    State(storage): State<Arc<Storage>>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Vec<Value>>, Broken> {
    let entries = storage.transact(|state| state.ledger())?;
    let wanted = |entry: &Value| {
        query
            .order_id
            .as_ref()
            .is_none_or(|id| entry["order_id"].as_str() == Some(id))
    };
    Ok(Json(entries.into_iter().filter(wanted).collect()))
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
