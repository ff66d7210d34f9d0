//! Activity: the orders of each minute, and the unfinished work.

use std::sync::Arc;

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use store::{Backlogs, Minute};
use utoipa::ToSchema;

use crate::{AppState, Failures, problem::Problem};

/// The number of minutes in a response.
const MINUTES: i64 = 60;

/// The orders of the last minutes, and the unfinished work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activity {
    /// The last 60 minutes, the oldest first. The last one is the current minute.
    minutes: Vec<Minute>,
    /// The work that is not finished now.
    backlogs: Backlogs,
}

/// The orders of the last 60 minutes, minute by minute, and the unfinished work.
#[utoipa::path(get, path = "/v1/ops/activity", operation_id = "read_activity", tag = "operations",
    responses((status = 200, body = Activity), Failures))]
pub(crate) async fn read(State(state): State<Arc<AppState>>) -> Result<Json<Activity>, Problem> {
    let (minutes, backlogs) = tokio::try_join!(
        state
            .database
            .activity()
            .list_minutes(Timestamp::now(), MINUTES),
        state.database.activity().backlogs(),
    )?;
    Ok(Json(Activity { minutes, backlogs }))
}
