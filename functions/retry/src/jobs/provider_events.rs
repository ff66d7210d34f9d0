//! Events of the providers, which their webhooks deliver.

use jiff::Timestamp;
use orders::{OrderEvent, Provider};
use providers::{
    Reference, TrackingStatus,
    webhook::{
        ProviderEvent,
        payments::{PaymentEvent, PaymentEventKind},
        shipping::TrackingEvent,
    },
};

use super::messages::MessageError;
use crate::{
    Worker,
    records::{Owned, count_foreign, owned},
    steps::{StepError, if_allowed},
};

impl Worker {
    /// Processes an event, unless it was processed before.
    pub(super) async fn process_event(&self, event: &ProviderEvent) -> Result<(), MessageError> {
        let (provider, id) = match event {
            ProviderEvent::Payments(event) => (Provider::Payments, &event.id),
            ProviderEvent::Shipping(event) => (Provider::Shipping, &event.id),
        };
        if self
            .steps
            .services
            .database
            .provider_events()
            .contains(provider, id)
            .await?
        {
            return Ok(());
        }
        match event {
            ProviderEvent::Payments(event) => self.payment_event(event).await?,
            ProviderEvent::Shipping(event) => self.tracking_event(event).await?,
        }
        self.steps
            .services
            .database
            .provider_events()
            .add(provider, id, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Processes a payment event. Events arrive late, twice and out of order, so their content is
    /// not trusted: an event only says what to look up.
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
        let reference = Reference {
            shop: event.shop.clone(),
            order_id: event.order_id,
        };
        let orders = self.steps.known([&reference].into_iter()).await?;
        let Owned::Ours(known) = owned(&self.steps.shop, &reference, &orders) else {
            count_foreign(Provider::Payments, 1, now);
            return Ok(());
        };
        match (&event.kind, event.order_id, &event.payment_id) {
            (PaymentEventKind::Authorized, Some(order_id), Some(payment_id)) => {
                if self
                    .steps
                    .on_authorized(known, order_id, payment_id)
                    .await?
                {
                    self.resume_order(order_id).await?;
                }
                Ok(())
            }
            (PaymentEventKind::Unreadable { object_id, reason }, ..) => {
                let provider = Provider::Payments;
                let unreadable = self.steps.unreadable(provider, known, object_id, reason);
                Ok(unreadable.await?)
            }
            // Our own steps look up the outcome, and record it in the right order.
            _ => Ok(()),
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
            .steps
            .services
            .database
            .orders()
            .find_by_tracking_number(tracking_number)
            .await?;
        let Some(order) = order else {
            return self.unknown_parcel(tracking_number).await;
        };
        if order.is_open() {
            return Err(MessageError::TooEarly);
        }
        self.steps
            .record(order.id, |order| {
                if_allowed(order, OrderEvent::Delivered {})
            })
            .await
            .map_err(StepError::from)?;
        Ok(())
    }

    /// Processes the event of a parcel that no order has recorded. Its label was bought but is not
    /// recorded yet, or belongs to another system in the same account.
    async fn unknown_parcel(&self, tracking_number: &str) -> Result<(), MessageError> {
        let call = |_| {
            self.steps
                .services
                .shipping
                .labels_of_parcel(tracking_number)
        };
        let labels = self.steps.services.shipping_guard.call(call).await?;
        let orders = self
            .steps
            .known(labels.iter().map(|label| &label.reference))
            .await?;
        let is_ours =
            |reference| matches!(owned(&self.steps.shop, reference, &orders), Owned::Ours(_));
        if labels.iter().any(|label| is_ours(&label.reference)) {
            return Err(MessageError::TooEarly);
        }
        count_foreign(Provider::Shipping, 1, Timestamp::now());
        Ok(())
    }
}
