//! Payments: each order has at most one that holds or takes money, and that as much as the order costs.

use orders::{Order, OrderEvent, OrderId, OrderStatus, PaymentId, PaymentStatus, Provider};
use providers::{PaymentIntent, PaymentIntentStatus, VoidReason};
use store::{AttentionKind, OrderWithWork};

use super::CompareError;
use crate::{
    guard::Failure,
    services::{Books, PaymentCalls},
    steps::{StepError, Steps},
};

/// What to do about a payment.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict<'a> {
    /// Nothing.
    Fine,
    /// It holds the money that this order waits for: record it.
    Record(&'a Order),
    /// It is of no use to anybody: void it.
    Undo,
    /// A person has to decide.
    Raise(AttentionKind),
}

impl<S: Books + PaymentCalls> Steps<S> {
    /// Records the payment of an order that waits because our own call had no answer: true, if its
    /// execution may resume. What is held beside the order's own payment is voided.
    pub(crate) async fn on_authorized(
        &self,
        known: Option<&OrderWithWork>,
        order_id: OrderId,
        payment_id: &PaymentId,
    ) -> Result<bool, StepError> {
        let is_its_own =
            |known: &OrderWithWork| known.order.payment_id.as_ref() == Some(payment_id);
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

    /// Records a payment that its order waits for, voids one that no order needs, and has a person look at
    /// what is wrong with it: true, if the order's execution may resume. `known`: the order that it is
    /// for, if that is one of ours.
    pub(crate) async fn settle_payment(
        &self,
        known: Option<&OrderWithWork>,
        intent: &PaymentIntent,
    ) -> Result<bool, CompareError> {
        let verdict = judge(known, intent);
        let Verdict::Record(order) = verdict else {
            self.settle_other(verdict, known, intent).await?;
            return Ok(false);
        };
        self.settle_with(order, intent.clone()).await?;
        let order = self.order(order.id).await?;
        if order.payment_id.as_ref() == Some(&intent.id) {
            return Ok(true);
        }
        // Another payment of the order was recorded since it was read.
        let unfinished = true;
        let known = Some(&OrderWithWork { order, unfinished });
        self.settle_other(judge(known, intent), known, intent)
            .await?;
        Ok(false)
    }

    /// Settles a payment that its order does not wait for.
    async fn settle_other(
        &self,
        verdict: Verdict<'_>,
        known: Option<&OrderWithWork>,
        intent: &PaymentIntent,
    ) -> Result<(), CompareError> {
        match verdict {
            Verdict::Fine | Verdict::Record(_) => Ok(()),
            Verdict::Undo => self.void_stray_payment(known, intent).await,
            Verdict::Raise(kind) => {
                let detail = detail(known, intent);
                Ok(self.found(known, intent.id.as_str(), kind, detail).await?)
            }
        }
    }

    /// Voids a payment that no order needs. Its order may have recorded it after it was undone.
    async fn void_stray_payment(
        &self,
        known: Option<&OrderWithWork>,
        intent: &PaymentIntent,
    ) -> Result<(), CompareError> {
        let key = format!("{}:stray", intent.id);
        let reason = match intent.status {
            PaymentIntentStatus::RequiresConfirmation => VoidReason::NeverConfirmed,
            _ => VoidReason::OrderCancelled,
        };
        let call = |_| self.services.void_payment(&intent.id, reason, &key);
        match self.services.guarded(Provider::Payments, call).await {
            Ok(_) => tracing::warn!(payment_id = %intent.id, "payment.voided"),
            // Another time it would be no different.
            Err(Failure::Call(error)) if !error.is_transient() => {
                let kind = AttentionKind::AuthorizationNotVoided;
                let detail = error.to_string();
                return Ok(self.found(known, intent.id.as_str(), kind, detail).await?);
            }
            Err(failure) => return Err(failure.into()),
        }
        if let Some(OrderWithWork { order, .. }) = known {
            self.record(order.id, |order| its_own_voided(order, &intent.id))
                .await
                .map_err(StepError::from)?;
        }
        Ok(())
    }
}

pub(super) fn judge<'a>(known: Option<&'a OrderWithWork>, intent: &PaymentIntent) -> Verdict<'a> {
    use PaymentIntentStatus as Status;
    let taken = intent.status == Status::Succeeded;
    let idle = matches!(
        intent.status,
        Status::Canceled | Status::RequiresPaymentMethod
    );
    let Some(OrderWithWork { order, unfinished }) = known else {
        return if idle {
            Verdict::Fine
        } else {
            Verdict::Raise(AttentionKind::UnknownOrder)
        };
    };
    let is_the_orders = order.payment_id.as_ref() == Some(&intent.id);
    // Decided, the order looks for no other payment any more.
    let at_work = *unfinished && (is_the_orders || order.is_undecided());
    let is_needed = is_the_orders || at_work;
    let differs = is_needed && differs(order, intent);
    match order.status {
        // The order's own look-up may miss it for longer, and then hold the money a second time.
        _ if at_work && !is_the_orders && !differs && holds(intent) => Verdict::Record(order),
        OrderStatus::Cancelled if at_work => Verdict::Fine,
        OrderStatus::Cancelled => undone(intent),
        _ if differs => Verdict::Raise(AttentionKind::AmountDiffers),
        // An execution is at it, or will find it.
        _ if at_work => Verdict::Fine,
        OrderStatus::Completed if is_the_orders && taken => Verdict::Fine,
        OrderStatus::Completed if is_the_orders => Verdict::Raise(AttentionKind::ShippedUnpaid),
        _ if idle => Verdict::Fine,
        _ if taken => Verdict::Raise(AttentionKind::CapturedTwice),
        _ => Verdict::Undo,
    }
}

