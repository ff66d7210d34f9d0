//! The providers' own records against ours. What has one right answer is put right; the rest is for a
//! person.
//!
//! Each payment and each label is looked at twice: soon after it was made, and once every order of
//! its time must be finished.

use std::{collections::HashMap, ops::Range};

use jiff::{SignedDuration, Timestamp};
use orders::{Kind, Order, OrderId, OrderStatus, PaymentStatus, Provider};
use providers::{BoughtLabel, CallError, PaymentIntent, PaymentIntentStatus};
use store::{AttentionKind, Finding, WithWork};

use crate::{StepError, Worker, guard::Failure};

/// The longest time that one sweep compares; after a long pause, several sweeps catch up.
const STRIDE: SignedDuration = SignedDuration::from_mins(10);

/// What to do about one of a provider's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Fine,
    /// It is of no use to anybody: let the money go, or give the label back.
    Undo,
    /// A person has to decide.
    Raise(AttentionKind),
}

impl Worker {
    /// Compares what has become old enough since the last time. A provider that does not answer is
    /// compared later.
    pub(crate) async fn reconcile(&self, now: Timestamp) -> Result<(), StepError> {
        let soon = self.limits.reconcile_after;
        for (pass, age) in [("soon", soon), ("settled", soon + self.limits.max_wait)] {
            for provider in [Provider::Payments, Provider::Shipping] {
                let name = format!("{provider}:{pass}");
                let from = self.database.compared_to(&name).await?;
                let from = from.unwrap_or(now - age - STRIDE);
                let to = (now - age).min(from + STRIDE);
                if to <= from {
                    continue;
                }
                let compared = match provider {
                    Provider::Payments => self.compare_payments(from..to, now).await,
                    Provider::Shipping => self.compare_labels(from..to, now).await,
                };
                match compared {
                    Ok(()) => self.database.compared(&name, to).await?,
                    Err(CompareError::Provider(error)) => {
                        tracing::warn!(%provider, %error, "reconciliation.put_off");
                    }
                    Err(CompareError::Step(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn compare_payments(
        &self,
        created: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let mut after = None;
        loop {
            let call = |_| self.payments.list(created.clone(), after.as_deref());
            let page = self.payments_guard.call(call).await?;
            let orders = self
                .known(page.items.iter().map(PaymentIntent::order_id))
                .await?;
            for intent in &page.items {
                let known = intent.order_id().and_then(|id| orders.get(&id));
                match judge_payment(known, intent) {
                    Verdict::Fine => {}
                    Verdict::Undo => self.let_stray_go(known, intent, now).await?,
                    Verdict::Raise(kind) => {
                        let detail = format!(
                            "{} is {:?} with {} of {} cents taken.",
                            intent.id,
                            intent.status,
                            intent.amount_received.get(),
                            intent.amount.get()
                        );
                        self.found(known, &intent.id, kind, detail, now).await?;
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare_labels(
        &self,
        created: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let mut number = 1;
        loop {
            let call = |_| self.shipping.labels(created.clone(), number);
            let page = self.shipping_guard.call(call).await?;
            let orders = self
                .known(page.items.iter().map(BoughtLabel::order_id))
                .await?;
            for label in &page.items {
                let known = label.order_id().and_then(|id| orders.get(&id));
                match judge_label(known, label) {
                    Verdict::Fine => {}
                    Verdict::Undo => self.give_stray_back(known, label, now).await?,
                    Verdict::Raise(kind) => {
                        let detail = format!("{} was bought.", label.label_id);
                        self.found(known, &label.label_id, kind, detail, now)
                            .await?;
                    }
                }
            }
            match page.next {
                Some(next) => number = next,
                None => return Ok(()),
            }
        }
    }

    /// Lets money go that nobody needs. The order may know of it, if it was told after it was undone.
    async fn let_stray_go(
        &self,
        known: Option<&WithWork>,
        intent: &PaymentIntent,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        tracing::warn!(payment_id = intent.id, "payment.let_go");
        let key = format!("{}:stray", intent.id);
        let call = |_| self.payments.cancel(&intent.id, &key);
        match self.payments_guard.call(call).await {
            Ok(_) => {}
            Err(Failure::Call(CallError::Rejected { message, .. })) => {
                let kind = AttentionKind::HoldNotLetGo;
                return Ok(self.found(known, &intent.id, kind, message, now).await?);
            }
            Err(failure) => return Err(failure.into()),
        }
        if let Some(WithWork { order, .. }) = known {
            self.record(order.id, |order| its_own_voided(order, &intent.id))
                .await
                .map_err(StepError::from)?;
        }
        Ok(())
    }

    /// Gives a label back that nobody needs.
    async fn give_stray_back(
        &self,
        known: Option<&WithWork>,
        label: &BoughtLabel,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        tracing::warn!(label_id = label.label_id, "label.given_back");
        let call = |_| self.shipping.void_label(&label.label_id);
        match self.shipping_guard.call(call).await {
            Err(Failure::Call(CallError::Rejected { message, .. })) => {
                let kind = AttentionKind::LabelNotVoided;
                Ok(self
                    .found(known, &label.label_id, kind, message, now)
                    .await?)
            }
            result => Ok(result?),
        }
    }

    async fn found(
        &self,
        known: Option<&WithWork>,
        subject: &str,
        kind: AttentionKind,
        detail: String,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let finding = Finding {
            order_id: known.map(|known| known.order.id),
            subject: subject.to_owned(),
            kind,
            detail,
        };
        self.report(&finding, now).await
    }

    async fn known(
        &self,
        ids: impl Iterator<Item = Option<OrderId>>,
    ) -> Result<HashMap<OrderId, WithWork>, StepError> {
        let ids: Vec<OrderId> = ids.flatten().collect();
        let orders = self.database.orders_with_work(&ids).await?;
        Ok(orders
            .into_iter()
            .map(|known| (known.order.id, known))
            .collect())
    }
}

/// Why a comparison was not made.
enum CompareError {
    /// The provider did not answer.
    Provider(Failure),
    /// We failed.
    Step(StepError),
}

impl From<Failure> for CompareError {
    fn from(failure: Failure) -> Self {
        Self::Provider(failure)
    }
}

impl From<StepError> for CompareError {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

fn judge_payment(known: Option<&WithWork>, intent: &PaymentIntent) -> Verdict {
    use PaymentIntentStatus as Status;
    let taken = intent.status == Status::Succeeded;
    let idle = matches!(
        intent.status,
        Status::Canceled | Status::RequiresPaymentMethod
    );
    let Some(WithWork { order, unfinished }) = known else {
        return if idle {
            Verdict::Fine
        } else {
            Verdict::Raise(AttentionKind::UnknownOrder)
        };
    };
    let is_the_orders = order.payment_id.as_deref() == Some(&intent.id);
    match order.status {
        // An execution is at it, and will find it.
        _ if *unfinished && (is_the_orders || order.payment_id.is_none()) => Verdict::Fine,
        OrderStatus::Completed if is_the_orders && taken => amounts(order, intent),
        OrderStatus::Completed if is_the_orders => Verdict::Raise(AttentionKind::ShippedUnpaid),
        _ if idle => Verdict::Fine,
        OrderStatus::Cancelled if taken => Verdict::Raise(AttentionKind::TakenForCancelledOrder),
        _ if taken => Verdict::Raise(AttentionKind::TakenTwice),
        _ => Verdict::Undo,
    }
}

fn its_own_voided(order: &Order, payment_id: &str) -> Vec<Kind> {
    let is_held = matches!(
        order.payment,
        PaymentStatus::Authorized | PaymentStatus::RequiresAction
    );
    if is_held && order.payment_id.as_deref() == Some(payment_id) {
        vec![Kind::PaymentVoided {}]
    } else {
        Vec::new()
    }
}

fn amounts(order: &Order, intent: &PaymentIntent) -> Verdict {
    let recorded = matches!(
        order.payment,
        PaymentStatus::Captured | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded
    );
    if recorded && intent.amount_received == order.total {
        Verdict::Fine
    } else {
        Verdict::Raise(AttentionKind::AmountDiffers)
    }
}

fn judge_label(known: Option<&WithWork>, label: &BoughtLabel) -> Verdict {
    let Some(WithWork { order, unfinished }) = known else {
        return if label.voided {
            Verdict::Fine
        } else {
            Verdict::Raise(AttentionKind::UnknownOrder)
        };
    };
    match &order.label {
        Some(own) if own.label_id == label.label_id && label.voided => {
            Verdict::Raise(AttentionKind::LabelVoided)
        }
        Some(own) if own.label_id == label.label_id => Verdict::Fine,
        _ if label.voided => Verdict::Fine,
        None if *unfinished => Verdict::Fine,
        // A second one, or one for an order that will not be shipped.
        _ => Verdict::Undo,
    }
}
