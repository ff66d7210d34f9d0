//! Users, which Cognito stores. A user's roles are groups in Cognito.

use std::{collections::BTreeSet, str::FromStr};

use access::{Role, User, UserChange, UserStatus};
use aws_sdk_cognitoidentityprovider::{
    Client, Error,
    primitives::DateTime,
    types::{AttributeType, SoftwareTokenMfaSettingsType, UserStatusType, UserType},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error as ThisError;
use uuid::Uuid;

use super::lazy::Lazy;
use crate::{
    cursor::{self, BadCursor, Page},
    error::StoreError,
};

/// The maximum number of users that Cognito lists in one call.
const MAX_LISTED: usize = 60;

/// The maximum number of calls to Cognito for one page. Cognito filters by one condition only, so
/// few of the users that it lists may match the others.
const MAX_CALLS: usize = 10;

/// How many users are looked up concurrently.
const CONCURRENT_LOOKUPS: usize = 8;

/// Cognito's name for codes from an authenticator app.
const TOTP: &str = "SOFTWARE_TOKEN_MFA";

/// The users of a user pool.
#[derive(Debug, Clone)]
pub struct Users {
    client: Lazy<Client>,
    pool: String,
}

/// The conditions of a search for users. A condition that is not given matches every user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSearch {
    /// The beginning of the e-mail address, compared case-insensitively. Must contain neither
    /// quotation marks nor backslashes.
    pub email: Option<String>,
    /// Whether the user may sign in.
    pub status: Option<UserStatus>,
    /// A role of the user.
    pub role: Option<Role>,
}

/// The start of a page of users; by default, the first user.
#[derive(Debug, Clone, Default)]
pub struct UserCursor(Option<UserPosition>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct UserPosition {
    /// The search whose page ended here.
    of: UserSearch,
    /// Cognito's pagination token.
    token: String,
}

/// Why users were not listed.
#[derive(Debug, ThisError)]
pub enum UsersError {
    /// The cursor belongs to another search, or has expired.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// Cognito failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FromStr for UserCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor).map(|position| Self(Some(position)))
    }
}

/// Users that Cognito has listed, and its token for the next page.
type Listed = (Vec<UserType>, Option<String>);

impl Users {
    /// The users of the user pool with this id.
    pub fn new(client: Lazy<Client>, pool: impl Into<String>) -> Self {
        Self {
            client,
            pool: pool.into(),
        }
    }

    /// Lists the users that match, in no particular order. A page may hold fewer users than `limit`
    /// and still not be the last.
    pub async fn list(
        &self,
        search: &UserSearch,
        from: UserCursor,
        limit: u8,
    ) -> Result<Page<User>, UsersError> {
        let mut token = match from.0 {
            Some(UserPosition { of, token }) if of == *search => Some(token),
            Some(_) => return Err(BadCursor.into()),
            None => None,
        };
        let mut found = Vec::new();
        for _ in 0..MAX_CALLS {
            // Not more than fit in the page, so that it ends where Cognito's token continues.
            let room = usize::from(limit) - found.len();
            let (listed, next) = self.list_page(search, room.min(MAX_LISTED), token).await?;
            found.extend(listed.into_iter().filter(|user| search.matches(user)));
            token = next;
            if token.is_none() || found.len() >= usize::from(limit) {
                break;
            }
        }
        let items = self.with_roles(found).await?;
        let position = token.map(|token| UserPosition {
            of: search.clone(),
            token,
        });
        let next_cursor = position.as_ref().map(cursor::encode);
        Ok(Page { items, next_cursor })
    }

