//! The library of the end-to-end tests. It drives a running stack: people who use the shop, the two
//! providers' simulators, AWS, and the database. The tests are in `tests/`.
//!
//! It panics with the reason when a test cannot continue.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::return_self_not_must_use,
    reason = "some tests only check a response"
)]

mod authenticator;
pub mod chaos;
mod container;
mod database;
mod eventually;
mod guest;
mod order;
mod order_request;
mod person;
mod provider;
mod raw;
mod response;
mod spelling;
mod stack;

pub use authenticator::Authenticator;
pub use container::Container;
pub use database::Database;
pub use eventually::eventually;
pub use guest::{Guest, new_address};
pub use order::{Line, Order, declined, shipped, voided, waiting};
pub use order_request::{APPROVED, DECLINED, NOWHERE, OrderRequest};
pub use person::{OrderView, Person, new_key};
pub use provider::{
    AUTHORIZE, BUY_LABEL, CAPTURE, EVERYTHING, LABEL_BOUGHT, LABEL_VOIDED, Provider, ProviderLock,
    REFUND, ReplayedRefusal, SHOP_ID, authorization_form,
};
pub use raw::{RawRequest, RawResponse};
pub use response::Response;
pub use spelling::{filled, spellings_of};
pub use stack::{Aws, PASSWORD, Session, Stack};
