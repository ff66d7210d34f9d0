//! The other services of AWS: Step Functions, SQS and Cognito.

mod dead_letters;
mod executions;
mod lazy;
mod queue;
mod users;

pub use dead_letters::{DeadLetter, DeadLetters, Redriven};
pub use executions::{Executions, Resumed, Started};
pub use lazy::{Lazy, lazy};
pub use queue::{Command, ProbeCommand, Queue};
pub use users::{UserSearch, Users, UsersError, UsersFrom};