    /// Returns the user with this id, if there is one.
    pub async fn get(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let request = self
            .client
            .admin_get_user()
            .user_pool_id(&self.pool)
            .username(id);
        let found = match request.send().await.map_err(Error::from) {
            Ok(found) => found,
            Err(Error::UserNotFoundException(_)) => return Ok(None),
            Err(error) => return Err(StoreError::cognito(error)),
        };
        let has_totp = found.user_mfa_setting_list().iter().any(|it| it == TOTP);
        let mut user = read_user(
            found.user_attributes(),
            found.enabled(),
            found.user_status(),
            found.user_create_date(),
        )?;
        user.roles = self.list_roles(user.id).await?;
        user.second_factor = Some(has_totp);
        Ok(Some(user))
    }

    /// Whether a user other than `excluded` can act as an administrator.
    pub async fn has_other_administrator(&self, excluded: Uuid) -> Result<bool, StoreError> {
        let administrators = UserSearch {
            role: Some(Role::Administrator),
            ..UserSearch::default()
        };
        let mut token = None;
        loop {
            let page = self.list_page(&administrators, MAX_LISTED, token).await;
            let (listed, next) = page.map_err(|error| match error {
                UsersError::Store(error) => error,
                UsersError::BadCursor(error) => StoreError::unreadable("Cognito's list", error),
            })?;
            let mut users = self.with_roles(listed).await?.into_iter();
            if users.any(|user| user.id != excluded && user.is_acting_administrator()) {
                return Ok(true);
            }
            if next.is_none() {
                return Ok(false);
            }
            token = next;
        }
    }

    /// Changes a user, whose state was `before`. Safe to repeat, so that a retry completes a change
    /// that failed halfway.
    pub async fn change(&self, before: &User, change: &UserChange) -> Result<(), StoreError> {
        match change {
            UserChange::Roles(_) => {
                let wanted = change.roles().unwrap_or_default();
                self.set_roles(before, &wanted).await
            }
            UserChange::Disable => {
                self.sign_out(before.id).await?;
                self.disable(before.id).await
            }
            UserChange::Enable => self.enable(before.id).await,
            UserChange::SignOut => self.sign_out(before.id).await,
            UserChange::ResetSecondFactor => {
                self.disable_second_factor(before.id).await?;
                self.sign_out(before.id).await
            }
        }
    }

    /// Deletes a user's account with all its data in Cognito, and ends its sessions. Succeeds if
    /// the account does not exist any more.
    pub async fn delete(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_delete_user()
            .user_pool_id(&self.pool)
            .username(id);
        match request.send().await.map_err(Error::from) {
            Ok(_) | Err(Error::UserNotFoundException(_)) => Ok(()),
            Err(error) => Err(StoreError::cognito(error)),
        }
    }

    /// Sets exactly these roles and ends all sessions: no session keeps a removed role, and none
    /// gains a role without a new sign-in.
    ///
    /// Sessions end before a role is added, so that a change that fails halfway leaves no session
    /// with more rights than before. They end again afterwards, for those that began in between.
    async fn set_roles(&self, before: &User, wanted: &BTreeSet<Role>) -> Result<(), StoreError> {
        for role in before.roles.difference(wanted) {
            self.remove_role(before.id, *role).await?;
        }
        self.sign_out(before.id).await?;
        let added: Vec<_> = wanted.difference(&before.roles).collect();
        for role in &added {
            self.add_role(before.id, **role).await?;
        }
        if added.is_empty() {
            return Ok(());
        }
        self.sign_out(before.id).await
    }

    /// Stops Cognito from requiring an authenticator code of a user.
    async fn disable_second_factor(&self, id: Uuid) -> Result<(), StoreError> {
        let off = SoftwareTokenMfaSettingsType::builder()
            .enabled(false)
            .preferred_mfa(false)
            .build();
        let request = self
            .client
            .admin_set_user_mfa_preference()
            .user_pool_id(&self.pool)
            .username(id)
            .software_token_mfa_settings(off);
        discard_output(request.send().await)
    }

