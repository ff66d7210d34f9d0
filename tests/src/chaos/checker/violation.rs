//! The promises, broken.

use jiff::Timestamp;
use orders::{
    CancelledBy, FulfilmentStatus, OrderNumber, OrderStatus, PaymentStatus, Provider, RefundStatus,
};
use thiserror::Error;
use uuid::Uuid;

use super::{EffectKind, Milestone};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum Violation {
    #[error("{order} was accepted and is lost")]
    Lost { order: Uuid },
    #[error("{order} is there, but no caller got a response that it was accepted")]
    Unasked { order: Uuid },
    #[error("one idempotency key made two orders: {first} and {second}")]
    AcceptedTwice { first: Uuid, second: Uuid },
    #[error("one intent, {intent}, made the orders {orders:?}, and {captures} captures")]
    OrderedTwice {
        intent: String,
        orders: Vec<Uuid>,
        captures: usize,
    },
    #[error("{intent} was shown the order {shown:?}, which is none of its own")]
    OtherOrderShown { intent: String, shown: OrderNumber },
    #[error("{order} came to no end: it is {status}, {payment} and {fulfilment}")]
    Unfinished {
        order: Uuid,
        status: OrderStatus,
        payment: PaymentStatus,
        fulfilment: FulfilmentStatus,
    },
    #[error("{order} was cancelled, its shopper got a response that says so, and it is {status}")]
    NotCalledOff { order: Uuid, status: OrderStatus },
    #[error("{order} was cancelled by {by:?}, and nothing that befell it explains that")]
    CancelledWithoutCause { order: Uuid, by: CancelledBy },
    #[error("{order} is completed, although its card pays nothing or its address is nowhere")]
    MustNotComplete { order: Uuid },
    #[error("{order} has a timeline of {found:?} instead of {expected:?}")]
    OtherTimeline {
        order: Uuid,
        expected: Vec<Milestone>,
        found: Vec<Milestone>,
    },
    #[error("{order} is {fulfilment}, and by the carrier delivered: {delivered}")]
    WrongDelivery {
        order: Uuid,
        fulfilment: FulfilmentStatus,
        delivered: bool,
    },
    #[error("{order} is over, but its execution runs")]
    StillRunning { order: Uuid },
    #[error("{order} is over, but still in the outbox")]
    StillLookedAfter { order: Uuid },
    #[error("{order}: {kind:?} {id} came before what it follows from, or after what ends it")]
    OutOfOrder {
        order: Uuid,
        kind: EffectKind,
        id: String,
    },
    #[error("{order} was authorized {times} times, where its faults explain {allowed}")]
    AuthorizedTwice {
        order: Uuid,
        times: u64,
        allowed: u64,
    },
    #[error("{order} was charged {times} times")]
    ChargedTwice { order: Uuid, times: usize },
    #[error("{order} was charged {captured} instead of {due} cents")]
    WrongCharge {
        order: Uuid,
        captured: i64,
        due: i64,
    },
    #[error(
        "{order}: of {authorized} cents authorized, {captured} were captured, {released} voided"
    )]
    HoldNotSettled {
        order: Uuid,
        authorized: i64,
        captured: i64,
        released: i64,
    },
    #[error(
        "{order} was refunded {refunded} cents of {captured}, where {promised} were promised and it is {payment}"
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
    #[error("{order}: no one asked for the refund {id}")]
    UnaskedRefund { order: Uuid, id: String },
    #[error(
        "the refund {refund} of {order} is missing, and neither its card nor a refusal explains that"
    )]
    RefundMissing { order: Uuid, refund: Uuid },
    #[error("the refund {refund} of {order} is recorded as {recorded:?} instead of {expected}")]
    OtherRefundStatus {
        order: Uuid,
        refund: Uuid,
        expected: RefundStatus,
        recorded: Option<RefundStatus>,
    },
    #[error("the refund {refund} of {order} failed, and was not raised")]
    RefundFailedUnseen { order: Uuid, refund: Uuid },
    #[error("{order} shows the disputes {found:?} instead of {expected:?}")]
    OtherDisputes {
        order: Uuid,
        expected: Vec<String>,
        found: Vec<String>,
    },
    #[error("{order}: the dispute {dispute} was not raised")]
    DisputeUnseen { order: Uuid, dispute: String },
    #[error("{order}: a refund was promised or made although {dispute} is a chargeback")]
    DisputedRefunded { order: Uuid, dispute: String },
    #[error("{order} is in {expected}, but {found} moved")]
    WrongCurrency {
        order: Uuid,
        expected: String,
        found: String,
    },
    #[error("{order} was paid by {found:?}, but says {recorded:?}")]
    OtherPayment {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("{order}: a label was bought while there was one")]
    LabelBoughtTwice { order: Uuid },
    #[error("{order} has {live} labels instead of {due}")]
    WrongLabels {
        order: Uuid,
        live: usize,
        due: usize,
    },
    #[error("{order} travels under {found:?}, but says {recorded:?}")]
    OtherLabel {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("there are {found} of {sku} instead of {expected}")]
    WrongStock {
        sku: String,
        expected: i64,
        found: i64,
    },
    #[error("{order} is parked without a token")]
    ParkedWithoutToken { order: Uuid },
    #[error("{order} has a token for {provider}, but is not parked")]
    TokenWithoutOrder { order: Uuid, provider: Provider },
    #[error("{kind:?} {id}: we did that to what is another system's")]
    ForeignTouched { kind: EffectKind, id: String },
    #[error("{id} is another system's, and was raised")]
    ForeignRaised { id: String },
    #[error(
        "{records} are compared up to {compared_to} only, which is before the last foreign one"
    )]
    NotCompared {
        records: String,
        compared_to: Timestamp,
    },
    #[error("a provider did something ({kind:?} {id}) for an order that is not there: {order:?}")]
    EffectForNobody {
        order: Option<String>,
        kind: EffectKind,
        id: String,
    },
}
