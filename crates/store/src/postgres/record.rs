//! Changing orders with optimistic concurrency: read an order, decide, and write unless another
//! call has changed it since (`record_events` in `schema.sql`).

use jiff::Timestamp;
use orders::{
    EventNotAllowed, FulfilmentStatus, Label, Order, OrderEvent, OrderId, OrderStatus, PaymentId,
    PaymentStatus, Refund, Wait,
};
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::types::{Json, ToSql};

use super::{
    Orders,
    arguments::{AnsweredClaim, Timestamptz},
    idempotency::{Claim, KeyUse, StoredResponse},
    orders::VersionedOrder,
};
use crate::error::StoreError;

/// A wait has an event when it begins. Its further attempts, of which there may be hundreds, have
/// none.
const UPDATE_WAIT: &str = "update orders set hold = $2 where id = $1 and hold = $3";

/// The version before `V21__last_call.sql` reads only `updated_at`. Once it no longer runs, that is
/// left alone.
const RECORD_CALL: &str =
    "update orders set last_call_at = $2, updated_at = greatest(updated_at, $2) where id = $1";

/// How often to try while other calls keep changing the same order.
const MAX_TRIES: usize = 20;

/// Why an order was not changed. Nothing was written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// There is no such order.
    #[error("no such order")]
    NoSuchOrder,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The order's state does not allow the event.
    #[error(transparent)]
    NotAllowed(#[from] EventNotAllowed),
    /// Other calls kept changing the order.
    #[error("the order keeps changing")]
    Contended,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The call that records events. Other SQL may follow in the same statement and so in the same
/// commit.
macro_rules! record_events {
    () => {
        "record_events($1)"
    };
}
pub(crate) use record_events;

/// A statement that records events, with other changes that belong to the same commit.
pub(crate) struct Recording<'a> {
    /// The SQL, which must return what `record_events` returns.
    pub(crate) statement: &'static str,
    /// Its parameters from `$2` on.
    pub(crate) parameters: &'a [&'a (dyn ToSql + Sync)],
}

/// Records only the events.
const EVENTS_ONLY: Recording<'static> = Recording {
    statement: concat!("select ", record_events!()),
    parameters: &[],
};

/// The argument of `record_events`.
#[derive(Debug, Serialize)]
struct RecordEvents<'a> {
    seen: i32,
    order: OrderState<'a>,
    events: &'a [OrderEvent],
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<AnsweredClaim<'a>>,
}

/// The columns of `orders` that events can change.
#[derive(Debug, Serialize)]
struct OrderState<'a> {
    id: OrderId,
    status: OrderStatus,
    payment: PaymentStatus,
    fulfilment: FulfilmentStatus,
    #[serde(rename = "hold")]
    wait: Option<&'a Wait>,
    payment_id: Option<&'a PaymentId>,
    /// Stays as it is once the outcome of the authorization is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorize_round: Option<i32>,
    capture_before: Option<Timestamptz>,
    refunds: &'a [Refund],
    label: Option<&'a Label>,
    updated_at: Timestamptz,
}

impl<'a> From<&'a Order> for OrderState<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            id: order.id,
            status: order.status,
            payment: order.payment.status(),
            fulfilment: order.fulfilment,
            wait: order.wait.as_ref(),
            payment_id: order.payment.id(),
            authorize_round: order.payment.round(),
            capture_before: order.payment.capture_before().map(Timestamptz),
            refunds: &order.refunds,
            label: order.label.as_ref(),
            updated_at: Timestamptz(order.updated_at),
        }
    }
}

/// The claim of a request that runs once, and the function that makes its response.
struct Once<'a> {
    claim: &'a Claim,
    answer: &'a (dyn Fn(&Order) -> String + Sync),
}

