//! What both simulators share: arguments, serving, and the control routes.

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
    connection::{Connection, ResettableListener},
    faults::{self, Faults},
    storage::{State as Transaction, Storage, now_ms},
    webhooks::{self, Sign, Tallies},
};

/// The agenda of the service's background tasks.
pub(crate) const TASKS: &str = "tasks";

/// How many due tasks are read at a time.
const TASKS_AT_ONCE: usize = 100;

/// How long to wait for a change when the agenda is empty.
pub(crate) const IDLE: Duration = Duration::from_mins(1);

/// The command line of a simulator.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// The address to listen on, such as 127.0.0.1:9001. Must be a loopback address.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The folder of the simulator's state.
    #[arg(long)]
    pub data: PathBuf,
}

/// The state that the parts of a simulator share.
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
    /// Indexes stored documents that have no index yet.
    pub(crate) index: fn(&mut Transaction<'_>) -> anyhow::Result<()>,
    /// Performs a task of its agenda, [`TASKS`].
    pub(crate) perform: fn(&mut Transaction<'_>, Value) -> anyhow::Result<()>,
    /// Returns the signature headers of a webhook.
    pub(crate) sign: Sign,
    /// Whether it signs with a secret that it shares with the listener.
    pub(crate) shares_secret: bool,
}

/// Serves `service` until the program is stopped.
pub async fn serve(service: Service, arguments: Arguments) -> anyhow::Result<()> {
    telemetry::init();
    let listen = arguments.listen;
    ensure!(
        listen.ip().is_loopback(),
        "{listen} is not a loopback address, so other machines could reach it"
    );
    let storage = Storage::open(&arguments.data, service.name)?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, "simulator.ready");
    serve_on(listener, service, storage).await
}

/// Serves `service` and its control routes from the state in `storage`.
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
        .merge(control_routes(shared.clone()));
    let app = app.into_make_service_with_connect_info::<Connection>();
    tokio::select! {
        ended = axum::serve(ResettableListener(listener), app).into_future() => ended?,
        ended = run_agenda(&shared) => ended?,
        ended = webhooks::deliver(&shared) => ended?,
    }
    Ok(())
}

/// Performs each task of the service's agenda once, when it is due.
async fn run_agenda(shared: &Shared) -> anyhow::Result<()> {
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
        // A task that was scheduled since the snapshot counts as a change.
        let until_due = snapshot.until_due(TASKS, now)?;
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep(until_due.unwrap_or(IDLE)) => {}
        }
    }
}

/// The routes that the provider does not have.
fn control_routes(shared: Shared) -> Router {
    Router::new()
        .route("/_health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/_ledger", get(ledger))
        .route("/_clock", put(clock::set))
        .route("/_calls", get(calls::show).delete(calls::reset))
        .route(
            "/_faults",
            get(faults::show).put(faults::set).delete(faults::clear),
        )
        .route(
            "/_webhooks",
            get(webhooks::show)
                .put(webhooks::start)
                .delete(webhooks::stop),
        )
        .route(
            "/_faults/struck",
            get(faults::show_struck).delete(faults::reset_struck),
        )
        .with_state(shared)
}

#[derive(Deserialize)]
struct LedgerQuery {
    order_id: Option<String>,
}

/// Every effect on the outside world, oldest first, or those of one order.
async fn ledger(
    State(shared): State<Shared>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Vec<Value>>, SimulatorError> {
    let snapshot = shared.storage.snapshot()?;
    Ok(Json(snapshot.ledger(query.order_id.as_deref())?))
}

/// The simulator itself failed. Its answer has no form of the provider, so that tests notice.
pub(crate) struct SimulatorError(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for SimulatorError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        tracing::error!(error = ?self.0, "simulator.broken");
        let body = json!({ "simulator": self.0.to_string() });
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    }
}
