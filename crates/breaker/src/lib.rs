#![doc = include_str!("../README.md")]

mod breaker;
mod circuit;
mod config;
mod counts;
mod env;
mod error;
mod history;
mod local;
mod store;

pub use breaker::{Admission, Breaker, BreakerEvent, Permit, ProbeOutcome, Status};
pub use circuit::{Circuit, Forced, Override, State};
pub use config::Config;
pub use counts::{Counts, Figures, Slot};
pub use env::Env;
pub use error::Error;
pub use history::{Reason, Transition};
#[cfg(feature = "dynamodb")]
pub use store::DynamoDb;
pub use store::{Memory, SpendOutcome, Store, Tally, WriteOutcome};
