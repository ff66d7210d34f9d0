//! PostgreSQL: what is transactional. All SQL of the project is here, next to the types it fills.

mod accept;
mod activity;
mod arguments;
mod attempts;
mod attention;
mod audit;
mod database;
mod disputes;
mod erasure;
mod idempotency;
mod imports;
mod login;
mod orders;
mod outbox;
mod provider_events;
mod reconciliation;
mod record;
mod refunds;
mod retention;
mod schema;
mod session;
mod stock;

pub use self::orders::{
    OrdersFrom, WithWork,
    search::{OrderSearch, SearchFrom},
};
pub use accept::{AcceptError, Acceptance, UnpaidLimits};
pub use activity::{Backlog, Backlogs, Minute};
pub use attempts::{Counted, Counter, Limit};
pub use attention::{Attention, AttentionFrom, AttentionKind, Decision, Finding};
pub use audit::{AuditActor, AuditEntry, AuditFrom, AuditOutcome, AuditRow, AuditSearch};
pub use database::{Database, set_app_role_password};
pub use erasure::{Erase, EraseError, Erasure};
pub use idempotency::{Answer, Claim, KeyUse};
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