    async fn add_role(&self, id: Uuid, role: Role) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_add_user_to_group()
            .user_pool_id(&self.pool)
            .username(id)
            .group_name(role.group());
        discard_output(request.send().await)
    }

    async fn remove_role(&self, id: Uuid, role: Role) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_remove_user_from_group()
            .user_pool_id(&self.pool)
            .username(id)
            .group_name(role.group());
        discard_output(request.send().await)
    }

    /// Prevents a user from signing in.
    async fn disable(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_disable_user()
            .user_pool_id(&self.pool)
            .username(id);
        discard_output(request.send().await)
    }

    /// Lets a user sign in again.
    async fn enable(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_enable_user()
            .user_pool_id(&self.pool)
            .username(id);
        discard_output(request.send().await)
    }

    /// Ends all sessions of a user: they can get no further access token.
    async fn sign_out(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(&self.pool)
            .username(id);
        discard_output(request.send().await)
    }

    /// Lists a page of users from Cognito, filtered by the one condition that leaves the fewest.
    async fn list_page(
        &self,
        search: &UserSearch,
        limit: usize,
        token: Option<String>,
    ) -> Result<Listed, UsersError> {
        // At most `MAX_LISTED`.
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let has_token = token.is_some();
        let listed = match search.role.filter(|role| role.is_staff()) {
            Some(role) => self.list_group(role, limit, token).await,
            None => self.list_all(search.filter(), limit, token).await,
        };
        listed.map_err(|error| match error {
            Error::InvalidParameterException(_) if has_token => BadCursor.into(),
            error => StoreError::cognito(error).into(),
        })
    }

    async fn list_group(
        &self,
        role: Role,
        limit: i32,
        token: Option<String>,
    ) -> Result<Listed, Error> {
        let request = self
            .client
            .list_users_in_group()
            .user_pool_id(&self.pool)
            .group_name(role.group())
            .limit(limit)
            .set_next_token(token);
        let listed = request.send().await?;
        Ok((listed.users.unwrap_or_default(), listed.next_token))
    }

    async fn list_all(
        &self,
        filter: Option<String>,
        limit: i32,
        token: Option<String>,
    ) -> Result<Listed, Error> {
        let request = self
            .client
            .list_users()
            .user_pool_id(&self.pool)
            .limit(limit)
            .set_filter(filter)
            .set_pagination_token(token);
        let listed = request.send().await?;
        Ok((listed.users.unwrap_or_default(), listed.pagination_token))
    }

    async fn with_roles(&self, listed: Vec<UserType>) -> Result<Vec<User>, StoreError> {
        stream::iter(listed)
            .map(async |listed| {
                let mut user = read_user(
                    listed.attributes(),
                    listed.enabled(),
                    listed.user_status(),
                    listed.user_create_date(),
                )?;
                user.roles = self.list_roles(user.id).await?;
                Ok(user)
            })
            .buffered(CONCURRENT_LOOKUPS)
            .try_collect()
            .await
    }

    /// Returns a user's roles. Every user is a shopper, whether confirmed or not.
    async fn list_roles(&self, id: Uuid) -> Result<BTreeSet<Role>, StoreError> {
        let request = self
            .client
            .admin_list_groups_for_user()
            .user_pool_id(&self.pool)
            .username(id)
            .limit(60);
        let groups = request.send().await.map_err(Error::from);
        let groups = groups.map_err(StoreError::cognito)?;
        let names = groups
            .groups()
            .iter()
            .filter_map(|group| group.group_name());
        let roles = names.filter_map(|name| name.parse().ok());
        Ok(roles.chain([Role::Shopper]).collect())
    }
}

impl UserSearch {
    /// The filter for Cognito, which accepts one condition only: the address if given, else the
    /// status.
    fn filter(&self) -> Option<String> {
        let by_email = self.email.as_ref();
        let by_email = by_email.map(|email| format!("email ^= \"{email}\""));
        let by_status = self.status.map(|status| match status {
            UserStatus::Enabled => "status = \"Enabled\"".to_owned(),
            UserStatus::Disabled => "status = \"Disabled\"".to_owned(),
        });
        by_email.or(by_status)
    }

