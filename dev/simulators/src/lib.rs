//! The two external services, for laptops and tests: each a program of its own that speaks the
//! provider's API, keeps what it was told over a kill, shows its ledger, and fails on demand.

mod calls;
mod connection;
mod faults;
mod injection;
mod payments;
mod serve;
mod shipping;
mod storage;
mod webhooks;

pub use payments::PAYMENTS;
pub use serve::{Arguments, Service, Shared, serve, serve_on};
pub use shipping::SHIPPING;
pub use storage::Storage;
