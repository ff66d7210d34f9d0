//! The administration of users: search, roles, sign-out, and disabled accounts.

use std::{collections::BTreeSet, sync::Arc};

use access::{ChangeError, Role, User, UserChange, UserStatus};
use axum::{
    Extension, Json,
    extract::{Path, State},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use store::{UserCursor, UserSearch, Users, UsersError};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState, Failures,
    audit::{Changed, PersonalDataRead},
    authorization::Caller,
    page::PageLimit,
    problem::{Problem, ProblemType},
    request::{Body, Reason},
};

/// The longest prefix of an e-mail address in a search, in bytes.
const MAX_PREFIX: usize = 200;

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    items: Vec<User>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

/// Filters for users. They are in a body to keep e-mail addresses out of URLs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSearchRequest {
    /// The beginning of the e-mail address.
    email: Option<EmailPrefix>,
    /// Whether the user may sign in.
    status: Option<UserStatus>,
    /// A role of the user.
    role: Option<Role>,
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page of the same search.
    cursor: Option<String>,
}

/// The beginning of an e-mail address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200)]
struct EmailPrefix(String);

/// The roles that replace a user's present ones.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesRequest {
    /// All roles of the user. Every user is a shopper, listed or not.
    roles: BTreeSet<Role>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The reason for a change of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountRequest {
    /// The reason, for the audit log.
    pub(crate) reason: Reason,
}

type ChangedUser = Result<(Extension<Changed>, Json<User>), Problem>;

/// Searches users, in no particular order.
///
/// A page may have fewer users than its limit, even none, and still have a `next_cursor`.
#[utoipa::path(post, path = "/v1/users/search", operation_id = "search_users", tag = "users", request_body = UserSearchRequest,
    responses((status = 200, body = UserList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Body(request): Body<UserSearchRequest>,
) -> Result<impl IntoResponse, Problem> {
    let limit = request.limit.get();
    let (search, from) = request.search()?;
    let page = state.users.list(&search, from, limit).await?;
    let list = UserList {
        items: page.items,
        next_cursor: page.next_cursor,
    };
    Ok((PersonalDataRead::MARK, Json(list)))
}

/// A user.
#[utoipa::path(get, path = "/v1/users/{id}", operation_id = "get_user", tag = "users",
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let user = state.users.get(parse_user_id(&id)?).await?;
    let user = user.ok_or_else(unknown_user)?;
    Ok((PersonalDataRead::MARK, Json(user)))
}

/// Replaces the roles of a user, and signs them out everywhere.
///
/// `409 last-administrator` if the shop would lose its last administrator, `409 own-account` for
/// the caller's own account.
#[utoipa::path(put, path = "/v1/users/{id}/roles", operation_id = "set_user_roles", tag = "users", request_body = RolesRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn set_roles(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<RolesRequest>,
) -> ChangedUser {
    let change = UserChange::Roles(request.roles);
    change_user(&state, &caller, &id, &change, &request.reason).await
}

/// Disables the account of a user, and signs them out everywhere.
///
/// `409 last-administrator` if the shop would lose its last administrator, `409 own-account` for
/// the caller's own account.
#[utoipa::path(post, path = "/v1/users/{id}/disable", operation_id = "disable_user", tag = "users", request_body = AccountRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn disable(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(AccountRequest { reason }): Body<AccountRequest>,
) -> ChangedUser {
    change_user(&state, &caller, &id, &UserChange::Disable, &reason).await
}

/// Enables a disabled account.
#[utoipa::path(post, path = "/v1/users/{id}/enable", operation_id = "enable_user", tag = "users", request_body = AccountRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn enable(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(AccountRequest { reason }): Body<AccountRequest>,
) -> ChangedUser {
    change_user(&state, &caller, &id, &UserChange::Enable, &reason).await
}

/// Signs a user out everywhere.
///
/// Access tokens that the user has stay valid until they expire, within minutes.
#[utoipa::path(post, path = "/v1/users/{id}/sign-out", operation_id = "sign_user_out", tag = "users", request_body = AccountRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn sign_out(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(AccountRequest { reason }): Body<AccountRequest>,
) -> ChangedUser {
    change_user(&state, &caller, &id, &UserChange::SignOut, &reason).await
}

