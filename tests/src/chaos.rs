//! The chaos test: orders flow while everything fails, and in the end the books must agree.

mod checker;

pub use checker::{
    Accepted, Effect, EffectKind, Recorded, Shelf, Snapshot, Token, Violation, check,
};
