//! The steps at the shipping provider.

use orders::{FulfilmentStatus, Kind, Label, Order, Provider};
use providers::{BoughtLabel, CallError, Parcel};

use crate::{
    StepError, Worker, called_off, guard,
    outcome::{Outcome, Wait, is_about_the_order},
};

/// What one article is taken to weigh with its packing, in grams.
const GRAMS_EACH: u32 = 250;

impl Worker {
    pub(crate) async fn buy_label(&self, order: Order) -> Result<Outcome, StepError> {
        let asked_before = order.fulfilment != FulfilmentStatus::Unfulfilled;
        // Written before the call: whoever finds it knows that a label may exist.
        let order = self
            .record(order.id, |order| match order.fulfilment {
                FulfilmentStatus::Unfulfilled => vec![Kind::LabelRequested {}],
                _ => Vec::new(),
            })
            .await?;
        if let Some(outcome) = called_off(&order) {
            return Ok(outcome);
        }
        if order.label.is_some() {
            return Ok(Outcome::Done);
        }
        let attempt = |tried: u32| self.find_or_buy(&order, asked_before || tried > 0);
        let event = match guard::call(attempt).await {
            Ok(BoughtLabel {
                label_id,
                tracking_number,
                ..
            }) => Kind::LabelBought(Label {
                label_id,
                tracking_number,
            }),
            Err(CallError::Rejected {
                status,
                code,
                message,
            }) if is_about_the_order(status) => Kind::LabelRefused { code, message },
            Err(error) => {
                return self
                    .hold(order.id, Wait::after(Provider::Shipping, &error))
                    .await;
            }
        };
        let order = self
            .record(order.id, |order| match order.label {
                None => vec![event.clone()],
                Some(_) => Vec::new(),
            })
            .await?;
        let refused = || Outcome::Refused {
            reason: "the carrier refused the parcel".to_owned(),
        };
        Ok(match called_off(&order) {
            Some(outcome) => outcome,
            None if order.label.is_some() => Outcome::Done,
            None => refused(),
        })
    }

    /// Gives back whatever label there is, known or not.
    pub(crate) async fn void_label(&self, order: Order) -> Result<Outcome, StepError> {
        let label_id = if let Some(label) = &order.label {
            Some(label.label_id.clone())
        } else {
            let found = guard::call(|_| self.shipping.label_of(order.id)).await?;
            found.map(|label| label.label_id)
        };
        if let Some(label_id) = label_id {
            guard::call(|_| self.shipping.void_label(&label_id)).await?;
        }
        self.record(order.id, |order| match order.label {
            Some(_) => vec![Kind::LabelVoided {}],
            None => Vec::new(),
        })
        .await?;
        Ok(Outcome::Done)
    }

    /// The provider has no idempotency key, so after a first call its own list is asked first.
    async fn find_or_buy(&self, order: &Order, may_exist: bool) -> Result<BoughtLabel, CallError> {
        if may_exist && let Some(label) = self.shipping.label_of(order.id).await? {
            return Ok(label);
        }
        let articles: u32 = order.lines.iter().map(|line| line.quantity.get()).sum();
        let parcel = Parcel {
            order_id: order.id,
            ship_to: &order.shipping_address,
            grams: articles * GRAMS_EACH,
        };
        self.shipping.buy_label(parcel).await
    }
}
