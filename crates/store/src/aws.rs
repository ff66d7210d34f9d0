//! The other AWS services: Step Functions, SQS and Cognito.

mod dead_letters;
mod executions;
mod lazy;
mod queue;
mod users;

pub use dead_letters::{DeadLetter, DeadLetters, RedriveOutcome};
pub use executions::{Executions, Resumed, Started};
pub use lazy::{Lazy, lazy};
pub use queue::{Command, ProbeCommand, Queue};
pub use users::{UserCursor, UserSearch, Users, UsersError};
