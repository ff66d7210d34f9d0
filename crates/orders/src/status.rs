//! The three axes of an order's status. One combined axis would need a state for every pair.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};
use utoipa::ToSchema;

/// Where the order as a whole stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantNames,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted; stock is taken, money is not yet secured.
    Pending,
    /// The money is secured.
    Confirmed,
    /// Shipped and paid.
    Completed,
    /// Will not be shipped; its stock is back.
    Cancelled,
}

/// Where the money stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantNames,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing is held or taken.
    NotPaid,
    /// The bank wants the shopper to confirm in person.
    RequiresAction,
    /// Held on the card, not taken.
    Authorized,
    /// Taken.
    Captured,
    /// Taken, and a part given back.
    PartiallyRefunded,
    /// Taken, and all of it given back.
    Refunded,
    /// Was held and was let go.
    Voided,
    /// The card was declined.
    Failed,
    /// A call timed out: money may be held. Look it up before anything else.
    Unknown,
}

/// Where the parcel stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantNames,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FulfilmentStatus {
    /// Nothing has been asked of the carrier.
    Unfulfilled,
    /// A label is being bought or has been.
    InProgress,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Will not be sent.
    Cancelled,
}
