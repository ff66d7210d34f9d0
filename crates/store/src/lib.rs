//! The stores: PostgreSQL for what is transactional, DynamoDB for the catalogue and the parked
//! executions, and the queues, executions and users of other AWS services.

mod aws;
mod cursor;
mod dynamodb;
mod error;
mod postgres;
mod work;

pub use aws::{
    Command, DeadLetter, DeadLetters, Executions, Lazy, ProbeCommand, Queue, Redriven, Resumed,
    Started, UserSearch, Users, UsersError, UsersFrom, lazy,
};
pub use cursor::{BadCursor, Page};
pub use dynamodb::{Parked, ParkedFrom, ParkedPage, ParkedWork, catalogue};
pub use error::StoreError;
pub use postgres::*;
pub use work::{NoWork, Unfinished, Work};
