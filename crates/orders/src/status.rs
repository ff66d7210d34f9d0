//! The three statuses of an order: its own, its payment's and its fulfilment's. A single status
//! would need a value for every combination.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};
use utoipa::ToSchema;

/// The status of an order as a whole.
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
    /// Accepted. Its stock is reserved; its payment is not authorized yet.
    Pending,
    /// Its payment is authorized.
    Confirmed,
    /// Shipped and paid.
    Completed,
    /// It will not be shipped. Its stock is available again.
    Cancelled,
}

/// The status of a payment.
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
    /// No money is held or captured.
    NotPaid,
    /// The bank requires an action of the shopper, such as 3-D Secure.
    RequiresAction,
    /// The money is held on the card, and not captured yet.
    Authorized,
    /// The money is captured.
    Captured,
    /// The money is captured, and a part of it is refunded.
    PartiallyRefunded,
    /// The money is captured, and all of it is refunded.
    Refunded,
    /// The authorization was voided.
    Voided,
    /// The card was declined.
    Failed,
    /// A call timed out, so money may be held. The payment must be looked up first.
    Unknown,
}

/// The status of a parcel.
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
    /// No label was requested.
    Unfulfilled,
    /// A label is being bought or was bought.
    InProgress,
    /// The parcel was shipped.
    Shipped,
    /// The parcel was delivered.
    Delivered,
    /// The order will not be shipped.
    Cancelled,
}
