//! The audit log, for administrators to search.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::{Deserialize, Serialize};
use store::{AuditFrom, AuditRow, AuditSearch};
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
    /// Leads to the next page, if there is one.
    next_cursor: Option<String>,
}

/// What a row of the audit log must be to be found. It is a body, because an e-mail address must not stand in a URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditSearchRequest {
    /// Who: a user's e-mail address, or the address that a webhook came from.
    actor: Option<LoggedText>,
    /// What, such as `circuit.force`.
    action: Option<LoggedText>,
    /// To what, such as an order's or a user's id.
    target: Option<LoggedText>,
    /// The first moment.
    from: Option<Moment>,
    /// The first moment that is too late.
    to: Option<Moment>,
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A text as long as the log keeps any; the database takes no NUL.
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

/// Who did what, or tried to, the newest first.
#[utoipa::path(post, path = "/v1/audit/search", operation_id = "search_audit", tag = "users", request_body = AuditSearchRequest,
    responses((status = 200, body = AuditList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<AppState>>,
    Body(request): Body<AuditSearchRequest>,
) -> Result<impl IntoResponse, Problem> {
    let limit = request.limit.get();
    let (search, from) = request.search()?;
    let page = shop.database.audit().search(&search, from, limit).await?;
    let list = AuditList {
        items: page.items,
        next_cursor: page.next_cursor,
    };
    Ok((PersonalDataRead::MARK, Json(list)))
}

impl AuditSearchRequest {
    fn search(self) -> Result<(AuditSearch, AuditFrom), Problem> {
        let text = |text: Option<LoggedText>| text.map(|LoggedText(text)| text);
        let search = AuditSearch {
            actor: text(self.actor),
            action: text(self.action),
            target: text(self.target),
            from: self.from.map(Moment::get),
            to: self.to.map(Moment::get),
        };
        let from = self.cursor.map(|cursor| cursor.parse()).transpose()?;
        Ok((search, from.unwrap_or(AuditFrom::NEWEST)))
    }
}
