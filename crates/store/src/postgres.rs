//! PostgreSQL, for transactional data. All SQL of the project is here, next to the types it fills.

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
    OrderCursor, OrderWithWork,
    search::{OrderSearch, OrderSearchCursor},
};
pub use accept::{AcceptError, OrderToAccept, UnpaidLimits};
pub use activity::{Backlog, Backlogs, Minute};
pub use attempts::{Counter, Limit, LimitStatus};
pub use attention::{Attention, AttentionCursor, AttentionDecision, AttentionKind, NewAttention};
pub use audit::{AuditActor, AuditCursor, AuditEntry, AuditOutcome, AuditRow, AuditSearch};
pub use database::{Database, set_app_role_password};
pub use erasure::{EraseError, Erasure, ErasureTarget};
pub use idempotency::{Claim, KeyUse, StoredResponse};
pub use reconciliation::{Pass, Progress, Reconciliation, RecordKind};
pub use record::RecordError;
pub use refunds::{
    ApprovalCursor, ApprovalRequest, ApprovalStatus, DayLimit, RefundActor, RefundApproval,
    RefundError,
};
pub use retention::RetainedKind;
pub use schema::migrate;
pub use session::{BadWalPosition, Session, WalPosition};
pub use stock::{AdjustError, AdjustmentCursor, NewStockAdjustment, StockAdjustment};

/// Declares a handle for each resource: a borrowed [`Database`] with the methods of that resource
/// only. All handles name their methods alike: `find…` returns one row or none, `list…` and
/// `search` return rows or a page, and every other verb changes something.
macro_rules! handles {
    ($($(#[doc = $doc:literal])* $accessor:ident: $Handle:ident,)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy)]
            pub struct $Handle<'a>(&'a Database);
        )*

        impl Database {
            $(
                $(#[doc = $doc])*
                pub fn $accessor(&self) -> $Handle<'_> {
                    $Handle(self)
                }
            )*
        }
    };
}

handles! {
    /// Orders: accepted, changed by events, found and searched.
    orders: Orders,
    /// Requests that ran under an idempotency key, and their responses.
    idempotency_keys: IdempotencyKeys,
    /// The outbox: unfinished work.
    outbox: Outbox,
    /// Refunds: within a daily limit, or with a second person's approval.
    refunds: Refunds,
    /// Disputed payments.
    disputes: Disputes,
    /// The stock of each product, and its adjustments by staff.
    stock: Stock,
    /// Attention items: problems that wait for a person's decision.
    attention: AttentionItems,
    /// The audit log.
    audit: AuditLog,
    /// Counts of recent events and of unfinished work.
    activity: Activity,
    /// Rate limits: attempts, counted by name and time window.
    attempts: Attempts,
    /// The provider events that were processed.
    provider_events: ProviderEvents,
    /// The progress of each reconciliation with a provider.
    reconciliations: Reconciliations,
    /// Product files that are imported in pieces.
    imports: Imports,
    /// Erasures of persons' data.
    erasures: Erasures,
    /// Data with a retention period.
    retention: RetainedData,
}
