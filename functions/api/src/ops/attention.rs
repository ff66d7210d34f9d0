//! Items that need a person's decision.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Attention, AttentionCursor, AttentionDecision, Database};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    page::PageQuery,
    problem::{Problem, ProblemType},
    query::Query,
    request::{Body, Reason},
};

/// A page of items that need a person, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttentionList {
    items: Vec<Attention>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

/// A person's decision about an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveRequest {
    resolution: Resolution,
    /// The reason, for the audit log.
    reason: Reason,
}

/// How an item is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resolution {
    /// The order's processing continues where it stopped.
    Restart,
    /// It was corrected by hand, or needs no correction.
    Dismiss,
}

impl Resolution {
    const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Dismiss => "dismiss",
        }
    }
}

/// The open items that need a person, the oldest first.
#[utoipa::path(get, path = "/v1/ops/attention", operation_id = "list_attention", tag = "operations",
    params(PageQuery), responses((status = 200, body = AttentionList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AttentionList>, Problem> {
    let (from, limit) = page.resolve(AttentionCursor::default())?;
    let page = state.database.attention().list(from, limit).await?;
    Ok(Json(AttentionList {
        items: page.items,
        next_cursor: page.next_cursor,
    }))
}

/// Resolves an item that needs a person.
///
/// `409 nothing-to-restart` if the item's order is finished, or if it has none.
#[utoipa::path(post, path = "/v1/ops/attention/{id}/resolve", operation_id = "resolve_attention", tag = "operations", request_body = ResolveRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = Attention), Failures))]
pub(crate) async fn resolve(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<ResolveRequest>,
) -> Result<(Extension<Changed>, Json<Attention>), Problem> {
    let unknown = || Problem::not_found("item that needs a person");
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let open = state
        .database
        .attention()
        .find(id)
        .await?
        .ok_or_else(unknown)?;
    if request.resolution == Resolution::Restart {
        restart(&state.database, &open).await?;
    }
    let decision = AttentionDecision {
        by: &caller.name(),
        resolution: request.resolution.name(),
        reason: request.reason.as_str(),
    };
    let resolved = state
        .database
        .attention()
        .resolve(id, &decision, Timestamp::now());
    let resolved = resolved.await?.ok_or_else(unknown)?;
    let changed = Changed::new(&resolved, &request.resolution);
    Ok((Extension(changed), Json(resolved)))
}

async fn restart(database: &Database, attention: &Attention) -> Result<(), Problem> {
    let restarted = match attention.order_id {
        Some(order) => {
            database
                .outbox()
                .check_at_once(order, Timestamp::now())
                .await?
        }
        None => false,
    };
    let nothing_to_restart = || {
        let detail = "The item has no unfinished order. Dismiss it instead.";
        Problem::new(ProblemType::NothingToRestart, detail)
    };
    restarted.then_some(()).ok_or_else(nothing_to_restart)
}
