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
pub use idempotency::{Claim, KeyUse, StoredResponse};
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

/// Declares one handle for each resource: a borrowed [`Database`] whose methods are those of this
/// resource alone. The methods of all handles are named alike: `find…` returns one row or none,
/// `list…` and `search` return rows or a page, and every other verb changes something.
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
    /// The requests that were carried out under an idempotency key.
    idempotency_keys: IdempotencyKeys,
    /// The work that is not finished.
    outbox: Outbox,
    /// Refunds within a limit, and those that a second person approves.
    refunds: Refunds,
    /// Disputed payments.
    disputes: Disputes,
    /// How much there is of each product.
    stock: Stock,
    /// What waits for a person to decide.
    attention: AttentionItems,
    /// The audit log.
    audit: AuditLog,
    /// Counts of what happened and of what is not finished.
    activity: Activity,
    /// Attempts that are limited by name and time.
    attempts: Attempts,
    /// The provider events that were processed.
    provider_events: ProviderEvents,
    /// How far each comparison with a provider has come.
    reconciliations: Reconciliations,
    /// Files of products that come in pieces.
    imports: Imports,
    /// The erasure of persons.
    erasures: Erasures,
    /// Data that is kept for a limited time.
    retention: RetainedData,
}
