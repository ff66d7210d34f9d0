//! The circuit breakers of both providers: their state, and an operator's override.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State as Shared},
};
use breaker::{Figures, Forced, State, Status, Transition};
use circuits::Circuits;
use jiff::Timestamp;
use orders::Provider;
use serde::{Deserialize, Serialize};
use store::{Command, Queue};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    problem::Problem,
    request::{Body, Reason},
};

/// The number of changes in a circuit's history.
const HISTORY: usize = 20;

/// An operator's override of a circuit: the forced state, by whom, why and when.
#[derive(Debug, Serialize, ToSchema)]
struct Override {
    force: Forced,
    by: String,
    reason: String,
    at: Timestamp,
}

/// One change of a circuit.
#[derive(Debug, Serialize, ToSchema)]
struct CircuitChange {
    at: Timestamp,
    from: State,
    to: State,
    /// The forced state after the change, if there is an override.
    forced: Option<Forced>,
    /// The cause, such as `failure_rate`, `probe_passed` or `forced`.
    cause: String,
    /// The operator who forced or released the circuit.
    by: Option<String>,
    /// The operator's reason.
    reason: Option<String>,
    /// The figures that caused the change.
    figures: Option<Figures>,
}

/// The circuit breaker of one provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Circuit {
    provider: Provider,
    /// The breaker's own state, which an override hides.
    state: State,
    /// The override, if there is one.
    forced: Option<Override>,
    /// The time of the last change of `state`. `null` if it has never changed.
    since: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    /// The time of the next probe, while the circuit is open.
    retry_at: Option<Timestamp>,
    /// How often it has opened since it was last closed.
    consecutive_opens: u32,
    /// The calls of the last 30 seconds.
    figures: Figures,
    /// The retries allowed in those 30 seconds, including those already made.
    retries_allowed: u64,
    /// The last 20 changes, the newest first.
    history: Vec<CircuitChange>,
}

/// Both circuits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CircuitList {
    items: Vec<Circuit>,
}

/// An override to set or to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForceRequest {
    /// The state to force. `null` ends the override.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    force: Option<Forced>,
    /// The reason, for the circuit's history and the audit log.
    reason: Reason,
}

/// The state and the last changes of both circuits.
#[utoipa::path(get, path = "/v1/ops/circuits", operation_id = "list_circuits", tag = "operations",
    responses((status = 200, body = CircuitList), Failures))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<AppState>>,
) -> Result<Json<CircuitList>, Problem> {
    let (payments, shipping) = tokio::try_join!(
        read_circuit(&state.circuits, Provider::Payments),
        read_circuit(&state.circuits, Provider::Shipping),
    )?;
    let items = vec![payments, shipping];
    Ok(Json(CircuitList { items }))
}

/// Forces a circuit to a state, or ends the override.
#[utoipa::path(put, path = "/v1/ops/circuits/{provider}", operation_id = "force_circuit", tag = "operations", request_body = ForceRequest,
    params(("provider" = Provider, Path)), responses((status = 200, body = Circuit), Failures))]
pub(crate) async fn force(
    Shared(state): Shared<Arc<AppState>>,
    caller: Caller,
    Path(provider): Path<String>,
    Body(request): Body<ForceRequest>,
) -> Result<(Extension<Changed>, Json<Circuit>), Problem> {
    let provider = provider
        .parse()
        .map_err(|_| Problem::not_found("provider"))?;
    let breaker = state.circuits.breaker(provider);
    let before = breaker.status().await?;
    let (by, why) = (caller.name(), request.reason.as_str());
    let after = match request.force {
        Some(force) => breaker.force(force, &by, why).await?,
        None => breaker.release(&by, why).await?,
    };
    release_parked(&state.releases).await;
    let circuit = read_circuit(&state.circuits, provider).await?;
    Ok((Extension(Changed::new(&before, &after)), Json(circuit)))
}

async fn read_circuit(circuits: &Circuits, provider: Provider) -> Result<Circuit, breaker::Error> {
    let breaker = circuits.breaker(provider);
    let (status, history) = tokio::try_join!(breaker.status(), breaker.history(HISTORY))?;
    Ok(Circuit::new(provider, status, history))
}

/// Requests a check of all parked work now. If the request is lost, the schedule checks it
/// later.
async fn release_parked(releases: &Queue<Command>) {
    let command = Command::Release {};
    if let Err(error) = releases.send(&command, Duration::ZERO).await {
        tracing::warn!(%error, "release.not_requested");
    }
}

impl Circuit {
    fn new(provider: Provider, status: Status, history: Vec<Transition>) -> Self {
        Self {
            provider,
            state: status.state,
            forced: status.forced.map(Into::into),
            since: status.since,
            opened_at: status.opened_at,
            retry_at: status.retry_at,
            consecutive_opens: status.consecutive_opens,
            figures: status.figures,
            retries_allowed: status.retries_allowed,
            history: history.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<breaker::Override> for Override {
    fn from(forced: breaker::Override) -> Self {
        Self {
            force: forced.forced,
            by: forced.by,
            reason: forced.why,
            at: forced.at,
        }
    }
}

impl From<Transition> for CircuitChange {
    fn from(change: Transition) -> Self {
        Self {
            at: change.at,
            from: change.from,
            to: change.to,
            forced: change.forced,
            cause: change.reason.to_string(),
            by: change.by,
            reason: change.why,
            figures: change.figures,
        }
    }
}
