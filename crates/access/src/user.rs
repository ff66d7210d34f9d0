//! A user, as administrators see one.

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
    /// May.
    Enabled,
    /// May not, until an administrator enables the account again.
    Disabled,
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// The user's own id.
    pub id: Uuid,
    /// Where messages go.
    pub email: String,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Whether the user has shown that the address is theirs, and chosen a password.
    pub confirmed: bool,
    /// What the user is; everybody is a shopper.
    pub roles: BTreeSet<Role>,
    /// Whether a code is asked of the user beside the password; told of single users, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<bool>,
    /// Since when there is the account.
    pub created_at: Timestamp,
}

impl User {
    /// Whether the user can act as an administrator.
    pub fn is_acting_administrator(&self) -> bool {
        self.status == UserStatus::Enabled
            && self.confirmed
            && self.roles.contains(&Role::Administrator)
    }
}
