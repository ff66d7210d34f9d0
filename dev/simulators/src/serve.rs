//! What both programs have in common: arguments, serving, and the addresses that control them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    calls::{self, Calls},
    clock,
    connection::{Connection, Resettable},
    faults::{self, Faults},
    storage::{State as Transaction, Storage, now_ms},
    webhooks::{self, Sign, Tallies},
};

/// The agenda of what the service does by itself.
pub(crate) const TASKS: &str = "tasks";

/// How much of the agenda is read at a time.
const TASKS_AT_ONCE: usize = 100;

/// How long to wait for a change when nothing is due.
pub(crate) const IDLE: Duration = Duration::from_mins(1);

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
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) service: Service,
}

/// One of the two services.
#[derive(Clone, Copy)]
pub struct Service {
    pub(crate) name: &'static str,
    pub(crate) router: fn(Shared) -> anyhow::Result<Router>,
    /// Indexes a state that is not indexed yet.
    pub(crate) index: fn(&mut Transaction<'_>) -> anyhow::Result<()>,
    /// Does what stands on its own agenda, [`TASKS`].
    pub(crate) perform: fn(&mut Transaction<'_>, Value) -> anyhow::Result<()>,
    /// The headers that it signs a webhook with.
    pub(crate) sign: Sign,
    /// Whether it signs with a secret that it shares with the listener.
    pub(crate) shares_secret: bool,
}

/// Serves `service` until the program is told to stop.
pub async fn serve(service: Service, arguments: Arguments) -> anyhow::Result<()> {
    telemetry::init();
    let listen = arguments.listen;
    ensure!(
        listen.ip().is_loopback(),
        "{listen} can be reached from elsewhere"
    );
    let storage = Storage::open(&arguments.data, service.name)?;
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
    storage.transact_now(|state| {
        if state.is_indexed()? {
            return Ok(());
        }
        (service.index)(state)
    })?;
    clock::restore(&storage)?;
    let shared = Shared {
        storage: Arc::new(storage),
        faults: Arc::default(),
        calls: Arc::default(),
        tallies: Arc::default(),
        service,
    };
    let app = (service.router)(shared.clone())?
        .layer(from_fn_with_state(shared.calls.clone(), calls::count))
        .merge(controls(shared.clone()));
    let app = app.into_make_service_with_connect_info::<Connection>();
    tokio::select! {
        ended = axum::serve(Resettable(listener), app).into_future() => ended?,
        ended = agenda(&shared) => ended?,
        ended = webhooks::deliver(&shared) => ended?,
    }
    Ok(())
}

/// Does what is on the service's agenda when it is due, each thing once.
async fn agenda(shared: &Shared) -> anyhow::Result<()> {
    let mut changes = shared.storage.changes();
    loop {
        let (snapshot, now) = (shared.storage.snapshot()?, now_ms());
        for due in snapshot.due::<Value>(TASKS, now, TASKS_AT_ONCE)? {
            let task = shared.storage.transact(|state| {
                state.unschedule(TASKS, &due)?;
                (shared.service.perform)(state, due.item)
            });
            task.await?;
        }
        // What was put on the agenda meanwhile is a change.
        let until_due = snapshot.until_due(TASKS, now)?;
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep(until_due.unwrap_or(IDLE)) => {}
        }
    }
}

/// What a simulator has that its provider has not.
fn controls(shared: Shared) -> Router {
    Router::new()
        .route("/_health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/_ledger", get(ledger))
        .route("/_clock", put(clock::set))
        .route("/_calls", get(calls::show).delete(calls::forget))
        .route(
            "/_faults",
            get(faults::show).put(faults::order).delete(faults::clear),
        )
        .route(
            "/_webhooks",
            get(webhooks::show)
                .put(webhooks::begin)
                .delete(webhooks::end),
        )
        .route(
            "/_faults/struck",
            get(faults::show_struck).delete(faults::forget_struck),
        )
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
