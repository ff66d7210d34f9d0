//! What an administrator may do to an account: nobody raises, lowers or locks out themselves, and
//! there is always an administrator.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::{Role, User};

/// What is to be done to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The user has these roles from now on, and is a shopper in any case.
    Roles(BTreeSet<Role>),
    /// The user may no longer sign in.
    Disable,
    /// The user may sign in again.
    Enable,
    /// The user's sessions end.
    SignOut,
    /// The user's lost authenticator no longer counts, and the sessions end.
    ResetSecondFactor,
}

/// Why it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAllowed {
    /// Nobody would be left to look after users.
    #[error("the shop needs an administrator; make somebody else one first")]
    LastAdministrator,
    /// It is the administrator's own account.
    #[error("nobody changes their own account here; ask another administrator")]
    OwnAccount,
    /// The actor was an administrator when they signed in, and is no longer one.
    #[error("you are no longer an administrator")]
    NotAdministrator,
}

impl Change {
    /// The roles that the user is to have, if this changes them.
    pub fn roles(&self) -> Option<BTreeSet<Role>> {
        match self {
            Self::Roles(roles) => Some(roles.iter().copied().chain([Role::Shopper]).collect()),
            Self::Disable | Self::Enable | Self::SignOut | Self::ResetSecondFactor => None,
        }
    }

    /// Whether the shop has an administrator less by it.
    pub fn costs_an_administrator(&self, target: &User) -> bool {
        let remains = match self {
            Self::Roles(roles) => roles.contains(&Role::Administrator),
            Self::Disable => false,
            Self::Enable | Self::SignOut | Self::ResetSecondFactor => true,
        };
        target.is_acting_administrator() && !remains
    }

    /// Whether `actor` may do it to `target`, while there are `others`: administrators beside the
    /// target.
    ///
    /// All three are as they are now and not as the actor's token tells. So of two administrators
    /// who take the role from each other, the second one is refused.
    pub fn check(&self, actor: &User, target: &User, others: bool) -> Result<(), NotAllowed> {
        if self.costs_an_administrator(target) && !others {
            return Err(NotAllowed::LastAdministrator);
        }
        if actor.id == target.id && *self != Self::SignOut {
            return Err(NotAllowed::OwnAccount);
        }
        if !actor.is_acting_administrator() {
            return Err(NotAllowed::NotAdministrator);
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

    fn roles(roles: &[Role]) -> Change {
        Change::Roles(roles.iter().copied().collect())
    }

    #[test]
    fn nobody_changes_their_own_account() {
        let me = administrator(1);
        for change in [
            roles(&[Role::Administrator, Role::Operator]),
            roles(&[]),
            Change::Disable,
            Change::Enable,
            Change::ResetSecondFactor,
        ] {
            let refused = change.check(&me, &me, true);
            assert_eq!(refused, Err(NotAllowed::OwnAccount), "{change:?}");
        }
        assert_eq!(Change::SignOut.check(&me, &me, false), Ok(()));
    }

    #[test]
    fn the_last_administrator_stays_one() {
        let last = administrator(1);
        for actor in [&last, &user(2, &[Role::Operator])] {
            for change in [roles(&[Role::Operator]), Change::Disable] {
                let refused = change.check(actor, &last, false);
                assert_eq!(refused, Err(NotAllowed::LastAdministrator), "{change:?}");
            }
        }
    }

    #[test]
    fn who_cannot_act_as_an_administrator_is_no_loss() {
        let mut disabled = administrator(1);
        disabled.status = UserStatus::Disabled;
        let mut unconfirmed = administrator(2);
        unconfirmed.confirmed = false;
        for target in [disabled, unconfirmed, user(3, &[Role::Support])] {
            assert_eq!(roles(&[]).check(&administrator(4), &target, false), Ok(()));
        }
    }

    #[test]
    fn who_is_no_administrator_any_more_does_nothing() {
        let mut disabled = administrator(1);
        disabled.status = UserStatus::Disabled;
        for actor in [user(2, &[]), user(3, &[Role::Operator]), disabled] {
            for change in [
                roles(&[]),
                Change::Disable,
                Change::Enable,
                Change::SignOut,
                Change::ResetSecondFactor,
            ] {
                let refused = change.check(&actor, &user(4, &[]), true);
                assert_eq!(refused, Err(NotAllowed::NotAdministrator), "{change:?}");
            }
        }
    }

    #[test]
    fn everybody_stays_a_shopper() {
        let all = |change: Change| change.roles().map(|roles| roles.len());
        assert_eq!(all(roles(&[])), Some(1));
        assert_eq!(all(roles(&[Role::Shopper, Role::Support])), Some(2));
        assert_eq!(all(Change::Disable), None);
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let all: Vec<Role> = Role::iter().collect();
        prop_oneof![
            prop::collection::btree_set(prop::sample::select(all), 0..5).prop_map(Change::Roles),
            Just(Change::Disable),
            Just(Change::Enable),
            Just(Change::SignOut),
            Just(Change::ResetSecondFactor),
        ]
    }

    proptest! {
        /// Whoever does what to whom, one after the other: somebody is left to look after users.
        #[test]
        fn there_is_always_an_administrator(
            tries in prop::collection::vec((0..4_usize, 0..4_usize, any_change()), 0..40),
        ) {
            let mut users = [administrator(0), administrator(1), user(2, &[]), user(3, &[])];
            for (actor, target, change) in tries {
                let others = users
                    .iter()
                    .enumerate()
                    .any(|(index, user)| index != target && user.is_acting_administrator());
                if change.check(&users[actor], &users[target], others).is_ok() {
                    let user = &mut users[target];
                    user.roles = change.roles().unwrap_or_else(|| user.roles.clone());
                    match change {
                        Change::Disable => user.status = UserStatus::Disabled,
                        Change::Enable => user.status = UserStatus::Enabled,
                        Change::Roles(_) | Change::SignOut | Change::ResetSecondFactor => {}
                    }
                }
                prop_assert!(users.iter().any(User::is_acting_administrator));
            }
        }
    }
}
