#![doc = include_str!("../README.md")]

mod breaker;
mod circuit;
mod config;
mod counts;
mod error;
mod history;
mod local;
mod store;

pub use breaker::{Admission, Breaker, Event, Permit, Probe, Status, Surroundings};
pub use circuit::{
    Answer, Circuit, Effects, Forced, Input, Lease, Override, Standing, State, Step,
};
pub use config::Config;
pub use counts::{Counts, Figures, Slot};
pub use error::Error;
pub use history::{Reason, Transition};
#[cfg(feature = "dynamodb")]
pub use store::DynamoDb;
pub use store::{Memory, Spent, Store, Tally, Written};