/// Whether money is held or taken.
const fn holds(intent: &PaymentIntent) -> bool {
    matches!(
        intent.status,
        PaymentIntentStatus::RequiresCapture | PaymentIntentStatus::Succeeded
    )
}

fn undone(intent: &PaymentIntent) -> Verdict<'static> {
    use PaymentIntentStatus as Status;
    match intent.status {
        Status::Canceled | Status::RequiresPaymentMethod => Verdict::Fine,
        Status::Succeeded => Verdict::Raise(AttentionKind::CapturedForCancelledOrder),
        _ => Verdict::Undo,
    }
}

/// Whether another amount is held or taken than what the order costs, or of another currency.
fn differs(order: &Order, intent: &PaymentIntent) -> bool {
    let amount = match intent.status {
        PaymentIntentStatus::RequiresCapture => intent.amount,
        PaymentIntentStatus::Succeeded => intent.amount_received,
        _ => return false,
    };
    let is_the_orders_currency = order
        .currency
        .as_str()
        .eq_ignore_ascii_case(&intent.currency);
    amount != order.total || !is_the_orders_currency
}

fn detail(known: Option<&OrderWithWork>, intent: &PaymentIntent) -> String {
    let (status, taken, amount) = (intent.status, intent.amount_received, intent.amount);
    let currency = intent.currency.to_uppercase();
    let found = format!(
        "{} is {status:?} with {} of {} cents ({currency}) taken",
        intent.id,
        taken.get(),
        amount.get()
    );
    match known {
        Some(OrderWithWork { order, .. }) => {
            let (total, currency) = (order.total.get(), &order.currency);
            format!("{found}; the order costs {total} cents ({currency}).")
        }
        None => format!("{found}."),
    }
}

fn its_own_voided(order: &Order, payment_id: &PaymentId) -> Vec<OrderEvent> {
    let is_held = matches!(
        order.payment,
        PaymentStatus::Authorized | PaymentStatus::RequiresAction
    );
    if is_held && order.payment_id.as_ref() == Some(payment_id) {
        vec![OrderEvent::PaymentVoided {}]
    } else {
        Vec::new()
    }
}
