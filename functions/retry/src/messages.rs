//! What comes by queue: what the providers tell us, and the command to release what is parked.

use jiff::Timestamp;
use orders::{Kind, OrderId, Provider};
use providers::{
    Refund, TrackingStatus,
    webhook::{
        ProviderEvent,
        payments::{PaymentEvent, PaymentEventKind},
        shipping::TrackingEvent,
    },
};
use serde::{Deserialize, Serialize};
use store::{AttentionKind, Command, WithWork, Work};
use thiserror::Error;

use crate::{StepError, Worker, if_allowed, reconcile::CompareError, refund::refund_event};

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
    Event(ProviderEvent),
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
    #[error(transparent)]
    Step(#[from] StepError),
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
            Body::Command(Command::Probe(_)) => return Err(MessageError::Misled),
            Body::Event(event) => event,
        };
        let (provider, id) = match &event {
            ProviderEvent::Payments(event) => (Provider::Payments, &event.id),
            ProviderEvent::Shipping(event) => (Provider::Shipping, &event.id),
        };
        if self.database.knows_event(provider, id).await? {
            return Ok(());
        }
        match &event {
            ProviderEvent::Payments(event) => self.payment_event(event).await?,
            ProviderEvent::Shipping(event) => self.tracking_event(event).await?,
        }
        self.database
            .remember_event(provider, id, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Events come late, twice and out of order, so that none is taken at its word: it only tells
    /// what to look up.
    async fn payment_event(&self, event: &PaymentEvent) -> Result<(), MessageError> {
        match (&event.kind, event.order_id, &event.payment_id) {
            (PaymentEventKind::Refunded { refund }, Some(order_id), _) => {
                self.refund_told(order_id, refund).await
            }
            (PaymentEventKind::Authorized, Some(order_id), Some(payment_id)) => {
                self.authorization_told(order_id, payment_id).await
            }
            // Our own steps find out, and record in order.
            _ => Ok(()),
        }
    }

    /// An order that waits because our own call had no answer need not wait any longer; and what is
    /// held beside the order's own payment need not be held any longer.
    async fn authorization_told(
        &self,
        order_id: OrderId,
        payment_id: &str,
    ) -> Result<(), MessageError> {
        let known = self.database.orders_with_work(&[order_id]).await?.pop();
        let is_its_own = |known: &WithWork| known.order.payment_id.as_deref() == Some(payment_id);
        if known.as_ref().is_some_and(is_its_own) {
            return Ok(());
        }
        let call = |_| self.payments.get(payment_id);
        let Ok(intent) = self.payments_guard.call(call).await else {
            // Then the order's own step will find out, or the reconciliation.
            return Ok(());
        };
        if intent.order_id() != Some(order_id) {
            return Ok(());
        }
        let looks_for_one = |known: &&WithWork| known.unfinished && known.order.is_undecided();
        if let Some(WithWork { order, .. }) = known.as_ref().filter(looks_for_one) {
            self.settle_with(order, intent).await?;
            return Ok(self.wake(order_id).await?);
        }
        let now = Timestamp::now();
        match self.settle_record(known.as_ref(), &intent, now).await {
            Err(CompareError::Step(error)) => Err(error.into()),
            Ok(()) | Err(CompareError::Provider(_)) => Ok(()),
        }
    }

    async fn wake(&self, order_id: OrderId) -> Result<(), StepError> {
        let work = Work::Order(order_id);
        match self.parked.get(Provider::Payments, work).await? {
            Some(parked) => self.resume(&parked).await,
            None => Ok(()),
        }
    }

    async fn refund_told(&self, order_id: OrderId, made: &Refund) -> Result<(), MessageError> {
        let Some(order) = self.database.order(order_id).await? else {
            return Ok(());
        };
        let Some(id) = made.refund_id().filter(|id| order.refund(*id).is_some()) else {
            let detail = format!("{} was not asked for here.", made.id);
            let kind = AttentionKind::Refund;
            return Ok(self.raise(&order, &made.id, kind, detail).await?);
        };
        if let Some(event) = refund_event(id, made) {
            self.refund_ended(&order, id, &event).await?;
        }
        Ok(())
    }

    async fn tracking_event(&self, event: &TrackingEvent) -> Result<(), MessageError> {
        if event.status != TrackingStatus::Delivered {
            return Ok(());
        }
        let order = self
            .database
            .order_of_parcel(&event.tracking_number)
            .await?;
        // The label may be bought and not recorded yet.
        let order = order.ok_or(MessageError::TooEarly)?;
        if order.is_open() {
            return Err(MessageError::TooEarly);
        }
        self.record(order.id, |order| if_allowed(order, Kind::Delivered {}))
            .await
            .map_err(StepError::from)?;
        Ok(())
    }
}
