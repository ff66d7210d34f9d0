//! The contracts of the two providers: which operations, parameters, fields and values their
//! published OpenAPI documents name, as far as our clients and our simulators rely on them.
//!
//! The tables are in `crates/providers/contract`. The program of this crate extracts them from the
//! documents; tests check requests and answers against them, and make answers up from them.

mod check;
mod examples;
mod form;
mod table;

pub use check::{Deviation, DeviationKind, Request};
pub use table::{Body, Contract, Events, Operation, Schema, Type};
