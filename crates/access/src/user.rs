//! A user's account, as administrators see it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Role;

/// Whether a user may sign in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UserStatus {
    /// The user may sign in.
    Enabled,
    /// The user may not sign in until an administrator enables the account again.
    Disabled,
}

/// A user's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// The user's e-mail address.
    pub email: String,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Whether the user has confirmed the e-mail address and chosen a password.
    pub confirmed: bool,
    /// The user's roles. Every user is a shopper.
    pub roles: BTreeSet<Role>,
    /// Whether sign-in requires a second factor. Absent in lists of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<bool>,
    /// The time at which the account was created.
    pub created_at: Timestamp,
}

impl User {
    /// Whether the user is an administrator who can sign in.
    pub fn is_acting_administrator(&self) -> bool {
        self.status == UserStatus::Enabled
            && self.confirmed
            && self.roles.contains(&Role::Administrator)
    }
}
