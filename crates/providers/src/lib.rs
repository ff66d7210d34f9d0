//! Clients of the two external services: payments by Stripe's API, shipping by ShipEngine's.
//!
//! One call each, with a deadline, and an error that says what may have happened. To try again, or
//! to look up what became of a call, is the caller's business.

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
    Authorization, PaymentIntent, PaymentIntentStatus, Payments, Refund, RefundStatus, Refunding,
    VoidReason,
};
pub use records::{Mark, Owner, Page, Record};
pub use shipping::{BoughtLabel, Parcel, Shipped, Shipping, Tracking, TrackingStatus};
