//! The users, whom Cognito keeps: each in the groups that are its roles.

use std::{collections::BTreeSet, str::FromStr};

use access::{Change, Role, User, UserStatus};
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

/// The most that Cognito lists at a time.
const MOST_LISTED: usize = 60;

/// How often Cognito is asked at most for one page: it searches by one thing only, and what is found
/// may not be as the others say.
const ASKED_AT_MOST: usize = 10;

/// How many users are looked up at once.
const LOOK_UPS: usize = 8;

/// What Cognito calls a code from an authenticator.
const TOTP: &str = "SOFTWARE_TOKEN_MFA";

/// The users of a pool.
#[derive(Debug, Clone)]
pub struct Users {
    client: Lazy<Client>,
    pool: String,
}

/// Which users are wanted: those that are as each of these says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSearch {
    /// With what the address begins, in upper or lower case; neither quotation marks nor backslashes.
    pub email: Option<String>,
    /// Whether they may sign in.
    pub status: Option<UserStatus>,
    /// What they are.
    pub role: Option<Role>,
}

/// Where a page begins; by default with the first user.
#[derive(Debug, Clone, Default)]
pub struct UsersFrom(Option<Position>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    /// The search that it is a place in.
    of: UserSearch,
    /// Cognito's own word for the place.
    token: String,
}

/// Why users are not listed.
#[derive(Debug, ThisError)]
pub enum UsersError {
    /// The cursor is of another search, or too old.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// Cognito is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FromStr for UsersFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor).map(|position| Self(Some(position)))
    }
}

/// What Cognito has listed, and its word for the place behind it.
type Listed = (Vec<UserType>, Option<String>);

impl Users {
    /// The users of the pool of that id.
    pub fn new(client: Lazy<Client>, pool: impl Into<String>) -> Self {
        Self {
            client,
            pool: pool.into(),
        }
    }

    /// The users that are wanted, in no order that means anything. A page may hold fewer than asked
    /// for, and still have a next.
    pub async fn list(
        &self,
        search: &UserSearch,
        from: UsersFrom,
        limit: u8,
    ) -> Result<Page<User>, UsersError> {
        let mut token = match from.0 {
            Some(Position { of, token }) if of == *search => Some(token),
            Some(_) => return Err(BadCursor.into()),
            None => None,
        };
        let mut found = Vec::new();
        for _ in 0..ASKED_AT_MOST {
            // No more than there is room for, so that the page ends where Cognito's own does.
            let room = usize::from(limit) - found.len();
            let (listed, next) = self.ask(search, room.min(MOST_LISTED), token).await?;
            found.extend(listed.into_iter().filter(|user| search.wants(user)));
            token = next;
            if token.is_none() || found.len() >= usize::from(limit) {
                break;
            }
        }
        let items = self.with_roles(found).await?;
        let position = token.map(|token| Position {
            of: search.clone(),
            token,
        });
        let next_cursor = position.as_ref().map(cursor::encode);
        Ok(Page { items, next_cursor })
    }

