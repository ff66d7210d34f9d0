//! What can be allowed.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// One thing that an access token can allow. A route of the API asks for one, or for one of several.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
pub enum Scope {
    /// See how much is going on.
    #[strum(serialize = "activity:read")]
    ActivityRead,
    /// See what needs a person.
    #[strum(serialize = "attention:read")]
    AttentionRead,
    /// Decide on what needs a person.
    #[strum(serialize = "attention:resolve")]
    AttentionResolve,
    /// Search the audit log.
    #[strum(serialize = "audit:read")]
    AuditRead,
    /// See the circuits.
    #[strum(serialize = "circuits:read")]
    CircuitsRead,
    /// Force circuits.
    #[strum(serialize = "circuits:write")]
    CircuitsWrite,
    /// See events that nobody could deal with.
    #[strum(serialize = "dead-letters:read")]
    DeadLettersRead,
    /// Have them dealt with once more.
    #[strum(serialize = "dead-letters:redrive")]
    DeadLettersRedrive,
    /// Call anybody's orders off.
    #[strum(serialize = "orders:cancel-any")]
    OrdersCancelAny,
    /// See one's own orders.
    #[strum(serialize = "orders:read")]
    OrdersRead,
    /// See anybody's orders.
    #[strum(serialize = "orders:read-any")]
    OrdersReadAny,
    /// Give money of anybody's orders back, up to a limit.
    #[strum(serialize = "orders:refund")]
    OrdersRefund,
    /// Give it back beyond that limit.
    #[strum(serialize = "orders:refund-any-amount")]
    OrdersRefundAnyAmount,
    /// Place orders, and call one's own off.
    #[strum(serialize = "orders:write")]
    OrdersWrite,
    /// See what waits for a provider.
    #[strum(serialize = "parked:read")]
    ParkedRead,
    /// Let it go on before its turn.
    #[strum(serialize = "parked:release")]
    ParkedRelease,
    /// Change the catalogue.
    #[strum(serialize = "products:write")]
    ProductsWrite,
    /// Delete one's own account.
    #[strum(serialize = "profile:delete")]
    ProfileDelete,
    /// Get a copy of all that is kept about one.
    #[strum(serialize = "profile:export")]
    ProfileExport,
    /// See who one is.
    #[strum(serialize = "profile:read")]
    ProfileRead,
    /// Change the stock.
    #[strum(serialize = "stock:write")]
    StockWrite,
    /// See users and their roles.
    #[strum(serialize = "users:read")]
    UsersRead,
    /// Change users' roles, disable and enable them, sign them out.
    #[strum(serialize = "users:write")]
    UsersWrite,
}

impl Scope {
    /// Its name in a token.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
