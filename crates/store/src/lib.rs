//! Where things are kept: PostgreSQL for what is transactional, DynamoDB for the catalogue and for
//! what is parked, Cognito for users.
//!
//! All SQL of the project stands here, beside the types it fills.

mod accept;
mod activity;
mod arguments;
mod attempts;
mod attention;
mod audit;
pub mod catalogue;
mod cursor;
mod database;
mod dead_letters;
mod disputes;
mod erasure;
mod error;
mod executions;
mod imports;
mod lazy;
mod login;
mod orders;
mod outbox;
mod parked;
mod provider_events;
mod queue;
mod reconciliation;
mod record;
mod refunds;
mod retention;
mod schema;
mod session;
mod stock;
mod users;
mod work;

pub use self::orders::{
    OrdersFrom, WithWork,
    search::{OrderSearch, SearchFrom},
};
pub use accept::{AcceptError, Acceptance, Answer, Claim, KeyUse, UnpaidLimits};
pub use activity::{Backlog, Backlogs, Minute};
pub use attempts::{Counted, Counter, Limit};
pub use attention::{Attention, AttentionFrom, AttentionKind, Decision, Finding};
pub use audit::{AuditActor, AuditEntry, AuditFrom, AuditOutcome, AuditRow, AuditSearch};
pub use cursor::{BadCursor, Page};
pub use database::{Database, set_app_role_password};
pub use dead_letters::{DeadLetter, DeadLetters, Redriven};
pub use erasure::{Erase, EraseError, Erasure};
pub use error::StoreError;
pub use executions::{Executions, Resumed, Started};
pub use lazy::{Lazy, lazy};
pub use outbox::Unfinished;
pub use parked::{Parked, ParkedFrom, ParkedPage, ParkedWork};
pub use queue::{Command, Queue};
pub use reconciliation::{Pass, Progress, Reconciliation, Records};
pub use record::RecordError;
pub use refunds::{
    ApprovalRequest, ApprovalStatus, ApprovalsFrom, DayLimit, RefundActor, RefundApproval,
    RefundError,
};
pub use retention::Kept;
pub use schema::migrate;
pub use session::{BadWalPosition, Session, WalPosition};
pub use stock::{AdjustError, Adjusted, Adjustment, AdjustmentsFrom};
pub use users::{UserSearch, Users, UsersError, UsersFrom};
pub use work::{NoWork, Work};
