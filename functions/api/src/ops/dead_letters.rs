//! Dead letters: provider events that could not be processed.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use jiff::Timestamp;
use providers::webhook::ProviderEvent;
use serde::Serialize;
use store::{DeadLetter, RedriveOutcome};
use utoipa::ToSchema;

use crate::{AppState, Failures, audit::Changed, problem::Problem};

/// How many dead letters one call redrives. It may exceed this by part of a batch.
const REDRIVE_LIMIT: usize = 100;

/// A provider event that could not be processed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "DeadLetter")]
pub(crate) struct DeadLetterView {
    /// The id of the message.
    id: String,
    /// The event. `null` if it cannot be parsed.
    #[schema(value_type = Option<Object>)]
    event: Option<ProviderEvent>,
    sent_at: Option<Timestamp>,
    /// How often the message was received: by failed attempts, and by lists of dead letters.
    received: u32,
}

/// The number of dead letters, and a few of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterList {
    /// The approximate number of dead letters.
    count: u64,
    /// A sample, at most ten.
    items: Vec<DeadLetterView>,
}

/// The result of a redrive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedriveResult {
    /// How many were sent to be processed again.
    moved: usize,
    /// The approximate number that is left. Call again to redrive them.
    left: u64,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            event: serde_json::from_str(&letter.body).ok(),
            id: letter.id,
            sent_at: letter.sent_at,
            received: letter.received,
        }
    }
}

impl From<RedriveOutcome> for RedriveResult {
    fn from(RedriveOutcome { moved, left }: RedriveOutcome) -> Self {
        Self { moved, left }
    }
}

/// The number of dead letters, and a few of them.
#[utoipa::path(get, path = "/v1/ops/dead-letters", operation_id = "list_dead_letters", tag = "operations",
    responses((status = 200, body = DeadLetterList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
) -> Result<Json<DeadLetterList>, Problem> {
    let letters = &state.dead_letters;
    let (count, items) = tokio::try_join!(letters.count(), letters.peek())?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Json(DeadLetterList { count, items }))
}

/// Redrives dead letters: sends about 100 of them to be processed again.
#[utoipa::path(post, path = "/v1/ops/dead-letters/redrive", operation_id = "redrive_dead_letters", tag = "operations",
    responses((status = 200, body = RedriveResult), Failures))]
pub(crate) async fn redrive(
    State(state): State<Arc<AppState>>,
) -> Result<(Extension<Changed>, Json<RedriveResult>), Problem> {
    let redriven = state.dead_letters.redrive(REDRIVE_LIMIT).await?;
    let result = RedriveResult::from(redriven);
    Ok((Extension(Changed::new(&(), &result)), Json(result)))
}
