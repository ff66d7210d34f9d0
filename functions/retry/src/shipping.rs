//! The steps at the shipping provider.

use orders::{CancelledBy, FulfilmentStatus, Kind, Label, Order, Provider};
use providers::{BoughtLabel, CallError, Parcel};
use store::AttentionKind;

use crate::{
    StepError, Worker, called_off,
    guard::Failure,
    outcome::{Outcome, is_about_the_order},
    payment::{cancelled, label_deadline},
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
        match self.shipping_guard.call(attempt).await {
            Ok(label) => self.label_settled(&order, bought(label)).await,
            Err(Failure::Call(CallError::Rejected {
                status,
                code,
                message,
            })) if is_about_the_order(status) => {
                self.label_settled(&order, Kind::LabelRefused { code, message })
                    .await
            }
            Err(failure) => {
                let deadline = label_deadline(&order, self.limits.max_wait);
                self.hold(&order, Provider::Shipping, failure, Some(deadline))
                    .await
            }
        }
    }

    /// Gives back whatever label there is, known or not.
    pub(crate) async fn void_label(&self, order: Order) -> Result<Outcome, StepError> {
        let voided = match &order.label {
            Some(label) => self.give_back(&order, &label.label_id).await,
            None => self.give_back_unknown(&order).await,
        };
        if let Err(failure) = voided {
            return self.hold(&order, Provider::Shipping, failure, None).await;
        }
        self.record(order.id, |order| match order.label {
            Some(_) => vec![Kind::LabelVoided {}],
            None => Vec::new(),
        })
        .await?;
        Ok(Outcome::Done)
    }

    async fn give_back_unknown(&self, order: &Order) -> Result<(), Failure> {
        let call = |_| self.shipping.label_of(order.id);
        match self.shipping_guard.call(call).await? {
            Some(label) => self.give_back(order, &label.label_id).await,
            None => Ok(()),
        }
    }

    /// Gives a label back; what the carrier will not take back is for a person.
    async fn give_back(&self, order: &Order, label_id: &str) -> Result<(), Failure> {
        let call = |_| self.shipping.void_label(label_id);
        match self.shipping_guard.call(call).await {
            Err(Failure::Call(CallError::Rejected {
                status,
                code,
                message,
            })) if is_about_the_order(status) || status == 200 => {
                let detail = format!("{label_id} cannot be given back ({code}): {message}");
                self.raise(order, AttentionKind::LabelNotVoided, detail)
                    .await
                    .map_err(|_| CallError::InFlight.into())
            }
            result => result,
        }
    }

    /// Records what became of the label, unless an earlier run has.
    async fn label_settled(&self, order: &Order, event: Kind) -> Result<Outcome, StepError> {
        let refused = matches!(event, Kind::LabelRefused { .. });
        let order = self
            .record(order.id, |order| {
                if order.label.is_some() {
                    return Vec::new();
                }
                let mut events = vec![event.clone()];
                if refused {
                    events.extend(cancelled(order, CancelledBy::Shipping));
                }
                events
            })
            .await?;
        Ok(called_off(&order).unwrap_or(Outcome::Done))
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

fn bought(label: BoughtLabel) -> Kind {
    Kind::LabelBought(Label {
        label_id: label.label_id,
        tracking_number: label.tracking_number,
    })
}
