//! The contracts of the two providers: the operations, parameters, fields and values of their
//! published OpenAPI documents that our clients and simulators rely on.
//!
//! The tables are in `crates/providers/contract`. The program of this crate extracts them from the
//! documents. Tests check requests and answers against them, and generate example answers.

mod check;
mod examples;
mod form;
mod table;

pub use check::{Deviation, DeviationKind, Request};
pub use table::{Body, Contract, Events, Operation, Schema, Type};
