//! The steps of an order's execution: guarded calls of the two external services, each safe to run
//! again, and the sweep that starts what was accepted but not started.

mod guard;
mod outcome;
mod payment;
mod shipping;
mod sweep;

use jiff::{Timestamp, ToSpan};
use orders::{CancelledBy, FulfilmentStatus, Hold, Kind, Order, OrderId, OrderStatus};
use providers::{CallError, Payments, Shipping};
use serde::{Deserialize, Serialize};
use store::{Database, Executions, RecordError, StoreError};
use thiserror::Error;

pub use outcome::Outcome;
use outcome::Wait;

/// How long an order may wait for a provider: the least time that a card's hold lasts.
const MAX_HOLD_DAYS: i32 = 5;

/// What the state machine or the schedule asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// One step of one order.
    Step {
        /// Which order.
        order_id: OrderId,
        /// Which step.
        step: Step,
    },
    /// Start what was accepted but not started.
    Sweep {
        /// Nothing can be asked of the sweep.
        sweep: NoOptions,
    },
}

/// An empty object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// A step of an order's execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Hold the money.
    AuthorizePayment,
    /// Buy the label.
    BuyLabel,
    /// Take the money; the order is then shipped.
    CapturePayment,
    /// Give the label back.
    VoidLabel,
    /// Let the money go.
    VoidPayment,
    /// Give the stock back.
    CancelOrder,
}

/// Why a step could not be run to an outcome. The state machine runs it again.
#[derive(Debug, Error)]
pub enum StepError {
    /// A step that must succeed in the end did not yet.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The order's change could not be kept.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs steps and sweeps.
#[derive(Clone)]
pub struct Worker {
    /// Orders.
    pub database: Database,
    /// The executions that the sweep starts.
    pub executions: Executions,
    /// Takes the money.
    pub payments: Payments,
    /// Takes the parcels.
    pub shipping: Shipping,
}

impl Worker {
    /// Does what is asked for.
    pub async fn handle(&self, request: Request) -> Result<Outcome, StepError> {
        let Request::Step { order_id, step } = request else {
            self.sweep(Timestamp::now()).await?;
            return Ok(Outcome::Done);
        };
        let order = self
            .database
            .order(order_id)
            .await?
            .ok_or(RecordError::NoSuchOrder)?;
        let outcome = match step {
            Step::AuthorizePayment => self.authorize_payment(order).await,
            Step::BuyLabel => self.buy_label(order).await,
            Step::CapturePayment => self.capture_payment(order).await,
            Step::VoidLabel => self.void_label(order).await,
            Step::VoidPayment => self.void_payment(order).await,
            Step::CancelOrder => self.cancel_order(order).await,
        };
        match &outcome {
            Ok(outcome) => tracing::info!(%order_id, ?step, ?outcome, "step.ended"),
            Err(error) => tracing::warn!(%order_id, ?step, %error, "step.failed"),
        }
        outcome
    }

    async fn cancel_order(&self, order: Order) -> Result<Outcome, StepError> {
        self.record(order.id, |order| {
            let by = match order.fulfilment {
                FulfilmentStatus::InProgress => CancelledBy::Shipping,
                _ => CancelledBy::Payments,
            };
            if order.is_open() {
                vec![Kind::Cancelled { by }]
            } else {
                Vec::new()
            }
        })
        .await?;
        Ok(Outcome::Done)
    }

    /// Notes that the order waits, the first time that it does.
    async fn hold(&self, id: OrderId, wait: Wait) -> Result<Outcome, StepError> {
        let now = Timestamp::now();
        let hold = Hold {
            provider: wait.provider,
            reason: wait.reason.clone(),
            since: now,
            attempts: 1,
            next_attempt: now + wait.retry_after,
            deadline: now + (MAX_HOLD_DAYS * 24).hours(),
        };
        self.record(id, |order| match order.hold {
            None if order.is_open() => vec![Kind::Held(hold.clone())],
            _ => Vec::new(),
        })
        .await?;
        Ok(Outcome::Wait(wait))
    }

    async fn record(
        &self,
        id: OrderId,
        decide: impl Fn(&Order) -> Vec<Kind> + Sync,
    ) -> Result<Order, RecordError> {
        self.database.record(id, Timestamp::now(), decide).await
    }
}

/// Whether the shopper has called the order off: what was done for it must be undone.
fn called_off(order: &Order) -> Option<Outcome> {
    (order.status == OrderStatus::Cancelled).then(|| Outcome::Refused {
        reason: "the order was cancelled".to_owned(),
    })
}
