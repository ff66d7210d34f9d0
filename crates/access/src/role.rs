//! The roles, and what each may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use utoipa::ToSchema;

use crate::Scope;

/// A kind of user; each is a group of the user pool.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumIter,
    EnumString,
    IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Buys.
    Shopper,
    /// Helps shoppers with their orders.
    Support,
    /// Looks after products and stock.
    CatalogueManager,
    /// Looks after the circuits to the external services, and the orders that wait for them.
    Operator,
    /// Looks after users, and may do everything.
    Administrator,
}

impl Role {
    /// The name of the role's group.
    pub fn group(self) -> &'static str {
        self.into()
    }

    /// Whether the role is one of the shop's own people, of whom more than a password is asked.
    pub fn is_staff(self) -> bool {
        self != Self::Shopper
    }

    /// What the role may do.
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Shopper => &[
                Scope::ProfileRead,
                Scope::ProfileExport,
                Scope::ProfileDelete,
                Scope::OrdersRead,
                Scope::OrdersWrite,
            ],
            Self::Support => &[
                Scope::OrdersReadAny,
                Scope::OrdersCancelAny,
                Scope::OrdersRefund,
                Scope::ParkedRead,
                Scope::AttentionRead,
            ],
            Self::CatalogueManager => &[Scope::ProductsWrite, Scope::StockWrite],
            Self::Operator => &[
                Scope::OrdersReadAny,
                Scope::ActivityRead,
                Scope::CircuitsRead,
                Scope::CircuitsWrite,
                Scope::ParkedRead,
                Scope::ParkedRelease,
                Scope::AttentionRead,
                Scope::AttentionResolve,
                Scope::DeadLettersRead,
                Scope::DeadLettersRedrive,
            ],
            Self::Administrator => &[
                Scope::UsersRead,
                Scope::UsersWrite,
                Scope::AuditRead,
                Scope::OrdersReadAny,
                Scope::OrdersCancelAny,
                Scope::OrdersRefund,
                Scope::OrdersRefundAnyAmount,
                Scope::ProductsWrite,
                Scope::StockWrite,
                Scope::ActivityRead,
                Scope::CircuitsRead,
                Scope::CircuitsWrite,
                Scope::ParkedRead,
                Scope::ParkedRelease,
                Scope::AttentionRead,
                Scope::AttentionResolve,
                Scope::DeadLettersRead,
                Scope::DeadLettersRedrive,
            ],
        }
    }
}

/// What a user of these roles may do, each scope once. Every user is a shopper.
pub fn scopes_of(roles: impl IntoIterator<Item = Role>) -> BTreeSet<Scope> {
    [Role::Shopper]
        .into_iter()
        .chain(roles)
        .flat_map(Role::scopes)
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn an_administrator_may_do_everything() {
        let everything: BTreeSet<_> = Scope::iter().collect();
        assert_eq!(scopes_of([Role::Administrator]), everything);
    }

    #[test]
    fn no_role_names_a_scope_twice() {
        for role in Role::iter() {
            let scopes: BTreeSet<_> = role.scopes().iter().collect();
            assert_eq!(scopes.len(), role.scopes().len(), "{role:?}");
        }
    }

    #[test]
    fn a_role_is_named_as_its_group() {
        let groups: Vec<_> = Role::iter().map(Role::group).collect();
        let names = "shopper support catalogue-manager operator administrator";
        assert_eq!(groups.join(" "), names);
        for role in Role::iter() {
            assert_eq!(role.group().parse(), Ok(role));
        }
    }

    #[test]
    fn a_scope_says_what_it_is_of_and_what_it_allows() {
        for scope in Scope::iter() {
            let (of, what) = scope.name().split_once(':').unwrap();
            let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(is_word(of) && is_word(what), "{scope}");
            assert_eq!(scope.name().parse(), Ok(scope));
        }
    }

    proptest! {
        #[test]
        fn a_user_may_do_what_one_of_the_roles_may_and_what_a_shopper_may(
            roles in prop::collection::vec(
                prop::sample::select(Role::iter().collect::<Vec<_>>()),
                0..8,
            ),
        ) {
            let is = |role: &Role| *role == Role::Shopper || roles.contains(role);
            let may = scopes_of(roles.iter().copied());
            for scope in Scope::iter() {
                let given = Role::iter().filter(is).any(|role| role.scopes().contains(&scope));
                prop_assert_eq!(may.contains(&scope), given, "{}", scope);
            }
        }
    }
}
