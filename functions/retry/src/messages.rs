//! What comes by queue: what the providers tell us, and the command to release what is parked.

use jiff::Timestamp;
use orders::{OrderEvent, OrderId, Provider};
use providers::{
    Mark, TrackingStatus,
    webhook::{
        ProviderEvent,
        payments::{PaymentEvent, PaymentEventKind},
        shipping::TrackingEvent,
    },
};
use serde::{Deserialize, Serialize};
use store::{Command, WithWork, Work};
use thiserror::Error;

use crate::{
    Services, StepError, Worker, cancelled_outcome,
    guard::Failure,
    if_allowed,
    reconcile::{CompareError, Owned, count_foreign, owned},
};

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    message_id: String,
    body: String,
}

/// Which messages of a batch are to be received again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchFailures {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// What a message says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Command(Command),
    Event(Box<ProviderEvent>),
}

/// Why a message is to be received again.
#[derive(Debug, Error)]
enum MessageError {
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the message is for another function")]
    Misled,
    #[error("the order is not so far")]
    TooEarly,
    #[error("what it is about cannot be looked up: {0}")]
    NotLookedUp(#[from] Failure),
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<CompareError> for MessageError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Provider(failure) => failure.into(),
            CompareError::Step(error) => error.into(),
        }
    }
}

impl From<store::StoreError> for MessageError {
    fn from(error: store::StoreError) -> Self {
        Self::Step(error.into())
    }
}

impl Worker {
    /// Does what each message asks for. One that fails is received again, and in the end is a dead
    /// letter.
    pub(crate) async fn receive(&self, messages: Vec<Message>) -> BatchFailures {
        let mut batch_item_failures = Vec::new();
        for message in messages {
            if let Err(error) = Box::pin(self.receive_one(&message.body)).await {
                tracing::warn!(message_id = message.message_id, %error, "message.failed");
                batch_item_failures.push(BatchItemFailure {
                    item_identifier: message.message_id,
                });
            }
        }
        BatchFailures {
            batch_item_failures,
        }
    }

