//! What the providers told us and nobody could deal with.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use jiff::Timestamp;
use providers::webhook::ProviderEvent;
use serde::Serialize;
use store::{DeadLetter, Redriven};
use utoipa::ToSchema;

use crate::{AppState, Failures, audit::Changed, problem::Problem};

/// How many dead letters one call sends once more.
const REDRIVE_LIMIT: usize = 100;

/// An event that nobody could deal with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "DeadLetter")]
pub(crate) struct DeadLetterView {
    id: String,
    /// What the provider told us; nothing, if it cannot be read.
    #[schema(value_type = Option<Object>)]
    event: Option<ProviderEvent>,
    sent_at: Option<Timestamp>,
    /// How often it was received, by whoever failed and by whoever looked at it.
    received: u32,
}

/// How many dead letters there are, and a few of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterList {
    /// About how many.
    count: u64,
    items: Vec<DeadLetterView>,
}

/// What became of the dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedriveResult {
    /// How many were sent once more.
    moved: usize,
    /// About how many are left; call again for them.
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

impl From<Redriven> for RedriveResult {
    fn from(Redriven { moved, left }: Redriven) -> Self {
        Self { moved, left }
    }
}

/// How many events nobody could deal with, and a few of them.
#[utoipa::path(get, path = "/v1/ops/dead-letters", operation_id = "list_dead_letters", tag = "operations",
    responses((status = 200, body = DeadLetterList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<AppState>>,
) -> Result<Json<DeadLetterList>, Problem> {
    let letters = &shop.dead_letters;
    let (count, items) = tokio::try_join!(letters.count(), letters.peek())?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Json(DeadLetterList { count, items }))
}

/// Sends events once more that nobody could deal with, a hundred at a time.
#[utoipa::path(post, path = "/v1/ops/dead-letters/redrive", operation_id = "redrive_dead_letters", tag = "operations",
    responses((status = 200, body = RedriveResult), Failures))]
pub(crate) async fn redrive(
    State(shop): State<Arc<AppState>>,
) -> Result<(Extension<Changed>, Json<RedriveResult>), Problem> {
    let redriven = shop.dead_letters.redrive(REDRIVE_LIMIT).await?;
    let result = RedriveResult::from(redriven);
    Ok((Extension(Changed::new(&(), &result)), Json(result)))
}
