//! Where things are kept: PostgreSQL for what is transactional, DynamoDB for the catalogue.
//!
//! All SQL of the project stands here, beside the types it fills.

mod accept;
pub mod catalogue;
mod cursor;
mod database;
mod error;
mod executions;
mod orders;
mod outbox;
mod record;
mod stock;

pub use self::orders::OrdersFrom;
pub use accept::{AcceptError, Acceptance, Answer, Claim, KeyUse};
pub use cursor::{BadCursor, Page};
pub use database::{Database, migrate};
pub use error::StoreError;
pub use executions::Executions;
pub use record::RecordError;
