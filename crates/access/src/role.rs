//! The roles and their scopes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use utoipa::ToSchema;

use crate::Scope;

/// A role of a user. Each is a group of the user pool.
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
    /// Places orders. Every user has this role.
    Shopper,
    /// Helps shoppers with their orders.
    Support,
    /// Manages products and stock.
    CatalogueManager,
    /// Manages the circuits of the providers, and the orders that wait for them.
    Operator,
    /// Manages users, and has every scope.
    Administrator,
}

impl Role {
    /// The name of the role's group in the user pool.
    pub fn group(self) -> &'static str {
        self.into()
    }

    /// Whether the role is one of the staff, who need a second factor to sign in.
    pub fn is_staff(self) -> bool {
        self != Self::Shopper
    }

    /// The role's scopes.
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

/// The scopes of a user with these roles. Every user also has those of a shopper.
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
    fn an_administrator_has_every_scope() {
        let every_scope: BTreeSet<_> = Scope::iter().collect();
        assert_eq!(scopes_of([Role::Administrator]), every_scope);
    }

    #[test]
    fn no_role_lists_a_scope_twice() {
        for role in Role::iter() {
            let scopes: BTreeSet<_> = role.scopes().iter().collect();
            assert_eq!(scopes.len(), role.scopes().len(), "{role:?}");
        }
    }

    #[test]
    fn a_role_has_the_name_of_its_group() {
        let groups: Vec<_> = Role::iter().map(Role::group).collect();
        let names = "shopper support catalogue-manager operator administrator";
        assert_eq!(groups.join(" "), names);
        for role in Role::iter() {
            assert_eq!(role.group().parse(), Ok(role));
        }
    }

    #[test]
    fn the_name_of_a_scope_is_a_resource_and_an_action() {
        for scope in Scope::iter() {
            let (resource, action) = scope.name().split_once(':').unwrap();
            let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(is_word(resource) && is_word(action), "{scope}");
            assert_eq!(scope.name().parse(), Ok(scope));
        }
    }

    proptest! {
        #[test]
        fn a_user_has_the_scopes_of_each_role_and_of_a_shopper(
            roles in prop::collection::vec(
                prop::sample::select(Role::iter().collect::<Vec<_>>()),
                0..8,
            ),
        ) {
            let has_role = |role: &Role| *role == Role::Shopper || roles.contains(role);
            let scopes = scopes_of(roles.iter().copied());
            for scope in Scope::iter() {
                let mut granted_by = Role::iter().filter(has_role);
                let granted = granted_by.any(|role| role.scopes().contains(&scope));
                prop_assert_eq!(scopes.contains(&scope), granted, "{}", scope);
            }
        }
    }
}
