//! How much is going on: orders minute by minute, and what has not come to its end.

use std::sync::Arc;

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use store::{Backlogs, Minute};
use utoipa::ToSchema;

use crate::{AppState, Failures, problem::Problem};

/// How many minutes are shown.
const MINUTES: i64 = 60;

/// How much is going on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activity {
    /// The last 60 minutes, the oldest first; the last has not passed yet.
    minutes: Vec<Minute>,
    backlogs: Backlogs,
}

/// How much is going on: orders minute by minute, and what has not come to its end.
#[utoipa::path(get, path = "/v1/ops/activity", operation_id = "read_activity", tag = "operations",
    responses((status = 200, body = Activity), Failures))]
pub(crate) async fn read(State(shop): State<Arc<AppState>>) -> Result<Json<Activity>, Problem> {
    let (minutes, backlogs) = tokio::try_join!(
        shop.database
            .activity()
            .list_minutes(Timestamp::now(), MINUTES),
        shop.database.activity().backlogs(),
    )?;
    Ok(Json(Activity { minutes, backlogs }))
}