/// Resets the authenticator of a user, and signs them out everywhere.
///
/// The user can then sign in by password alone, and set up another authenticator. `409 own-account`
/// for the caller's own account.
#[utoipa::path(post, path = "/v1/users/{id}/second-factor/reset", operation_id = "reset_second_factor", tag = "users", request_body = AccountRequest,
    params(("id" = Uuid, Path)), responses((status = 200, body = User), Failures))]
pub(crate) async fn reset_second_factor(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(AccountRequest { reason }): Body<AccountRequest>,
) -> ChangedUser {
    change_user(
        &state,
        &caller,
        &id,
        &UserChange::ResetSecondFactor,
        &reason,
    )
    .await
}

/// Changes a user under the lock of all users, so that no concurrent change can take the
/// caller's own permission away or remove another administrator.
async fn change_user(
    state: &AppState,
    caller: &Caller,
    id: &str,
    change: &UserChange,
    reason: &Reason,
) -> ChangedUser {
    let work = Box::pin(check_and_change(
        &state.users,
        caller.id.0,
        parse_user_id(id)?,
        change,
    ));
    let (before, after) = state.database.with_users_lock(work).await??;
    let (by, why) = (caller.id.0, reason.as_str());
    tracing::info!(user = %after.id, %by, ?change, why, "user.changed");
    Ok((Extension(Changed::new(&before, &after)), Json(after)))
}

/// Checks and makes the change. Returns the user before and after it.
async fn check_and_change(
    users: &Users,
    actor: Uuid,
    target: Uuid,
    change: &UserChange,
) -> Result<(User, User), Problem> {
    let (actor, before) = tokio::try_join!(users.get(actor), users.get(target))?;
    let actor = actor.ok_or(ChangeError::NotAdministrator)?;
    let before = before.ok_or_else(unknown_user)?;
    let others =
        !change.removes_administrator(&before) || users.has_other_administrator(target).await?;
    change.check(&actor, &before, others)?;
    users.change(&before, change).await?;
    let after = users.get(target).await?.ok_or_else(unknown_user)?;
    Ok((before, after))
}

pub(crate) fn unknown_user() -> Problem {
    Problem::not_found("user")
}

/// Parses a user's id in a path. 404 if it is not a UUID.
pub(crate) fn parse_user_id(id: &str) -> Result<Uuid, Problem> {
    id.parse().map_err(|_| unknown_user())
}

impl UserSearchRequest {
    fn search(self) -> Result<(UserSearch, UserCursor), Problem> {
        let search = UserSearch {
            email: self.email.map(|EmailPrefix(email)| email),
            status: self.status,
            role: self.role,
        };
        let from = self.cursor.map(|cursor| cursor.parse()).transpose()?;
        Ok((search, from.unwrap_or_default()))
    }
}

impl TryFrom<String> for EmailPrefix {
    type Error = orders::Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Excludes characters with which the text could escape from the quotes of Cognito's filter.
        let is_unsafe = |c: char| c.is_whitespace() || c.is_control() || ['"', '\\'].contains(&c);
        if (1..=MAX_PREFIX).contains(&text.len()) && !text.contains(is_unsafe) {
            Ok(Self(text))
        } else {
            let rule = "must be the beginning of an e-mail address, of at most 200 characters";
            Err(orders::Invalid(rule))
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(reason: ChangeError) -> Self {
        let kind = match reason {
            ChangeError::LastAdministrator => ProblemType::LastAdministrator,
            ChangeError::OwnAccount => ProblemType::OwnAccount,
            ChangeError::NotAdministrator => ProblemType::NotAdministrator,
        };
        Self::new(kind, reason.to_string())
    }
}

impl From<UsersError> for Problem {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::BadCursor(error) => error.into(),
            UsersError::Store(error) => error.into(),
        }
    }
}
