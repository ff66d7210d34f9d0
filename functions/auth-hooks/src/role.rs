//! What each kind of user may do: the one place that says so.

use std::collections::BTreeSet;

use strum::{EnumIter, EnumString, IntoStaticStr};

/// A kind of user; each is a group of the user pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
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

    /// What the role may do, as scopes of its access tokens.
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Shopper => &["profile:read", "orders:read", "orders:write"],
            Self::Support => &[
                "orders:read-any",
                "orders:cancel-any",
                "orders:refund",
                "parked:read",
                "attention:read",
            ],
            Self::CatalogueManager => &["products:write", "stock:write"],
            Self::Operator => &[
                "orders:read-any",
                "circuits:read",
                "circuits:write",
                "parked:read",
                "parked:release",
                "attention:read",
                "attention:resolve",
                "dead-letters:read",
                "dead-letters:redrive",
            ],
            Self::Administrator => &[
                "users:read",
                "users:write",
                "audit:read",
                "orders:read-any",
                "orders:cancel-any",
                "orders:refund",
                "products:write",
                "stock:write",
                "circuits:read",
                "circuits:write",
                "parked:read",
                "parked:release",
                "attention:read",
                "attention:resolve",
                "dead-letters:read",
                "dead-letters:redrive",
            ],
        }
    }
}

/// What a user who is in these groups may do, each scope once. Every user is a shopper; a group
/// that is no role allows nothing.
pub(crate) fn scopes_of<'a>(groups: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'static str> {
    let roles = groups.into_iter().filter_map(|group| group.parse().ok());
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
        let everything: BTreeSet<_> = Role::iter().flat_map(Role::scopes).copied().collect();
        assert_eq!(scopes_of([Role::Administrator.group()]), everything);
    }

    #[test]
    fn no_role_names_a_scope_twice() {
        for role in Role::iter() {
            let scopes: BTreeSet<_> = role.scopes().iter().collect();
            assert_eq!(scopes.len(), role.scopes().len(), "{role:?}");
        }
    }

    #[test]
    fn a_group_is_named_as_its_role() {
        let groups: Vec<_> = Role::iter().map(Role::group).collect();
        let names = "shopper support catalogue-manager operator administrator";
        assert_eq!(groups.join(" "), names);
    }

    proptest! {
        #[test]
        fn a_user_may_do_what_one_of_the_roles_may_and_what_a_shopper_may(
            groups in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(Role::iter().map(Role::group).collect::<Vec<_>>())
                        .prop_map(str::to_owned),
                    "[ -~]{0,20}",
                ],
                0..8,
            ),
        ) {
            let scopes = scopes_of(groups.iter().map(String::as_str));
            for role in Role::iter() {
                let is = role == Role::Shopper || groups.iter().any(|group| group == role.group());
                let may = role.scopes().iter().all(|scope| scopes.contains(scope));
                prop_assert!(may || !is, "{role:?} lacks scopes");
            }
            for scope in scopes {
                let given = Role::iter()
                    .filter(|role| role.scopes().contains(&scope))
                    .any(|role| role == Role::Shopper || groups.iter().any(|it| it == role.group()));
                prop_assert!(given, "nobody gave {scope}");
            }
        }
    }
}
