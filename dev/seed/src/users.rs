//! Who can sign in: one user for each role, and shoppers for tests with many at once.
//!
//! Their password stands here for everyone to read. It is for laptops; the program refuses to make
//! these users anywhere else.

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

/// Long enough.
const PASSWORD: &str = "a river on a laptop";

/// How many shoppers there are beside the one of the role.
const SHOPPERS: usize = 20;

/// How many calls are under way at once.
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

/// Someone to be in the user pool.
struct Person<'a> {
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

    fn people(&self) -> impl Iterator<Item = Person<'_>> {
        let users = self.users.iter().map(|user| Person {
            email: &user.credentials.email,
            group: user.role,
        });
        let shoppers = self.shoppers.iter().map(|shopper| Person {
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
    /// Makes the groups and the users that are missing.
    pub(crate) async fn add(&self, users: &Users) -> anyhow::Result<()> {
        stream::iter(Role::iter())
            .map(|role| self.add_group(role.group()))
            .buffer_unordered(CALLERS)
            .try_collect::<()>()
            .await?;
        stream::iter(users.people())
            .map(|person| self.add_person(person))
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
            Err(error) => Err(error).with_context(|| format!("the group {group} cannot be made")),
        }
    }

    /// The password comes last: who has one is complete, and is left alone the next time.
    async fn add_person(&self, Person { email, group }: Person<'_>) -> anyhow::Result<()> {
        let failed = || format!("the user {email} cannot be made");
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
            // The emulator's own temporary passwords are shorter than the user pool's rule.
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
    fn there_is_a_user_for_each_role_and_twenty_shoppers_more() {
        let users = Users::new();
        let emails: Vec<&str> = users.people().map(|person| person.email).collect();
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
    fn the_password_is_one_that_the_user_pool_takes() {
        assert!(PASSWORD.len() >= 15);
    }
}
