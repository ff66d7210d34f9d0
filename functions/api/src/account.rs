//! Whose token it is.

use axum::Json;

use crate::{Failures, authorization::Caller};

/// Who is asking.
#[utoipa::path(get, path = "/v1/me", tag = "account",
    responses((status = 200, body = Caller), Failures))]
pub(crate) async fn me(caller: Caller) -> Json<Caller> {
    Json(caller)
}
