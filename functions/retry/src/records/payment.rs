//! Payments: an order has at most one that is authorized or captured, and for the order's total.

use orders::{Order, OrderEvent, OrderId, OrderStatus, Payment, PaymentId, Provider};
use providers::{CallError, PaymentIntent, PaymentIntentStatus, VoidReason};
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
    /// Nothing is wrong.
    Fine,
    /// It is the payment whose outcome this order waits for: record it.
    Record(&'a Order),
    /// No order needs it: void it.
    Void,
    /// A person has to decide.
    Raise(AttentionKind),
}

impl<S: Books + PaymentCalls> Steps<S> {
    /// Handles an authorization that a webhook reports. Records it if the order waits because our
    /// own call had no answer. Voids it if the order has another payment. Returns whether the
    /// order's execution may resume.
    pub(crate) async fn on_authorized(
        &self,
        known: Option<&OrderWithWork>,
        order_id: OrderId,
        payment_id: &PaymentId,
    ) -> Result<bool, StepError> {
        let is_its_own = |known: &OrderWithWork| known.order.payment.id() == Some(payment_id);
        if known.is_some_and(is_its_own) {
            return Ok(false);
        }
        let call = |_| self.services.payment(payment_id);
        let Ok(intent) = self.services.guarded(Provider::Payments, call).await else {
            // The order's own step or the reconciliation will find the payment later.
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

    /// Records a payment that its order waits for, voids one that no order needs, and raises any
    /// other problem for a person. `known` is the payment's order, if we know it. Returns whether
    /// the order's execution may resume.
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
        if order.payment.id() == Some(&intent.id) {
            return Ok(true);
        }
        // Another payment was recorded after the order was read.
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
            Verdict::Void => self.void_stray_payment(known, intent).await,
            Verdict::Raise(kind) => {
                let detail = detail(known, intent);
                Ok(self
                    .raise_record(known, intent.id.as_str(), kind, detail)
                    .await?)
            }
        }
    }

    /// Voids a payment that no order needs. If the order recorded this payment after the order was
    /// undone, the void is recorded, too.
    async fn void_stray_payment(
        &self,
        known: Option<&OrderWithWork>,
        intent: &PaymentIntent,
    ) -> Result<(), CompareError> {
        // Another key for each attempt, because the provider replays a stored error under the same
        // one. A payment is voided once, under any key.
        let key = format!("{}:stray:{}", intent.id, self.services.now().as_second());
        let reason = match intent.status {
            PaymentIntentStatus::RequiresConfirmation => VoidReason::NeverConfirmed,
            _ => VoidReason::OrderCancelled,
        };
        let call = |_| self.services.void_payment(&intent.id, reason, &key);
        match self.services.guarded(Provider::Payments, call).await {
            Ok(_) => tracing::warn!(payment_id = %intent.id, "payment.voided"),
            // A later attempt would fail in the same way.
            Err(Failure::Call(
                error @ (CallError::Rejected { .. } | CallError::Declined { .. }),
            )) => {
                let kind = AttentionKind::AuthorizationNotVoided;
                let detail = error.to_string();
                return Ok(self
                    .raise_record(known, intent.id.as_str(), kind, detail)
                    .await?);
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
    let is_the_orders = order.payment.id() == Some(&intent.id);
    // Once the outcome of its authorization is known, the order looks for no other payment.
    let at_work = *unfinished && (is_the_orders || order.is_undecided());
    let is_needed = is_the_orders || at_work;
    let differs = is_needed && differs(order, intent);
    match order.status {
        // The order's own look-up may still miss it, and the order would authorize a second one.
        _ if at_work && !is_the_orders && !differs && holds(intent) => Verdict::Record(order),
        OrderStatus::Cancelled if at_work => Verdict::Fine,
        OrderStatus::Cancelled => undone(intent),
        _ if differs => Verdict::Raise(AttentionKind::AmountDiffers),
        // The order's execution processes the payment, or will find it.
        _ if at_work => Verdict::Fine,
        OrderStatus::Completed if is_the_orders && taken => Verdict::Fine,
        OrderStatus::Completed if is_the_orders => Verdict::Raise(AttentionKind::ShippedUnpaid),
        _ if idle => Verdict::Fine,
        _ if taken => Verdict::Raise(AttentionKind::CapturedTwice),
        _ => Verdict::Void,
    }
}

/// Whether money is held or captured.
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
        _ => Verdict::Void,
    }
}

/// Whether the amount that is held or captured, or its currency, differs from the order's total.
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
    let (status, captured, amount) = (intent.status, intent.amount_received, intent.amount);
    let currency = intent.currency.to_uppercase();
    let found = format!(
        "{} is {status:?} with {} of {} cents ({currency}) captured",
        intent.id,
        captured.get(),
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
        Payment::Authorized(_) | Payment::RequiresAction { .. }
    );
    if is_held && order.payment.id() == Some(payment_id) {
        vec![OrderEvent::PaymentVoided {}]
    } else {
        Vec::new()
    }
}
