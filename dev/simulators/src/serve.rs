//! What both programs have in common: arguments, the ledger's address, faults, and serving.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
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
    /// Where to listen, such as 127.0.0.1:9001.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The folder to keep everything in.
    #[arg(long)]
    pub data: PathBuf,
}

/// Serves `service` with its ledger and faults until the program is told to stop.
pub async fn serve(
    name: &str,
    service: fn(Arc<Storage>, Arc<Faults>) -> Router,
    arguments: Arguments,
) -> anyhow::Result<()> {
    telemetry::init();
    let storage = Arc::new(Storage::open(&arguments.data, name)?);
    let faults = Arc::new(Faults::default());
    let app = service(storage.clone(), faults.clone())
        .route("/_health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/_ledger", get(ledger).with_state(storage))
        .route(
            "/_faults",
            get(faults::show)
                .put(faults::order)
                .delete(faults::clear)
                .with_state(faults),
        );
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, "simulator.ready");
    axum::serve(listener, app).await?;
    Ok(())
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
