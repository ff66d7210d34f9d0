//! Clients of every store: PostgreSQL for transactional data, DynamoDB for the catalogue and the
//! parked executions, and Step Functions, SQS and Cognito.

mod aws;
mod cursor;
mod dynamodb;
mod error;
mod postgres;
mod work;

pub use aws::{
    Command, DeadLetter, DeadLetters, Executions, Lazy, ProbeCommand, Queue, RedriveOutcome,
    Resumed, Started, UserCursor, UserSearch, Users, UsersError, lazy,
};
pub use cursor::{BadCursor, Page};
pub use dynamodb::{Parked, ParkedCursor, ParkedPage, ParkedWork, catalogue};
pub use error::StoreError;
pub use postgres::*;
pub use work::{InvalidWork, UnfinishedWork, Work};
