//! The steps at the shipping provider.

use std::sync::atomic::{AtomicBool, Ordering};

use orders::{CancelledBy, FulfilmentStatus, Label, LabelId, Order, OrderEvent, Provider};
use providers::{BoughtLabel, CallError, Parcel, ShipmentLookup};
use store::AttentionKind;

use super::{
    StepError, Steps, cancelled_outcome,
    payment::{cancelled, label_deadline},
};
use crate::{
    guard::Failure,
    outcome::Outcome,
    services::{Books, ShippingCalls},
};

/// The assumed weight of one article with its packing, in grams.
const GRAMS_EACH: u32 = 250;

impl<S: Books + ShippingCalls> Steps<S> {
    pub(super) async fn buy_label(&self, order: Order) -> Result<Outcome, StepError> {
        // The request is recorded before the call, so that a later run knows that a label may
        // exist. Only the run that records it can skip the look-up.
        let first = AtomicBool::new(false);
        let order = self
            .record(order.id, |order| {
                let unasked = order.fulfilment == FulfilmentStatus::Unfulfilled;
                first.store(unasked, Ordering::Relaxed);
                if unasked {
                    vec![OrderEvent::LabelRequested {}]
                } else {
                    Vec::new()
                }
            })
            .await?;
        let asked_before = !first.into_inner();
        if let Some(outcome) = cancelled_outcome(&order) {
            return Ok(outcome);
        }
        if order.label.is_some() {
            return Ok(Outcome::Done);
        }
        let attempt = |tried: u32| self.find_or_buy(&order, asked_before || tried > 0);
        match self.services.guarded(Provider::Shipping, attempt).await {
            Ok(label) => self.label_settled(&order, bought(label)).await,
            Err(Failure::Call(CallError::Rejected { code, message, .. })) => {
                self.label_settled(&order, OrderEvent::LabelRefused { code, message })
                    .await
            }
            Err(failure) => {
                let deadline = label_deadline(&order, self.limits.max_wait);
                self.wait_for(&order, Provider::Shipping, failure, Some(deadline))
                    .await
            }
        }
    }

    /// Voids the label, recorded or not. If none was ever requested, the provider is not called. A
    /// label that the carrier refuses to void is raised for a person.
    pub(super) async fn void_label(&self, order: Order) -> Result<Outcome, StepError> {
        if !self.services.has_requested_label(order.id).await? {
            return Ok(Outcome::Done);
        }
        let label_id = match self.label_of(&order).await {
            Ok(label_id) => label_id,
            Err(failure) => {
                return self
                    .wait_for(&order, Provider::Shipping, failure, None)
                    .await;
            }
        };
        if let Some(label_id) = label_id {
            let call = |_| self.services.void_label(&label_id);
            match self.services.guarded(Provider::Shipping, call).await {
                Ok(()) => {}
                Err(Failure::Call(CallError::Rejected { code, message, .. })) => {
                    let detail = format!("{label_id} cannot be voided ({code}): {message}");
                    self.raise(
                        &order,
                        label_id.as_str(),
                        AttentionKind::LabelNotVoided,
                        detail,
                    )
                    .await?;
                    return Ok(Outcome::Done);
                }
                Err(failure) => {
                    return self
                        .wait_for(&order, Provider::Shipping, failure, None)
                        .await;
                }
            }
        }
        self.record(order.id, |order| match order.label {
            Some(_) => vec![OrderEvent::LabelVoided {}],
            None => Vec::new(),
        })
        .await?;
        Ok(Outcome::Done)
    }

    /// Returns the order's label, from the order if it is recorded, else from the provider.
    async fn label_of(&self, order: &Order) -> Result<Option<LabelId>, Failure> {
        if let Some(label) = &order.label {
            return Ok(Some(label.label_id.clone()));
        }
        let call = |_| self.services.shipment_of(order.id);
        Ok(
            match self.services.guarded(Provider::Shipping, call).await? {
                ShipmentLookup::Label(label) => Some(label.label_id),
                ShipmentLookup::Shipment(_) | ShipmentLookup::Nothing => None,
            },
        )
    }

    /// Records the bought or refused label, unless an earlier run has recorded a label.
    async fn label_settled(&self, order: &Order, event: OrderEvent) -> Result<Outcome, StepError> {
        let refused = matches!(event, OrderEvent::LabelRefused { .. });
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
        Ok(cancelled_outcome(&order).unwrap_or(Outcome::Done))
    }

    /// Buys the label. The provider has no idempotency keys, so if a label `may_exist` from an
    /// earlier call, it is looked up first.
    async fn find_or_buy(&self, order: &Order, may_exist: bool) -> Result<BoughtLabel, CallError> {
        if may_exist {
            match self.services.shipment_of(order.id).await? {
                ShipmentLookup::Label(label) => return Ok(label),
                ShipmentLookup::Shipment(id) => return self.services.buy_label_for(&id).await,
                ShipmentLookup::Nothing => {}
            }
        }
        let articles: u32 = order.lines.iter().map(|line| line.quantity.get()).sum();
        let parcel = Parcel {
            shop: &self.shop,
            order_id: order.id,
            ship_to: &order.shipping_address,
            grams: articles * GRAMS_EACH,
        };
        self.services.buy_label(parcel).await
    }
}

fn bought(label: BoughtLabel) -> OrderEvent {
    OrderEvent::LabelBought(Label {
        label_id: label.label_id,
        tracking_number: label.tracking_number,
    })
}