    /// Whether a user matches the search. The role is not checked: Cognito has filtered by a staff
    /// role, and every user is a shopper.
    fn matches(&self, user: &UserType) -> bool {
        let email = attribute(user.attributes(), "email").unwrap_or_default();
        let has_prefix = |prefix: &String| email.to_lowercase().starts_with(&prefix.to_lowercase());
        self.email.as_ref().is_none_or(has_prefix)
            && self
                .status
                .is_none_or(|status| status == status_of(user.enabled()))
    }
}

fn discard_output<T, E>(result: Result<T, E>) -> Result<(), StoreError>
where
    Error: From<E>,
{
    match result.map_err(Error::from) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::cognito(error)),
    }
}

fn attribute<'a>(attributes: &'a [AttributeType], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.name() == name);
    found.and_then(AttributeType::value)
}

const fn status_of(enabled: bool) -> UserStatus {
    if enabled {
        UserStatus::Enabled
    } else {
        UserStatus::Disabled
    }
}

/// Reads a user from Cognito's attributes, without the roles and the second factor.
fn read_user(
    attributes: &[AttributeType],
    enabled: bool,
    status: Option<&UserStatusType>,
    created_at: Option<&DateTime>,
) -> Result<User, StoreError> {
    let id = attribute(attributes, "sub").unwrap_or_default().parse();
    let created_at = created_at.and_then(|at| {
        let nanoseconds = i32::try_from(at.subsec_nanos()).ok()?;
        Timestamp::new(at.secs(), nanoseconds).ok()
    });
    let is_new = |status: &UserStatusType| {
        matches!(
            status,
            UserStatusType::Unconfirmed | UserStatusType::ForceChangePassword
        )
    };
    Ok(User {
        id: id.map_err(|error: uuid::Error| StoreError::unreadable("a user's sub", error))?,
        email: attribute(attributes, "email")
            .unwrap_or_default()
            .to_owned(),
        status: status_of(enabled),
        confirmed: !status.is_some_and(is_new),
        roles: BTreeSet::new(),
        second_factor: None,
        created_at: created_at.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(email: &str, enabled: bool) -> UserType {
        let email = AttributeType::builder().name("email").value(email);
        UserType::builder()
            .attributes(email.build().unwrap())
            .enabled(enabled)
            .build()
    }

    fn search(email: Option<&str>, status: Option<UserStatus>) -> UserSearch {
        UserSearch {
            email: email.map(str::to_owned),
            status,
            role: None,
        }
    }

    #[test]
    fn cognito_filters_by_the_address_if_it_is_given() {
        let disabled = Some(UserStatus::Disabled);
        for (search, filter) in [
            (search(Some("ana@"), disabled), Some("email ^= \"ana@\"")),
            (search(None, disabled), Some("status = \"Disabled\"")),
            (search(None, None), None),
        ] {
            assert_eq!(search.filter().as_deref(), filter);
        }
    }

    #[test]
    fn a_match_meets_every_condition() {
        let ana = listed("Ana@cauce.example", true);
        for (email, status, expected) in [
            (Some("aNA@"), Some(UserStatus::Enabled), true),
            (Some("ana@"), Some(UserStatus::Disabled), false),
            (Some("na@"), None, false),
            (None, None, true),
        ] {
            assert_eq!(search(email, status).matches(&ana), expected, "{email:?}");
        }
    }

    #[test]
    fn a_cursor_holds_its_search_and_a_forged_one_is_refused() {
        let position = UserPosition {
            of: search(Some("ana"), None),
            token: "24".to_owned(),
        };
        let from: UserCursor = cursor::encode(&position).parse().unwrap();
        assert_eq!(from.0.unwrap().of, search(Some("ana"), None));
        for forged in ["", "x", "e30", "bnVsbA"] {
            assert!(forged.parse::<UserCursor>().is_err(), "{forged}");
        }
    }
}