impl Orders<'_> {
    /// Records the events that `decide` returns for the order's current state. `decide` is called
    /// again if the order changes before its events are written. Without events, nothing changes.
    pub async fn record(
        self,
        id: OrderId,
        now: Timestamp,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Sync,
    ) -> Result<Order, RecordError> {
        self.record_with(id, now, decide, &EVENTS_ONLY).await
    }

    /// As [`Orders::record`], with another statement.
    pub(crate) async fn record_with(
        self,
        id: OrderId,
        now: Timestamp,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Sync,
        recording: &Recording<'_>,
    ) -> Result<Order, RecordError> {
        for _ in 0..MAX_TRIES {
            let recorded = self.try_to_record(id, now, &decide, None, recording);
            if let Some(order) = recorded.await? {
                return Ok(order);
            }
        }
        Err(RecordError::Contended)
    }

    /// As [`Orders::record`], for a request under an idempotency key. A repeated request gets the
    /// first response.
    pub async fn record_once(
        self,
        id: OrderId,
        now: Timestamp,
        claim: &Claim,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Sync,
        answer: impl Fn(&Order) -> String + Sync,
    ) -> Result<StoredResponse, RecordError> {
        self.record_once_with(id, now, claim, decide, answer, &EVENTS_ONLY)
            .await
    }

    /// As [`Orders::record_once`], with another statement.
    pub(crate) async fn record_once_with(
        self,
        id: OrderId,
        now: Timestamp,
        claim: &Claim,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Sync,
        answer: impl Fn(&Order) -> String + Sync,
        recording: &Recording<'_>,
    ) -> Result<StoredResponse, RecordError> {
        let once = Once {
            claim,
            answer: &answer,
        };
        for _ in 0..MAX_TRIES {
            match self.0.idempotency_keys().find_use(claim).await? {
                KeyUse::None => {}
                KeyUse::Same(answer) => return Ok(answer),
                KeyUse::Other => return Err(RecordError::KeyReused),
            }
            let recorded = self.try_to_record(id, now, &decide, Some(&once), recording);
            match recorded.await {
                Ok(None) => {}
                Ok(Some(order)) => {
                    return Ok(StoredResponse {
                        body: answer(&order),
                        replayed: false,
                    });
                }
                // The error may mean that another call has just run the same request.
                Err(error) => {
                    return match self.0.idempotency_keys().find_use(claim).await? {
                        KeyUse::Same(answer) => Ok(answer),
                        KeyUse::None | KeyUse::Other => Err(error),
                    };
                }
            }
        }
        Err(RecordError::Contended)
    }

    /// Updates the wait of a waiting order, unless the wait has changed since `order` was read.
    pub async fn update_wait(self, order: &Order, wait: &Wait) -> Result<(), StoreError> {
        let before = order.wait.as_ref().map(Json);
        self.0
            .change(UPDATE_WAIT, &[&order.id.0, &Json(wait), &before])
            .await?;
        Ok(())
    }

    /// Records that a provider is about to be called again at `now`: the outcome of the call can be
    /// looked up from then on.
    pub async fn record_call(self, id: OrderId, now: Timestamp) -> Result<(), StoreError> {
        self.0.change(RECORD_CALL, &[&id.0, &now]).await?;
        Ok(())
    }

    /// Tries once. Returns none if another call changed the order first.
    async fn try_to_record(
        self,
        id: OrderId,
        now: Timestamp,
        decide: &(impl Fn(&Order) -> Vec<OrderEvent> + Sync),
        once: Option<&Once<'_>>,
        recording: &Recording<'_>,
    ) -> Result<Option<Order>, RecordError> {
        let VersionedOrder { mut order, version } = self
            .find_versioned(id)
            .await?
            .ok_or(RecordError::NoSuchOrder)?;
        let events = decide(&order);
        if events.is_empty() {
            return Ok(Some(order));
        }
        for event in &events {
            order = order.after(event, now)?;
        }
        let written = self.record_events(&order, version, &events, once, recording);
        let written = written.await?;
        Ok(written.then_some(order))
    }

    /// Writes the order's new state and the events that follow version `seen`. Returns false if
    /// another call changed the order first.
    async fn record_events(
        self,
        order: &Order,
        seen: i32,
        events: &[OrderEvent],
        once: Option<&Once<'_>>,
        recording: &Recording<'_>,
    ) -> Result<bool, StoreError> {
        let answer = once.map(|once| (once.answer)(order)).unwrap_or_default();
        let request = Json(RecordEvents {
            seen,
            order: order.into(),
            events,
            claim: once.map(|once| AnsweredClaim::new(once.claim, &answer)),
        });
        let parameters = [&[&request as &(dyn ToSql + Sync)], recording.parameters].concat();
        let row = self.0.write_one(recording.statement, &parameters).await?;
        Ok(row.try_get(0)?)
    }
}
