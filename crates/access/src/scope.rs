//! The scopes of access tokens.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// A permission in an access token. A route of the API requires one scope, or one of several.
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
    /// View the activity: orders per minute, and work that is still open.
    #[strum(serialize = "activity:read")]
    ActivityRead,
    /// View the cases that need a decision by staff.
    #[strum(serialize = "attention:read")]
    AttentionRead,
    /// Resolve the cases that need a decision by staff.
    #[strum(serialize = "attention:resolve")]
    AttentionResolve,
    /// Search the audit log.
    #[strum(serialize = "audit:read")]
    AuditRead,
    /// View the circuits.
    #[strum(serialize = "circuits:read")]
    CircuitsRead,
    /// Force and release circuits.
    #[strum(serialize = "circuits:write")]
    CircuitsWrite,
    /// View dead letters: events that could not be processed.
    #[strum(serialize = "dead-letters:read")]
    DeadLettersRead,
    /// Redrive dead letters: process them again.
    #[strum(serialize = "dead-letters:redrive")]
    DeadLettersRedrive,
    /// Cancel any shopper's orders.
    #[strum(serialize = "orders:cancel-any")]
    OrdersCancelAny,
    /// View the user's own orders.
    #[strum(serialize = "orders:read")]
    OrdersRead,
    /// View any shopper's orders.
    #[strum(serialize = "orders:read-any")]
    OrdersReadAny,
    /// Refund any shopper's orders, up to a limit.
    #[strum(serialize = "orders:refund")]
    OrdersRefund,
    /// Refund any shopper's orders above that limit.
    #[strum(serialize = "orders:refund-any-amount")]
    OrdersRefundAnyAmount,
    /// Place orders, and cancel the user's own.
    #[strum(serialize = "orders:write")]
    OrdersWrite,
    /// View the orders that wait for a provider.
    #[strum(serialize = "parked:read")]
    ParkedRead,
    /// Resume an order that waits for a provider, before its next attempt.
    #[strum(serialize = "parked:release")]
    ParkedRelease,
    /// Change the catalogue.
    #[strum(serialize = "products:write")]
    ProductsWrite,
    /// Delete the user's own account.
    #[strum(serialize = "profile:delete")]
    ProfileDelete,
    /// Export all data that is stored about the user.
    #[strum(serialize = "profile:export")]
    ProfileExport,
    /// View the user's own profile.
    #[strum(serialize = "profile:read")]
    ProfileRead,
    /// Change the stock.
    #[strum(serialize = "stock:write")]
    StockWrite,
    /// View users and their roles.
    #[strum(serialize = "users:read")]
    UsersRead,
    /// Change users' roles, disable and enable users, sign them out and reset their second factor.
    #[strum(serialize = "users:write")]
    UsersWrite,
}

impl Scope {
    /// The scope's name in a token, such as `orders:read`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
