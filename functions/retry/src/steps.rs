//! The steps of an order's execution and of a refund's. Each is safe to run again. A step changes
//! the order through events and calls one provider; its trait bounds say which.

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
    /// Authorizes the payment, which puts a hold on the card.
    AuthorizePayment,
    /// Buys the label.
    BuyLabel,
    /// Captures the payment. The order is then shipped.
    CapturePayment,
    /// Voids the authorization.
    VoidPayment,
    /// Voids the label.
    VoidLabel,
    /// Finishes the order after everything that was started is undone.
    CloseOrder,
}

/// The error of a step that has no outcome. The state machine runs the step again.
#[derive(Debug, Error)]
pub enum StepError {
    /// The order's change could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The circuit breaker's table did not respond.
    #[error(transparent)]
    Circuit(#[from] breaker::Error),
    /// The order has money to capture or to refund, but no payment id.
    #[error("the order {0} names no payment")]
    NoPayment(OrderId),
}

/// The time limits of the steps, and the rate at which parked executions are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long an order may wait for a provider, counted from when it was placed.
    pub max_wait: SignedDuration,
    /// The same limit for an order whose payment is not authorized, if it is shorter: a card that
    /// no provider has seen may be invented.
    pub max_unauthorized_wait: SignedDuration,
    /// How long after a call a look-up is certain to find its effect.
    pub look_up_after: SignedDuration,
    /// How long the payment provider is certain to know an idempotency key. After that, another key
    /// is used.
    pub key_life: SignedDuration,
    /// How old a provider's record must be before it is compared with ours.
    pub reconcile_after: SignedDuration,
    /// The maximum number of calls per second to each provider by parked executions that resume.
    pub released_calls_per_second: u32,
}

impl Limits {
    /// How long an order may wait while its payment is not authorized.
    fn unauthorized_wait(&self) -> SignedDuration {
        self.max_unauthorized_wait.min(self.max_wait)
    }

    /// The minimum age of the records that a pass compares.
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
    /// The services that the steps call.
    pub services: S,
    /// The time limits, and the release rate.
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

    /// Raises a finding about an order for a person. The subject is the order itself, a payment, a
    /// label or a refund.
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

/// Returns the event if the order's state allows it: an earlier run may have recorded it already.
pub(crate) fn if_allowed(order: &Order, event: OrderEvent) -> Vec<OrderEvent> {
    if order.allows(&event) {
        vec![event]
    } else {
        Vec::new()
    }
}

/// The provider's id of the order's payment.
pub(crate) fn payment_of(order: &Order) -> Result<&PaymentId, StepError> {
    let payment_id = order.payment.id();
    payment_id.ok_or(StepError::NoPayment(order.id))
}

/// Returns the refusal if the order is cancelled: what was done for it must be undone.
pub(crate) fn cancelled_outcome(order: &Order) -> Option<Outcome> {
    (order.status == OrderStatus::Cancelled).then(|| Outcome::refused("the order was cancelled"))
}
