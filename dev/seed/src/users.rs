//! The users: one for each role, and additional shoppers for concurrent tests.
//!
//! Their password is public. It is for laptops only: the program refuses to create these users
//! anywhere else.

use access::Role;
use anyhow::Context;
use aws_sdk_cognitoidentityprovider::{
    Client,
    operation::{admin_get_user::AdminGetUserError, create_group::CreateGroupError},
    types::{AttributeType, MessageActionType, UserStatusType},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use strum::IntoEnumIterator;

/// The password of every user. It satisfies the user pool's policy.
const PASSWORD: &str = "a river on a laptop";

/// The number of additional shoppers.
const SHOPPERS: usize = 20;

/// The number of concurrent calls.
const CALLERS: usize = 8;

/// The users, as the program prints them.
#[derive(Debug, Serialize)]
pub(crate) struct Users {
    users: Vec<User>,
    shoppers: Vec<Credentials>,
}

#[derive(Debug, Serialize)]
struct User {
    role: &'static str,
    #[serde(flatten)]
    credentials: Credentials,
}

#[derive(Debug, Serialize)]
struct Credentials {
    email: String,
    password: &'static str,
}

/// An account to create in the user pool.
struct Account<'a> {
    email: &'a str,
    group: &'static str,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self {
            users: Role::iter()
                .map(|role| User {
                    role: role.group(),
                    credentials: Credentials::of(role.group()),
                })
                .collect(),
            shoppers: (1..=SHOPPERS)
                .map(|number| Credentials::of(&format!("shopper{number:02}")))
                .collect(),
        }
    }

    fn accounts(&self) -> impl Iterator<Item = Account<'_>> {
        let users = self.users.iter().map(|user| Account {
            email: &user.credentials.email,
            group: user.role,
        });
        let shoppers = self.shoppers.iter().map(|shopper| Account {
            email: &shopper.email,
            group: Role::Shopper.group(),
        });
        users.chain(shoppers)
    }
}

impl Credentials {
    fn of(name: &str) -> Self {
        Self {
            email: format!("{name}@cauce.example"),
            password: PASSWORD,
        }
    }
}

/// A user pool on this machine.
pub(crate) struct UserPool {
    pub(crate) client: Client,
    pub(crate) id: String,
}

impl UserPool {
    /// Creates the groups and the users that do not exist yet.
    pub(crate) async fn add(&self, users: &Users) -> anyhow::Result<()> {
        stream::iter(Role::iter())
            .map(|role| self.add_group(role.group()))
            .buffer_unordered(CALLERS)
            .try_collect::<()>()
            .await?;
        stream::iter(users.accounts())
            .map(|account| self.add_account(account))
            .buffer_unordered(CALLERS)
            .try_collect()
            .await
    }

    async fn add_group(&self, group: &str) -> anyhow::Result<()> {
        let request = self
            .client
            .create_group()
            .user_pool_id(&self.id)
            .group_name(group);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(CreateGroupError::is_group_exists_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("cannot create the group {group}")),
        }
    }

    /// Sets the password last: a user with a password is complete, and is skipped at the next run.
    async fn add_account(&self, Account { email, group }: Account<'_>) -> anyhow::Result<()> {
        let failed = || format!("cannot create the user {email}");
        match self.status(email).await.with_context(failed)? {
            Some(UserStatusType::Confirmed) => return Ok(()),
            Some(_) => {}
            None => self.create(email).await.with_context(failed)?,
        }
        self.client
            .admin_add_user_to_group()
            .user_pool_id(&self.id)
            .username(email)
            .group_name(group)
            .send()
            .await
            .with_context(failed)?;
        self.client
            .admin_set_user_password()
            .user_pool_id(&self.id)
            .username(email)
            .password(PASSWORD)
            .permanent(true)
            .send()
            .await
            .with_context(failed)?;
        Ok(())
    }

    async fn status(&self, email: &str) -> anyhow::Result<Option<UserStatusType>> {
        let request = self
            .client
            .admin_get_user()
            .user_pool_id(&self.id)
            .username(email);
        match request.send().await {
            Ok(user) => Ok(user.user_status),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(AdminGetUserError::is_user_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self, email: &str) -> anyhow::Result<()> {
        self.client
            .admin_create_user()
            .user_pool_id(&self.id)
            .username(email)
            .user_attributes(attribute("email", email)?)
            .user_attributes(attribute("email_verified", "true")?)
            // The emulator's own temporary passwords are shorter than the user pool requires.
            .temporary_password(PASSWORD)
            .message_action(MessageActionType::Suppress)
            .send()
            .await?;
        Ok(())
    }
}

fn attribute(name: &str, value: &str) -> anyhow::Result<AttributeType> {
    Ok(AttributeType::builder().name(name).value(value).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_user_for_each_role_and_twenty_more_shoppers() {
        let users = Users::new();
        let emails: Vec<&str> = users.accounts().map(|account| account.email).collect();
        assert_eq!(
            emails[..6],
            [
                "shopper@cauce.example",
                "support@cauce.example",
                "catalogue-manager@cauce.example",
                "operator@cauce.example",
                "administrator@cauce.example",
                "shopper01@cauce.example",
            ]
        );
        assert_eq!(emails.len(), 25);
    }

    #[test]
    fn the_password_satisfies_the_user_pool() {
        assert!(PASSWORD.len() >= 15);
    }
}
