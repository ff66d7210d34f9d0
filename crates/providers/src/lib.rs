//! Clients of the two providers: Stripe's API for payments, ShipEngine's API for shipping.
//!
//! Each method makes one call with a timeout. Its error says whether the call may have taken
//! effect. Retries, and lookups of a call's outcome, are up to the caller.

mod call;
mod disputes;
mod keys;
mod labels;
mod payments;
mod records;
mod shipping;
pub mod webhook;

pub use call::{CallError, client};
pub use disputes::Dispute;
pub use keys::{KeyError, KeySet, PublicKey};
pub use labels::LabelRecord;
pub use payments::{
    Authorization, PaymentIntent, PaymentIntentStatus, Payments, Refund, RefundCall, RefundStatus,
    VoidReason,
};
pub use records::{Owner, Page, Record, Reference};
pub use shipping::{BoughtLabel, Parcel, ShipmentLookup, Shipping, Tracking, TrackingStatus};