    async fn receive_one(&self, body: &str) -> Result<(), MessageError> {
        let event = match serde_json::from_str(body)? {
            Body::Command(Command::Release {}) => return Ok(Box::pin(self.release()).await?),
            Body::Command(Command::Undo(order)) => return Ok(self.wake_cancelled(order).await?),
            Body::Command(Command::Probe(_)) => return Err(MessageError::Misled),
            Body::Event(event) => event,
        };
        let (provider, id) = match &*event {
            ProviderEvent::Payments(event) => (Provider::Payments, &event.id),
            ProviderEvent::Shipping(event) => (Provider::Shipping, &event.id),
        };
        if self
            .services
            .database
            .provider_events()
            .contains(provider, id)
            .await?
        {
            return Ok(());
        }
        match &*event {
            ProviderEvent::Payments(event) => self.payment_event(event).await?,
            ProviderEvent::Shipping(event) => self.tracking_event(event).await?,
        }
        self.services
            .database
            .provider_events()
            .add(provider, id, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Events come late, twice and out of order, so that none is taken at its word: it only tells
    /// what to look up.
    async fn payment_event(&self, event: &PaymentEvent) -> Result<(), MessageError> {
        let now = Timestamp::now();
        match &event.kind {
            PaymentEventKind::Other => return Ok(()),
            PaymentEventKind::Disputed { dispute_id } => {
                return Ok(self.look_up_dispute(dispute_id, now).await?);
            }
            PaymentEventKind::Refunded { refund } => {
                return Ok(self.look_up_refund(&refund.id, now).await?);
            }
            _ => {}
        }
        let mark = Mark {
            shop: event.shop.clone(),
            order_id: event.order_id,
        };
        let orders = self.known([&mark].into_iter()).await?;
        let Owned::Ours(known) = owned(&self.shop, &mark, &orders) else {
            count_foreign(Provider::Payments, 1, now);
            return Ok(());
        };
        match (&event.kind, event.order_id, &event.payment_id) {
            (PaymentEventKind::Authorized, Some(order_id), Some(payment_id)) => {
                if self.on_authorized(known, order_id, payment_id).await? {
                    self.wake(order_id).await?;
                }
                Ok(())
            }
            (PaymentEventKind::Unreadable { object_id, reason }, ..) => {
                let provider = Provider::Payments;
                let unreadable = self.unreadable(provider, known, object_id, reason);
                Ok(unreadable.await?)
            }
            // Our own steps find out, and record in order.
            _ => Ok(()),
        }
    }

    /// Resumes the execution of an order that waited when it was cancelled: what was begun for it is
    /// undone now, whichever provider it waited for.
    async fn wake_cancelled(&self, order_id: OrderId) -> Result<(), StepError> {
        if cancelled_outcome(&self.order(order_id).await?).is_none() {
            return Ok(());
        }
        for provider in [Provider::Payments, Provider::Shipping] {
            let parked = self
                .services
                .parked
                .get(provider, Work::Order(order_id))
                .await?;
            // What is being undone waits for a reason.
            if let Some(parked) = parked.filter(|parked| !parked.undoes()) {
                self.resume(&parked).await?;
            }
        }
        Ok(())
    }

    /// Resumes the execution of an order that waits for the payment provider.
    pub(crate) async fn wake(&self, order_id: OrderId) -> Result<(), StepError> {
        let work = Work::Order(order_id);
        match self.services.parked.get(Provider::Payments, work).await? {
            Some(parked) => self.resume(&parked).await,
            None => Ok(()),
        }
    }

    async fn tracking_event(&self, event: &TrackingEvent) -> Result<(), MessageError> {
        let Some(tracking_number) = &event.tracking_number else {
            return Ok(());
        };
        if event.status != TrackingStatus::Delivered {
            return Ok(());
        }
        let order = self
            .services
            .database
            .orders()
            .find_by_parcel(tracking_number)
            .await?;
        let Some(order) = order else {
            return self.unknown_parcel(tracking_number).await;
        };
        if order.is_open() {
            return Err(MessageError::TooEarly);
        }
        self.record(order.id, |order| {
            if_allowed(order, OrderEvent::Delivered {})
        })
        .await
        .map_err(StepError::from)?;
        Ok(())
    }

    /// A parcel that no order knows: its label may be bought and not recorded yet, or is another
    /// system's in the same account.
    async fn unknown_parcel(&self, tracking_number: &str) -> Result<(), MessageError> {
        let call = |_| self.services.shipping.labels_of_parcel(tracking_number);
        let labels = self.services.shipping_guard.call(call).await?;
        let orders = self.known(labels.iter().map(|label| &label.mark)).await?;
        let is_ours = |mark| matches!(owned(&self.shop, mark, &orders), Owned::Ours(_));
        if labels.iter().any(|label| is_ours(&label.mark)) {
            return Err(MessageError::TooEarly);
        }
        count_foreign(Provider::Shipping, 1, Timestamp::now());
        Ok(())
    }
}

impl<S: Services> Worker<S> {
    /// Records the payment of an order that waits because our own call had no answer: true, if its
    /// execution may resume. What is held beside the order's own payment is voided.
    pub(crate) async fn on_authorized(
        &self,
        known: Option<&WithWork>,
        order_id: OrderId,
        payment_id: &str,
    ) -> Result<bool, StepError> {
        let is_its_own = |known: &WithWork| known.order.payment_id.as_deref() == Some(payment_id);
        if known.is_some_and(is_its_own) {
            return Ok(false);
        }
        let call = |_| self.services.payment(payment_id);
        let Ok(intent) = self.services.guarded(Provider::Payments, call).await else {
            // Then the order's own step will find out, or the reconciliation.
            return Ok(false);
        };
        if intent.order_id() != Some(order_id) {
            return Ok(false);
        }
        match self.settle_payment(known, &intent).await {
            Ok(resumes) => Ok(resumes),
            Err(CompareError::Step(error)) => Err(error),
            Err(CompareError::Provider(_)) => Ok(false),
        }
    }
}