    /// The user of that id, if there is one.
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
        let mut user = user(
            found.user_attributes(),
            found.enabled(),
            found.user_status(),
            found.user_create_date(),
        )?;
        user.roles = self.roles(user.id).await?;
        user.second_factor = Some(has_totp);
        Ok(Some(user))
    }

    /// Whether there is somebody else who can act as an administrator.
    pub async fn has_other_administrator(&self, than: Uuid) -> Result<bool, StoreError> {
        let administrators = UserSearch {
            role: Some(Role::Administrator),
            ..UserSearch::default()
        };
        let mut token = None;
        loop {
            let asked = self.ask(&administrators, MOST_LISTED, token).await;
            let (listed, next) = asked.map_err(|error| match error {
                UsersError::Store(error) => error,
                UsersError::BadCursor(error) => StoreError::unreadable("Cognito's list", error),
            })?;
            let mut others = self.with_roles(listed).await?.into_iter();
            if others.any(|user| user.id != than && user.is_acting_administrator()) {
                return Ok(true);
            }
            if next.is_none() {
                return Ok(false);
            }
            token = next;
        }
    }

    /// Does that to a user, who was like this before. Doing it again does no harm, so that what has
    /// broken off half way is put right by a second try.
    pub async fn change(&self, before: &User, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Roles(_) => {
                let wanted = change.roles().unwrap_or_default();
                self.set_roles(before, &wanted).await
            }
            Change::Disable => {
                self.sign_out(before.id).await?;
                self.disable(before.id).await
            }
            Change::Enable => self.enable(before.id).await,
            Change::SignOut => self.sign_out(before.id).await,
            Change::ResetSecondFactor => {
                self.drop_second_factor(before.id).await?;
                self.sign_out(before.id).await
            }
        }
    }

    /// Deletes a user's account with all that Cognito keeps of it, and ends its sessions. One that is gone is as good.
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

    /// Gives a user exactly these roles and ends all sessions: none keeps a role that is gone, and
    /// none gains one without signing in again.
    ///
    /// Sessions end before a role is added, so that a change which breaks off leaves no session with
    /// more than it had. They end again after it, for those that began in between.
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

    /// Has Cognito no longer ask a user for an authenticator's code.
    async fn drop_second_factor(&self, id: Uuid) -> Result<(), StoreError> {
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
        done(request.send().await)
    }

    /// Gives a user a role.
    async fn add_role(&self, id: Uuid, role: Role) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_add_user_to_group()
            .user_pool_id(&self.pool)
            .username(id)
            .group_name(role.group());
        done(request.send().await)
    }

    /// Takes a role from a user.
    async fn remove_role(&self, id: Uuid, role: Role) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_remove_user_from_group()
            .user_pool_id(&self.pool)
            .username(id)
            .group_name(role.group());
        done(request.send().await)
    }

    /// Has a user no longer sign in.
    async fn disable(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_disable_user()
            .user_pool_id(&self.pool)
            .username(id);
        done(request.send().await)
    }

    /// Lets a user sign in again.
    async fn enable(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_enable_user()
            .user_pool_id(&self.pool)
            .username(id);
        done(request.send().await)
    }

    /// Ends all sessions of a user: none of them gets another access token.
    async fn sign_out(&self, id: Uuid) -> Result<(), StoreError> {
        let request = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(&self.pool)
            .username(id);
        done(request.send().await)
    }

    /// Asks Cognito for so many users, by the one thing of the search that leaves the fewest.
    async fn ask(
        &self,
        search: &UserSearch,
        limit: usize,
        token: Option<String>,
    ) -> Result<Listed, UsersError> {
        // At most 60.
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let is_placed = token.is_some();
        let listed = match search.role.filter(|role| role.is_staff()) {
            Some(role) => self.ask_group(role, limit, token).await,
            None => self.ask_all(search.filter(), limit, token).await,
        };
        listed.map_err(|error| match error {
            Error::InvalidParameterException(_) if is_placed => BadCursor.into(),
            error => StoreError::cognito(error).into(),
        })
    }

    async fn ask_group(
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

    async fn ask_all(
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
                let mut user = user(
                    listed.attributes(),
                    listed.enabled(),
                    listed.user_status(),
                    listed.user_create_date(),
                )?;
                user.roles = self.roles(user.id).await?;
                Ok(user)
            })
            .buffered(LOOK_UPS)
            .try_collect()
            .await
    }

    /// The roles of a user. Every user is a shopper, whether confirmed or not.
    async fn roles(&self, id: Uuid) -> Result<BTreeSet<Role>, StoreError> {
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
    /// What of the search Cognito can do: one thing, the address before all.
    fn filter(&self) -> Option<String> {
        let by_email = self.email.as_ref();
        let by_email = by_email.map(|email| format!("email ^= \"{email}\""));
        let by_status = self.status.map(|status| match status {
            UserStatus::Enabled => "status = \"Enabled\"".to_owned(),
            UserStatus::Disabled => "status = \"Disabled\"".to_owned(),
        });
        by_email.or(by_status)
    }

    /// Whether a user is as the search says, apart from the role. By that Cognito has searched, or it
    /// is everybody's.
    fn wants(&self, user: &UserType) -> bool {
        let email = attribute(user.attributes(), "email").unwrap_or_default();
        let begins = |with: &String| email.to_lowercase().starts_with(&with.to_lowercase());
        self.email.as_ref().is_none_or(begins)
            && self
                .status
                .is_none_or(|status| status == status_of(user.enabled()))
    }
}

fn done<T, E>(answer: Result<T, E>) -> Result<(), StoreError>
where
    Error: From<E>,
{
    match answer.map_err(Error::from) {
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

/// A user as Cognito describes one, without what it does not say there.
fn user(
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
    fn cognito_is_asked_by_the_address_before_all() {
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
    fn who_is_found_is_as_all_of_the_search_says() {
        let ana = listed("Ana@cauce.example", true);
        for (email, status, wanted) in [
            (Some("aNA@"), Some(UserStatus::Enabled), true),
            (Some("ana@"), Some(UserStatus::Disabled), false),
            (Some("na@"), None, false),
            (None, None, true),
        ] {
            assert_eq!(search(email, status).wants(&ana), wanted, "{email:?}");
        }
    }

    #[test]
    fn a_cursor_leads_on_in_its_own_search_alone() {
        let position = Position {
            of: search(Some("ana"), None),
            token: "24".to_owned(),
        };
        let from: UsersFrom = cursor::encode(&position).parse().unwrap();
        assert_eq!(from.0.unwrap().of, search(Some("ana"), None));
        for forged in ["", "x", "e30", "bnVsbA"] {
            assert!(forged.parse::<UsersFrom>().is_err(), "{forged}");
        }
    }
}
