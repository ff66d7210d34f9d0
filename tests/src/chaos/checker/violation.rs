//! Violations of the invariants.

use jiff::Timestamp;
use orders::{
    CancelledBy, FulfilmentStatus, OrderNumber, OrderStatus, PaymentStatus, Provider, RefundStatus,
};
use thiserror::Error;
use uuid::Uuid;

use super::{EffectKind, Milestone};

/// A violation of an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each has a message")]
pub enum Violation {
    #[error("{order} was accepted but does not exist")]
    Lost { order: Uuid },
    #[error("{order} exists, but no response said that it was accepted")]
    Unrequested { order: Uuid },
    #[error("one idempotency key created two orders: {first} and {second}")]
    AcceptedTwice { first: Uuid, second: Uuid },
    #[error("intent {intent} created several orders: {orders:?}, with {captures} captures")]
    OrderedTwice {
        intent: String,
        orders: Vec<Uuid>,
        captures: usize,
    },
    #[error("intent {intent} was shown the order {shown:?} of another intent")]
    OtherOrderShown { intent: String, shown: OrderNumber },
    #[error("{order} is not finished: it is {status}, {payment} and {fulfilment}")]
    UnfinishedWork {
        order: Uuid,
        status: OrderStatus,
        payment: PaymentStatus,
        fulfilment: FulfilmentStatus,
    },
    #[error("{order} is {status}, although a response said that it was cancelled")]
    NotCancelled { order: Uuid, status: OrderStatus },
    #[error("{order} was cancelled by {by:?} without a cause")]
    CancelledWithoutCause { order: Uuid, by: CancelledBy },
    #[error("{order} is completed, although its card cannot pay or its address is undeliverable")]
    WronglyCompleted { order: Uuid },
    #[error("{order} has the timeline {found:?} instead of {expected:?}")]
    WrongTimeline {
        order: Uuid,
        expected: Vec<Milestone>,
        found: Vec<Milestone>,
    },
    #[error("{order} is {fulfilment}, but the carrier says delivered: {delivered}")]
    WrongDelivery {
        order: Uuid,
        fulfilment: FulfilmentStatus,
        delivered: bool,
    },
    #[error("{order} is finished, but its execution is running")]
    StillRunning { order: Uuid },
    #[error("{order} is finished, but still in the outbox")]
    StillInOutbox { order: Uuid },
    #[error(
        "{order}: {kind:?} {id} is out of order: a prerequisite is missing, or it is already ended"
    )]
    OutOfOrder {
        order: Uuid,
        kind: EffectKind,
        id: String,
    },
    #[error("{order} was authorized {times} times, but faults explain only {allowed}")]
    AuthorizedTwice {
        order: Uuid,
        times: u64,
        allowed: u64,
    },
    #[error("{order} was charged {times} times")]
    ChargedTwice { order: Uuid, times: usize },
    #[error("{order} was charged {captured} cents instead of {due}")]
    WrongCharge {
        order: Uuid,
        captured: i64,
        due: i64,
    },
    #[error(
        "{order}: of {authorized} authorized cents, {captured} were captured and {voided} voided"
    )]
    AuthorizationNotSettled {
        order: Uuid,
        authorized: i64,
        captured: i64,
        voided: i64,
    },
    #[error(
        "{order} was refunded {refunded} cents of {captured}, but {promised} were promised and it is {payment}"
    )]
    WrongRefund {
        order: Uuid,
        refunded: i64,
        captured: i64,
        promised: i64,
        payment: PaymentStatus,
    },
    #[error("the refund {refund} of {order} was made {times} times")]
    RefundedTwice {
        order: Uuid,
        refund: Uuid,
        times: usize,
    },
    #[error("{order}: the refund {id} was not requested")]
    UnrequestedRefund { order: Uuid, id: String },
    #[error(
        "the refund {refund} of {order} is missing, and neither its card nor a refusal explains it"
    )]
    RefundMissing { order: Uuid, refund: Uuid },
    #[error("the refund {refund} of {order} is recorded as {recorded:?} instead of {expected}")]
    WrongRefundStatus {
        order: Uuid,
        refund: Uuid,
        expected: RefundStatus,
        recorded: Option<RefundStatus>,
    },
    #[error("the refund {refund} of {order} failed and was not raised")]
    FailedRefundNotRaised { order: Uuid, refund: Uuid },
    #[error("{order} has the disputes {found:?} instead of {expected:?}")]
    WrongDisputes {
        order: Uuid,
        expected: Vec<String>,
        found: Vec<String>,
    },
    #[error("{order}: the dispute {dispute} was not raised")]
    DisputeNotRaised { order: Uuid, dispute: String },
    #[error("{order}: a refund was accepted or made, although {dispute} is a chargeback")]
    ChargebackRefunded { order: Uuid, dispute: String },
    #[error("{order} is in {expected}, but {found} was moved")]
    WrongCurrency {
        order: Uuid,
        expected: String,
        found: String,
    },
    #[error("{order} was paid by {found:?}, but {recorded:?} is recorded")]
    WrongPayment {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("{order}: a second label was bought while there was one")]
    LabelBoughtTwice { order: Uuid },
    #[error("{order} has {live} labels instead of {due}")]
    WrongLabels {
        order: Uuid,
        live: usize,
        due: usize,
    },
    #[error("{order} has the label {found:?}, but {recorded:?} is recorded")]
    WrongLabel {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("the stock of {sku} is {found} instead of {expected}")]
    WrongStock {
        sku: String,
        expected: i64,
        found: i64,
    },
    #[error("{order} is waiting without a task token")]
    ParkedWithoutToken { order: Uuid },
    #[error("{order} has a task token for {provider}, but is not waiting")]
    TokenWithoutParkedOrder { order: Uuid, provider: Provider },
    #[error("{kind:?} {id}: we changed a record of another system")]
    ForeignTouched { kind: EffectKind, id: String },
    #[error("{id} belongs to another system, but was raised")]
    ForeignRaised { id: String },
    #[error("{records} are compared only up to {compared_to}, before the last foreign record")]
    ComparisonBehind {
        records: String,
        compared_to: Timestamp,
    },
    #[error("the effect {kind:?} {id} is for an order that does not exist: {order:?}")]
    EffectWithoutOrder {
        order: Option<String>,
        kind: EffectKind,
        id: String,
    },
}
