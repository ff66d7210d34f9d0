//! DynamoDB: the catalogue and the parked executions.

pub mod catalogue;
mod parked;

pub use parked::{Parked, ParkedCursor, ParkedPage, ParkedWork};
