//! Search of the audit log.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::{Deserialize, Serialize};
use store::{AuditCursor, AuditRow, AuditSearch};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::PersonalDataRead,
    page::PageLimit,
    problem::Problem,
    request::{Body, Moment, Reason},
};

/// A page of the audit log, the newest row first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditRow>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

/// Filters for rows of the audit log. They are in a body to keep e-mail addresses out of URLs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditSearchRequest {
    /// A user's e-mail address, or the IP address of a caller without a token.
    actor: Option<LoggedText>,
    /// The action, such as `circuit.force`.
    action: Option<LoggedText>,
    /// The id of what was acted on, such as an order or a user.
    target: Option<LoggedText>,
    /// Rows of this time or later.
    from: Option<Moment>,
    /// Rows before this time.
    to: Option<Moment>,
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// A text of 1 to 500 characters without NUL, which are those that the log can hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 500)]
struct LoggedText(String);

impl TryFrom<String> for LoggedText {
    type Error = orders::Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let length = text.chars().count();
        if (1..=Reason::MAX).contains(&length) && !text.contains('\0') {
            Ok(Self(text))
        } else {
            Err(orders::Invalid("must be 1 to 500 characters"))
        }
    }
}

/// Searches the audit log, the newest row first.
#[utoipa::path(post, path = "/v1/audit/search", operation_id = "search_audit", tag = "users", request_body = AuditSearchRequest,
    responses((status = 200, body = AuditList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Body(request): Body<AuditSearchRequest>,
) -> Result<impl IntoResponse, Problem> {
    let limit = request.limit.get();
    let (search, from) = request.search()?;
    let page = state.database.audit().search(&search, from, limit).await?;
    let list = AuditList {
        items: page.items,
        next_cursor: page.next_cursor,
    };
    Ok((PersonalDataRead::MARK, Json(list)))
}

impl AuditSearchRequest {
    fn search(self) -> Result<(AuditSearch, AuditCursor), Problem> {
        let text = |text: Option<LoggedText>| text.map(|LoggedText(text)| text);
        let search = AuditSearch {
            actor: text(self.actor),
            action: text(self.action),
            target: text(self.target),
            from: self.from.map(Moment::get),
            to: self.to.map(Moment::get),
        };
        let from = self.cursor.map(|cursor| cursor.parse()).transpose()?;
        Ok((search, from.unwrap_or(AuditCursor::NEWEST)))
    }
}
