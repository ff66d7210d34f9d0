//! Health checks: whether the function runs, and whether its dependencies answer.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::AppState;

/// Which dependencies answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether `PostgreSQL` answers.
    database: bool,
    /// Whether `DynamoDB` answers.
    catalogue: bool,
}

/// Liveness: whether the process runs.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 204)))]
pub(crate) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Readiness: whether all dependencies answer. 503 if one does not.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn readyz(State(state): State<Arc<AppState>>) -> (StatusCode, Json<Readiness>) {
    let (database, catalogue) = tokio::join!(state.database.ping(), state.catalogue.ping());
    let readiness = Readiness {
        database: is_available("database", &database),
        catalogue: is_available("catalogue", &catalogue),
    };
    let status = if readiness.database && readiness.catalogue {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

fn is_available(dependency: &str, ping: &Result<(), StoreError>) -> bool {
    if let Err(error) = ping {
        tracing::warn!(dependency, %error, "dependency.unavailable");
    }
    ping.is_ok()
}
