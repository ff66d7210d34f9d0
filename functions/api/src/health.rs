//! Whether the API works, and what it depends on.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::AppState;

/// Which dependencies answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `PostgreSQL`.
    database: bool,
    /// `DynamoDB`.
    catalogue: bool,
}

/// Whether the function runs.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 204)))]
pub(crate) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether what the function depends on answers too.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn readyz(State(shop): State<Arc<AppState>>) -> (StatusCode, Json<Readiness>) {
    let (database, catalogue) = tokio::join!(shop.database.ping(), shop.catalogue.ping());
    let readiness = Readiness {
        database: answers("database", &database),
        catalogue: answers("catalogue", &catalogue),
    };
    let status = if readiness.database && readiness.catalogue {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

fn answers(dependency: &str, ping: &Result<(), StoreError>) -> bool {
    if let Err(error) = ping {
        tracing::warn!(dependency, %error, "dependency.unavailable");
    }
    ping.is_ok()
}
