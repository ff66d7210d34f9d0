//! The changes that an administrator may make to a user's account. Administrators cannot change
//! their own roles or status, and the shop always has an administrator.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::{Role, User};

/// A change of a user's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// Replaces the user's roles. The role of a shopper is always included.
    Roles(BTreeSet<Role>),
    /// Prevents the user from signing in.
    Disable,
    /// Allows the user to sign in again.
    Enable,
    /// Ends the user's sessions.
    SignOut,
    /// Removes the user's lost authenticator and ends the sessions.
    ResetSecondFactor,
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The shop would have no administrator.
    #[error("the shop needs an administrator; give another user this role first")]
    LastAdministrator,
    /// The account is the administrator's own.
    #[error("you cannot change your own account here; ask another administrator")]
    OwnAccount,
    /// The actor was an administrator at sign-in, and is no longer one.
    #[error("you are no longer an administrator")]
    NotAdministrator,
}

impl UserChange {
    /// The user's new roles, if this changes them.
    pub fn roles(&self) -> Option<BTreeSet<Role>> {
        match self {
            Self::Roles(roles) => Some(roles.iter().copied().chain([Role::Shopper]).collect()),
            Self::Disable | Self::Enable | Self::SignOut | Self::ResetSecondFactor => None,
        }
    }

    /// Whether `target` is an administrator, and no longer one after the change.
    pub fn removes_administrator(&self, target: &User) -> bool {
        let remains_administrator = match self {
            Self::Roles(roles) => roles.contains(&Role::Administrator),
            Self::Disable => false,
            Self::Enable | Self::SignOut | Self::ResetSecondFactor => true,
        };
        target.is_acting_administrator() && !remains_administrator
    }

    /// Checks that `actor` may make this change to `target`. `others` says whether there are other
    /// administrators than the target.
    ///
    /// The users are as they are now, not as in the actor's token. So if two
    /// administrators remove each other's role, the second one is refused.
    pub fn check(&self, actor: &User, target: &User, others: bool) -> Result<(), ChangeError> {
        if self.removes_administrator(target) && !others {
            return Err(ChangeError::LastAdministrator);
        }
        if actor.id == target.id && *self != Self::SignOut {
            return Err(ChangeError::OwnAccount);
        }
        if !actor.is_acting_administrator() {
            return Err(ChangeError::NotAdministrator);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use strum::IntoEnumIterator;
    use uuid::Uuid;

    use super::*;
    use crate::UserStatus;

    fn user(id: u128, roles: &[Role]) -> User {
        User {
            id: Uuid::from_u128(id),
            email: format!("user{id}@cauce.example"),
            status: UserStatus::Enabled,
            confirmed: true,
            roles: roles.iter().copied().chain([Role::Shopper]).collect(),
            second_factor: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn administrator(id: u128) -> User {
        user(id, &[Role::Administrator])
    }

    fn roles(roles: &[Role]) -> UserChange {
        UserChange::Roles(roles.iter().copied().collect())
    }

    #[test]
    fn administrators_cannot_change_their_own_account() {
        let me = administrator(1);
        for change in [
            roles(&[Role::Administrator, Role::Operator]),
            roles(&[]),
            UserChange::Disable,
            UserChange::Enable,
            UserChange::ResetSecondFactor,
        ] {
            let refused = change.check(&me, &me, true);
            assert_eq!(refused, Err(ChangeError::OwnAccount), "{change:?}");
        }
        assert_eq!(UserChange::SignOut.check(&me, &me, false), Ok(()));
    }

    #[test]
    fn the_last_administrator_cannot_be_removed() {
        let last = administrator(1);
        for actor in [&last, &user(2, &[Role::Operator])] {
            for change in [roles(&[Role::Operator]), UserChange::Disable] {
                let refused = change.check(actor, &last, false);
                assert_eq!(refused, Err(ChangeError::LastAdministrator), "{change:?}");
            }
        }
    }

    #[test]
    fn a_user_who_cannot_act_as_an_administrator_can_be_removed() {
        let mut disabled = administrator(1);
        disabled.status = UserStatus::Disabled;
        let mut unconfirmed = administrator(2);
        unconfirmed.confirmed = false;
        for target in [disabled, unconfirmed, user(3, &[Role::Support])] {
            assert_eq!(roles(&[]).check(&administrator(4), &target, false), Ok(()));
        }
    }

    #[test]
    fn a_former_administrator_can_change_nothing() {
        let mut disabled = administrator(1);
        disabled.status = UserStatus::Disabled;
        for actor in [user(2, &[]), user(3, &[Role::Operator]), disabled] {
            for change in [
                roles(&[]),
                UserChange::Disable,
                UserChange::Enable,
                UserChange::SignOut,
                UserChange::ResetSecondFactor,
            ] {
                let refused = change.check(&actor, &user(4, &[]), true);
                assert_eq!(refused, Err(ChangeError::NotAdministrator), "{change:?}");
            }
        }
    }

    #[test]
    fn every_user_stays_a_shopper() {
        let count = |change: UserChange| change.roles().map(|roles| roles.len());
        assert_eq!(count(roles(&[])), Some(1));
        assert_eq!(count(roles(&[Role::Shopper, Role::Support])), Some(2));
        assert_eq!(count(UserChange::Disable), None);
    }

    fn any_change() -> impl Strategy<Value = UserChange> {
        let all: Vec<Role> = Role::iter().collect();
        prop_oneof![
            prop::collection::btree_set(prop::sample::select(all), 0..5)
                .prop_map(UserChange::Roles),
            Just(UserChange::Disable),
            Just(UserChange::Enable),
            Just(UserChange::SignOut),
            Just(UserChange::ResetSecondFactor),
        ]
    }

    proptest! {
        #[test]
        fn after_any_changes_the_shop_has_an_administrator(
            attempts in prop::collection::vec((0..4_usize, 0..4_usize, any_change()), 0..40),
        ) {
            let mut users = [administrator(0), administrator(1), user(2, &[]), user(3, &[])];
            for (actor, target, change) in attempts {
                let others = users
                    .iter()
                    .enumerate()
                    .any(|(index, user)| index != target && user.is_acting_administrator());
                if change.check(&users[actor], &users[target], others).is_ok() {
                    let user = &mut users[target];
                    user.roles = change.roles().unwrap_or_else(|| user.roles.clone());
                    match change {
                        UserChange::Disable => user.status = UserStatus::Disabled,
                        UserChange::Enable => user.status = UserStatus::Enabled,
                        UserChange::Roles(_) | UserChange::SignOut | UserChange::ResetSecondFactor => {}
                    }
                }
                prop_assert!(users.iter().any(User::is_acting_administrator));
            }
        }
    }
}
