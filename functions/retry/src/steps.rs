//! The steps of an order's execution and of a refund's, each safe to run again. A step changes the
//! order by events and calls one provider; its bounds say which.

mod payment;
mod refund;
mod shipping;
mod wait;

use jiff::SignedDuration;
use orders::{Order, OrderEvent, OrderId, OrderStatus, PaymentId, ShopId};
use serde::{Deserialize, Serialize};
use store::{AttentionKind, NewAttention, Pass, RecordError, StoreError, Work};
use telemetry::{Metrics, Unit};
use thiserror::Error;

pub(crate) use refund::refund_event;

use crate::{
    clients::Clients,
    outcome::Outcome,
    services::{Books, Services},
};

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
    /// Void the authorization.
    VoidPayment,
    /// Void the label.
    VoidLabel,
    /// Everything that was begun is undone.
    CloseOrder,
}

/// Why a step could not be run to an outcome. The state machine runs it again.
#[derive(Debug, Error)]
pub enum StepError {
    /// The order's change could not be kept.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The circuits' table did not answer.
    #[error(transparent)]
    Circuit(#[from] breaker::Error),
    /// The order has money to capture or to refund, but names no payment.
    #[error("the order {0} names no payment")]
    NoPayment(OrderId),
}

/// How long, how soon, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long after it was placed an order may wait for a provider.
    pub max_wait: SignedDuration,
    /// How long after it was placed an order may wait to have its money authorized, if that is shorter. A card
    /// that no provider has seen may be invented.
    pub max_unauthorized_wait: SignedDuration,
    /// How long after a call what it has done is found by a look-up.
    pub look_up_after: SignedDuration,
    /// For how long the payment provider is sure to know an idempotency key; then another one is used.
    pub key_life: SignedDuration,
    /// How old a provider's record is when it is compared with ours.
    pub reconcile_after: SignedDuration,
    /// The most calls that parked executions make of either provider in a second once they go on.
    pub released_calls_per_second: u32,
}

impl Limits {
    /// How long an order may wait whose money was never authorized.
    fn unauthorized_wait(&self) -> SignedDuration {
        self.max_unauthorized_wait.min(self.max_wait)
    }

    /// How old a provider's record is when it is compared.
    pub(crate) fn age_at(&self, pass: Pass) -> SignedDuration {
        match pass {
            Pass::Soon => self.reconcile_after,
            Pass::Settled => self.reconcile_after + self.max_wait,
        }
    }
}

/// Runs the steps.
#[derive(Clone)]
pub struct Steps<S = Clients> {
    /// The shop's id at the providers.
    pub shop: ShopId,
    /// What the steps call.
    pub services: S,
    /// How long, how soon, how many.
    pub limits: Limits,
}

impl<S: Services> Steps<S> {
    /// Runs a step of an order's execution.
    pub(crate) async fn run(&self, order_id: OrderId, step: Step) -> Result<Outcome, StepError> {
        let order = self.order(order_id).await?;
        let outcome = match step {
            Step::AuthorizePayment => Box::pin(self.authorize_payment(order)).await,
            Step::BuyLabel => self.buy_label(order).await,
            Step::CapturePayment => self.capture_payment(order).await,
            // An order that is not cancelled is not undone.
            Step::VoidLabel | Step::VoidPayment if cancelled_outcome(&order).is_none() => {
                Ok(Outcome::Done)
            }
            Step::VoidLabel => self.void_label(order).await,
            Step::VoidPayment => self.void_payment(order).await,
            Step::CloseOrder => self.close(order).await,
        };
        match &outcome {
            Ok(outcome) => tracing::info!(%order_id, ?step, ?outcome, "step.ended"),
            Err(error) => tracing::warn!(%order_id, ?step, %error, "step.failed"),
        }
        outcome
    }
}

impl<S: Books> Steps<S> {
    async fn close(&self, order: Order) -> Result<Outcome, StepError> {
        self.services.finish(Work::Order(order.id)).await?;
        Ok(Outcome::Done)
    }

    pub(crate) async fn order(&self, id: OrderId) -> Result<Order, StepError> {
        let order = self.services.order(id).await?;
        Ok(order.ok_or(RecordError::NoSuchOrder)?)
    }

    pub(crate) async fn record(
        &self,
        id: OrderId,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError> {
        self.services.record(id, decide).await
    }

    /// Has a person look at something of an order: the order itself, a payment, a label, a refund.
    pub(crate) async fn raise(
        &self,
        order: &Order,
        subject: &str,
        kind: AttentionKind,
        detail: String,
    ) -> Result<(), StepError> {
        let finding = NewAttention {
            order_id: Some(order.id),
            subject: subject.to_owned(),
            kind,
            detail,
        };
        self.report(&finding).await
    }

    pub(crate) async fn report(&self, finding: &NewAttention) -> Result<(), StepError> {
        if self.services.raise(finding).await? {
            tracing::error!(subject = finding.subject, kind = %finding.kind, "attention.raised");
            Metrics::of("Kind", finding.kind.to_string())
                .with("AttentionRaised", Unit::Count, 1.0)
                .emit(self.services.now().as_millisecond());
        }
        Ok(())
    }
}

/// The event, if the order can take it as it is now: an earlier run may have recorded it.
pub(crate) fn if_allowed(order: &Order, event: OrderEvent) -> Vec<OrderEvent> {
    if order.allows(&event) {
        vec![event]
    } else {
        Vec::new()
    }
}

/// The provider's id of the order's payment.
pub(crate) fn payment_of(order: &Order) -> Result<&PaymentId, StepError> {
    let payment_id = order.payment_id.as_ref();
    payment_id.ok_or(StepError::NoPayment(order.id))
}

/// Whether the order is called off: what was done for it must be undone.
pub(crate) fn cancelled_outcome(order: &Order) -> Option<Outcome> {
    (order.status == OrderStatus::Cancelled).then(|| Outcome::refused("the order was cancelled"))
}
