//! The circuits to both external services: how they stand, and a person's word over theirs.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State as Shared},
};
use breaker::{Figures, Forced, State, Status, Transition};
use jiff::Timestamp;
use orders::Provider;
use serde::{Deserialize, Serialize};
use store::Command;
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    problem::Problem,
    request::{Body, Reason},
};

/// How many changes of a circuit are shown.
const HISTORY: usize = 20;

/// Who forced what, why and when.
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
    /// What is forced after it.
    forced: Option<Forced>,
    /// What caused it, such as `failure_rate`, `probe_passed` or `forced`.
    cause: String,
    /// Who forced or released it.
    by: Option<String>,
    /// Why they did.
    reason: Option<String>,
    /// The figures that caused it.
    figures: Option<Figures>,
}

/// A circuit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Circuit {
    provider: Provider,
    /// Beneath what is forced.
    state: State,
    forced: Option<Override>,
    /// Since when it is in this state; nothing, if it never changed.
    since: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    /// When it is to be probed, while it is open.
    retry_at: Option<Timestamp>,
    /// How often it has opened since it was last closed.
    consecutive_opens: u32,
    /// What was counted in the last half minute.
    figures: Figures,
    /// How many retries that half minute may have, those it has had among them.
    retries_allowed: u64,
    /// Its last changes, the newest first.
    history: Vec<CircuitChange>,
}

/// Both circuits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CircuitList {
    items: Vec<Circuit>,
}

/// What a person wants of a circuit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForceRequest {
    /// `null` gives the circuit back to itself.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    force: Option<Forced>,
    /// Why.
    reason: Reason,
}

/// How both circuits stand, and what has happened to them.
#[utoipa::path(get, path = "/v1/ops/circuits", operation_id = "list_circuits", tag = "operations",
    responses((status = 200, body = CircuitList), Failures))]
pub(crate) async fn list(
    Shared(shop): Shared<Arc<AppState>>,
) -> Result<Json<CircuitList>, Problem> {
    let (payments, shipping) = tokio::try_join!(
        shop.circuit(Provider::Payments),
        shop.circuit(Provider::Shipping),
    )?;
    let items = vec![payments, shipping];
    Ok(Json(CircuitList { items }))
}

/// Forces a circuit, or gives it back to itself.
#[utoipa::path(put, path = "/v1/ops/circuits/{provider}", operation_id = "force_circuit", tag = "operations", request_body = ForceRequest,
    params(("provider" = Provider, Path)), responses((status = 200, body = Circuit), Failures))]
pub(crate) async fn force(
    Shared(shop): Shared<Arc<AppState>>,
    caller: Caller,
    Path(provider): Path<String>,
    Body(request): Body<ForceRequest>,
) -> Result<(Extension<Changed>, Json<Circuit>), Problem> {
    let provider = provider
        .parse()
        .map_err(|_| Problem::not_found("provider"))?;
    let breaker = shop.circuits.of(provider);
    let before = breaker.status().await?;
    let (by, why) = (caller.name(), request.reason.as_str());
    let after = match request.force {
        Some(force) => breaker.force(force, &by, why).await?,
        None => breaker.release(&by, why).await?,
    };
    shop.release_parked().await;
    let circuit = shop.circuit(provider).await?;
    Ok((Extension(Changed::new(&before, &after)), Json(circuit)))
}

impl AppState {
    async fn circuit(&self, provider: Provider) -> Result<Circuit, breaker::Error> {
        let breaker = self.circuits.of(provider);
        let (status, history) = tokio::try_join!(breaker.status(), breaker.history(HISTORY))?;
        Ok(Circuit::new(provider, status, history))
    }

    /// Has what is parked looked at now; the schedule looks at it, too, only later.
    async fn release_parked(&self) {
        let command = Command::Release {};
        if let Err(error) = self.releases.send(&command, Duration::ZERO).await {
            tracing::warn!(%error, "release.not_asked");
        }
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
