//! The caller's own account.

use axum::Json;

use crate::{Failures, authorization::Caller};

/// The caller: their id, e-mail address and scopes.
#[utoipa::path(get, path = "/v1/me", tag = "account",
    responses((status = 200, body = Caller), Failures))]
pub(crate) async fn me(caller: Caller) -> Json<Caller> {
    Json(caller)
}
