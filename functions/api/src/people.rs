//! Personal data: its export and its erasure.

use std::sync::Arc;

use access::{ChangeError, User};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::Timestamp;
use orders::{Email, PaymentMethod, Shopper, ShopperId, TimelineEntry};
use serde::{Deserialize, Serialize};
use store::{
    AuditCursor, AuditOutcome, AuditSearch, Database, EraseError, ErasureTarget, OrderCursor, Users,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState, Failures,
    authorization::Caller,
    guests::GuestRequest,
    guests::find_guest_order,
    page::PageQuery,
    problem::{Problem, ProblemType},
    query::Query,
    request::{Body, Origin, Reason},
    users::{AccountRequest, parse_user_id, unknown_user},
    views::OrderView,
};

/// The most changes of an account in an export.
const MAX_CHANGES: u8 = 100;

/// All data about a person, with one page of their orders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonExport {
    exported_at: Timestamp,
    /// The account.
    profile: User,
    /// The last 100 changes of the account, the newest first.
    account_changes: Vec<AccountChange>,
    /// A page of orders, the newest first.
    orders: Vec<ExportedOrder>,
    /// The `cursor` of the next page of orders, if there is one.
    next_cursor: Option<String>,
}

/// A change of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountChange {
    at: Timestamp,
    /// The action in the audit log, such as `user.roles`.
    action: String,
    outcome: AuditOutcome,
}

/// An order with all data stored about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportedOrder {
    #[serde(flatten)]
    order: OrderView,
    /// The address for messages about the order.
    email: String,
    /// The payment provider's token for the card.
    payment_method: PaymentMethod,
    /// The order's events, the oldest first.
    events: Vec<TimelineEntry>,
}

/// A guest whose data is to be erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestErasure {
    /// The e-mail address of the guest's orders.
    email: Email,
    /// The reason, for the audit log. It must not identify the guest.
    #[expect(
        dead_code,
        reason = "it is required, but only the guard of the route reads it"
    )]
    reason: Reason,
}

/// Exports all data about the caller, with a page of up to 100 orders.
#[utoipa::path(get, path = "/v1/me/export", operation_id = "export_me", tag = "account",
    params(PageQuery), responses((status = 200, body = PersonExport), Failures))]
pub(crate) async fn export(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<PersonExport>, Problem> {
    let (from, limit) = page.resolve(OrderCursor::NEWEST)?;
    let profile = state
        .users
        .get(caller.id.0)
        .await?
        .ok_or_else(unknown_user)?;
    let about = AuditSearch {
        target: Some(caller.id.0.to_string()),
        ..AuditSearch::default()
    };
    let changes = state
        .database
        .audit()
        .search(&about, AuditCursor::NEWEST, MAX_CHANGES)
        .await?;
    let (orders, next_cursor) = exported_orders(&state.database, caller.id, from, limit).await?;
    Ok(Json(PersonExport {
        exported_at: Timestamp::now(),
        profile,
        account_changes: changes
            .items
            .into_iter()
            .map(|row| AccountChange {
                at: row.at,
                action: row.action,
                outcome: row.outcome,
            })
            .collect(),
        orders,
        next_cursor,
    }))
}

/// Deletes the caller's account and erases all personal data.
///
/// Finished orders keep what accounting needs. `409 orders-under-way` while an order or a refund is
/// in progress, `409 staff-account` for staff. A repeated request has no further effect.
#[utoipa::path(delete, path = "/v1/me", operation_id = "delete_me", tag = "account",
    responses((status = 204), Failures))]
pub(crate) async fn delete_me(
    State(state): State<Arc<AppState>>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let email = match state.users.get(caller.id.0).await? {
        Some(user) => erasable_email(user)?,
        None => caller.email,
    };
    let shopper = Shopper {
        id: caller.id,
        email,
    };
    erase(&state, &ErasureTarget::Account(shopper)).await
}

/// Deletes the account of a user who has requested it, and erases all personal data.
///
/// The same as `DELETE /v1/me`. The caller must be an administrator, and cannot erase themselves.
#[utoipa::path(post, path = "/v1/users/{id}/erase", operation_id = "erase_user", tag = "users", request_body = AccountRequest,
    params(("id" = Uuid, Path)), responses((status = 204), Failures))]
