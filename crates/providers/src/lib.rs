//! Clients of the two external services: payments by Stripe's API, shipping by ShipEngine's.
//!
//! One call each, with a deadline, and an error that says what may have happened. To try again, or
//! to look up what became of a call, is the caller's business.

mod call;
mod keys;
mod page;
mod payments;
mod shipping;
pub mod webhook;

pub use call::{CallError, client};
pub use keys::{KeyError, KeySet, PublicKey};
pub use page::Page;
pub use payments::{
    Authorization, PaymentIntent, PaymentIntentStatus, Payments, Refund, RefundStatus, Refunding,
};
pub use shipping::{BoughtLabel, Parcel, Shipped, Shipping, Tracking, TrackingStatus};
