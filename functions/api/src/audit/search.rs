//! The audit log, for administrators to search.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use jiff::Timestamp;
use serde::Serialize;
use store::{AuditFrom, AuditRow, AuditSearch};
use utoipa::ToSchema;

use crate::{
    Failures, Shop, page,
    problem::{Kind, Problem},
    request::{Caller, Reason},
};

/// A page of the audit log, the newest row first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditRow>,
    /// Leads to the next page, if there is one.
    next_cursor: Option<String>,
}

/// Who did what, or tried to, the newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "search_audit", tag = "users", security(("token" = ["audit:read"])), params(
    ("actor" = Option<String>, Query, description = "Who: a user's e-mail address, or the address that a webhook came from"),
    ("action" = Option<String>, Query, description = "What, such as `circuit.force`"),
    ("target" = Option<String>, Query, description = "To what, such as an order's or a user's id"),
    ("from" = Option<Timestamp>, Query, description = "The first moment"),
    ("to" = Option<Timestamp>, Query, description = "The first moment that is too late"),
    ("limit" = Option<u8>, Query, description = "1 to 100, 24 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses((status = 200, body = AuditList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<Shop>>,
    _: Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<AuditList>, Problem> {
    let (search, from, limit) = wanted(parameters)?;
    let page = shop.database.audit_rows(&search, from, limit).await?;
    Ok(Json(AuditList {
        items: page.items,
        next_cursor: page.next_cursor,
    }))
}

type Wanted = (AuditSearch, AuditFrom, u8);

fn wanted(parameters: Vec<(String, String)>) -> Result<Wanted, Problem> {
    let (mut search, mut from) = (AuditSearch::default(), AuditFrom::NEWEST);
    let mut limit = page::DEFAULT_LIMIT;
    for (name, value) in parameters {
        match name.as_str() {
            "actor" => search.actor = Some(text(&name, value)?),
            "action" => search.action = Some(text(&name, value)?),
            "target" => search.target = Some(text(&name, value)?),
            "from" => search.from = Some(time(&name, &value)?),
            "to" => search.to = Some(time(&name, &value)?),
            "limit" => limit = page::limit(&value)?,
            "cursor" => from = value.parse()?,
            _ => return Err(invalid(&name, "is not a parameter of this list")),
        }
    }
    Ok((search, from, limit))
}

/// A text as long as the log keeps any; the database takes no NUL.
fn text(name: &str, value: String) -> Result<String, Problem> {
    let length = value.chars().count();
    if (1..=Reason::MAX).contains(&length) && !value.contains('\0') {
        Ok(value)
    } else {
        Err(invalid(name, "must be 1 to 500 characters"))
    }
}

/// A time that the database knows, too.
fn time(name: &str, value: &str) -> Result<Timestamp, Problem> {
    let time = value.parse::<Timestamp>().ok();
    time.filter(|time| *time >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| invalid(name, "must be a time such as 2026-11-25T08:00:00Z"))
}

fn invalid(name: &str, rule: &str) -> Problem {
    Problem::new(Kind::Validation, rule).at(name)
}