pub(crate) async fn erase_user(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(AccountRequest { reason: _ }): Body<AccountRequest>,
) -> Result<StatusCode, Problem> {
    let id = parse_user_id(&id)?;
    check_administrator(&state.users, &caller, id).await?;
    let user = state.users.get(id).await?.ok_or_else(unknown_user)?;
    let shopper = Shopper {
        id: ShopperId(id),
        email: erasable_email(user)?,
    };
    tracing::info!(user = %id, by = %caller.id.0, "user.erasure_requested");
    erase(&state, &ErasureTarget::Account(shopper)).await
}

/// Erases the personal data of a guest who has requested it.
///
/// That is the data in all orders without an account of the e-mail address. `409 orders-under-way`
/// while one of the orders or a refund is in progress.
#[utoipa::path(post, path = "/v1/guests/erase", operation_id = "erase_guest", tag = "users", request_body = GuestErasure,
    responses((status = 204), Failures))]
pub(crate) async fn erase_guest(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Body(GuestErasure { email, reason: _ }): Body<GuestErasure>,
) -> Result<StatusCode, Problem> {
    let guest = Shopper::guest(&email);
    check_administrator(&state.users, &caller, guest.id.0).await?;
    tracing::info!(by = %caller.id.0, "guest.erasure_requested");
    erase(&state, &ErasureTarget::Guest(guest)).await
}

/// Erases the personal data in one order that was placed without an account.
///
/// `409 orders-under-way` while the order or a refund is in progress.
#[utoipa::path(post, path = "/v1/guest/orders/erase", operation_id = "erase_guest_order", tag = "guests", request_body = GuestRequest,
    responses((status = 204), Failures))]
pub(crate) async fn erase_guest_order(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    Body(request): Body<GuestRequest>,
) -> Result<StatusCode, Problem> {
    let order = find_guest_order(&state.database, &origin, &request).await?;
    erase(&state, &ErasureTarget::GuestOrder(order.shopper, order.id)).await
}

async fn exported_orders(
    database: &Database,
    shopper: ShopperId,
    from: OrderCursor,
    limit: u8,
) -> Result<(Vec<ExportedOrder>, Option<String>), Problem> {
    let page = database
        .orders()
        .list_by_shopper(shopper, from, limit)
        .await?;
    let ids: Vec<_> = page.items.iter().map(|order| order.id).collect();
    let mut timelines = database.orders().timelines(&ids).await?;
    let orders = page.items.into_iter().map(|order| {
        let events = timelines.remove(&order.id).unwrap_or_default();
        ExportedOrder {
            order: OrderView::from(&order),
            email: order.shopper.email,
            payment_method: order.payment_method,
            events: events
                .into_iter()
                .filter_map(TimelineEntry::for_shopper)
                .collect(),
        }
    });
    Ok((orders.collect(), page.next_cursor))
}

/// Stores the request for erasure, then erases what it can at once. If that is interrupted, the
/// retention job completes it.
async fn erase(state: &AppState, erase: &ErasureTarget) -> Result<StatusCode, Problem> {
    let now = Timestamp::now();
    let erasure = state.database.erasures().request(erase, now).await?;
    if let ErasureTarget::Account(shopper) = erase {
        state.users.delete(shopper.id.0).await?;
    }
    let has_ended = state.database.erasures().carry_out(erasure.id, now).await?;
    tracing::info!(erasure = %erasure.id, has_ended, "person.erased");
    Ok(StatusCode::NO_CONTENT)
}

/// Checks that the caller is still an administrator, and that the target is not their account.
async fn check_administrator(users: &Users, caller: &Caller, target: Uuid) -> Result<(), Problem> {
    if caller.id.0 == target {
        return Err(ChangeError::OwnAccount.into());
    }
    let user = users.get(caller.id.0).await?;
    let is_administrator = user.is_some_and(|user| user.is_acting_administrator());
    is_administrator
        .then_some(())
        .ok_or_else(|| ChangeError::NotAdministrator.into())
}

/// The e-mail address of a user who may be erased. Staff may not: the shop could lose its last
/// administrator.
fn erasable_email(user: User) -> Result<String, Problem> {
    if user.roles.iter().any(|role| role.is_staff()) {
        let detail = "An administrator must remove the account's staff roles first.";
        return Err(Problem::new(ProblemType::StaffAccount, detail));
    }
    Ok(user.email)
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::OrdersUnderWay => Self::new(
                ProblemType::OrdersUnderWay,
                "Cancel the orders, or wait until they are shipped and all refunds are complete.",
            ),
            EraseError::Store(error) => error.into(),
        }
    }
}
