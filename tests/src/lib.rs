//! The kit of the end-to-end tests: people who use the shop, the two providers' ledgers, and the
//! database, of a stack that runs already. The stories are in `tests/`.
//!
//! Where a story can't go on, the kit panics and says why: a test has no other answer.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::return_self_not_must_use,
    reason = "some stories only check an answer"
)]

mod answer;
mod authenticator;
pub mod chaos;
mod container;
mod database;
mod guest;
mod order;
mod patience;
mod person;
mod provider;
mod raw;
mod spelling;
mod stack;
mod wish;

pub use answer::Answer;
pub use authenticator::Authenticator;
pub use container::Container;
pub use database::Database;
pub use guest::{Guest, new_address};
pub use order::{Line, Order, declined, shipped, undone, waiting};
pub use patience::eventually;
pub use person::{Person, Sees, new_key};
pub use provider::{
    AUTHORIZE, BUY_LABEL, CAPTURE, EVERYTHING, KeptRefusal, LABEL_BOUGHT, LABEL_VOIDED, Provider,
    REFUND, SHOP_ID, Turn, hold_form,
};
pub use raw::{RawAnswer, RawRequest};
pub use spelling::{filled, spellings_of};
pub use stack::{Aws, PASSWORD, Session, Stack};
pub use wish::{APPROVED, DECLINED, NOWHERE, Wish};
