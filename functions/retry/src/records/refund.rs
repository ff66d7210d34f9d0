//! Refunds: each is requested here, is made once, and ends with the same status here and at the
//! provider. A refund made at the provider itself reduces what can still be refunded.

use orders::{Order, OrderEvent, PaymentId, RefundId, RefundStatus};
use providers::Refund;
use store::{AttentionKind, OrderWithWork};

use crate::{
    services::{Books, PaymentCalls},
    steps::{StepError, Steps, if_allowed, refund_event},
};

/// What to do about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong.
    Fine,
    /// It has ended, and its end is not recorded yet: record it.
    Record(RefundId, OrderEvent),
    /// It was made at the provider itself: record it, and raise it for a person.
    Adopt(OrderEvent),
    /// A person has to decide.
    Raise,
}

impl<S: Books + PaymentCalls> Steps<S> {
    /// Records what the provider reports about a refund of an order. Raises an unexpected refund
    /// for a person.
    pub(crate) async fn settle_refund(
        &self,
        known: Option<&OrderWithWork>,
        made: &Refund,
    ) -> Result<(), StepError> {
        let order = known.map(|known| &known.order);
        match judge(order, made) {
            Verdict::Fine => {}
            Verdict::Record(id, event) => {
                if let Some(order) = order {
                    self.refund_ended(order, id, &event).await?;
                }
            }
            Verdict::Adopt(event) => {
                // Raised before it is recorded: a crash in between must not lose the finding.
                self.raise_refund(known, made).await?;
                if let Some(order) = order {
                    self.record(order.id, |order| if_allowed(order, event.clone()))
                        .await?;
                }
            }
            Verdict::Raise => self.raise_refund(known, made).await?,
        }
        Ok(())
    }

    async fn raise_refund(
        &self,
        known: Option<&OrderWithWork>,
        made: &Refund,
    ) -> Result<(), StepError> {
        let (cents, status) = (made.amount.get(), made.status);
        let payment = made
            .payment_intent
            .as_ref()
            .map_or("no payment", PaymentId::as_str);
        let problem = problem(known.map(|known| &known.order), made);
        let detail = format!(
            "{} of {payment} over {cents} cents is {status:?}, and {problem}.",
            made.id
        );
        self.raise_record(known, &made.id, AttentionKind::Refund, detail)
            .await
    }
}

/// What is wrong with a refund that is raised.
pub(super) fn problem(order: Option<&Order>, made: &Refund) -> &'static str {
    let requested = order
        .zip(made.refund_id())
        .and_then(|(order, id)| order.refund(id));
    match requested {
        None => "was not requested here",
        Some(refund) if refund.provider_id.as_ref().is_some_and(|id| *id != made.id) => {
            "repeats a refund that was requested here"
        }
        Some(_) => "differs from the refund that was requested here",
    }
}

pub(super) fn judge(order: Option<&Order>, made: &Refund) -> Verdict {
    let Some(order) = order else {
        return if made.moves_money() {
            Verdict::Raise
        } else {
            Verdict::Fine
        };
    };
    let adopted = RefundId::made_elsewhere(&made.id);
    let ours = made.refund_id().and_then(|id| order.refund(id));
    let is_another = |other: &Option<String>| other.as_ref().is_some_and(|it| *it != made.id);
    match ours.or_else(|| order.refund(adopted)) {
        // Made twice: our refund is recorded with another refund of the provider.
        Some(refund) if is_another(&refund.provider_id) => adopt(order, adopted, made),
        Some(refund) if refund.cents != made.amount => Verdict::Raise,
        Some(refund) => match refund_event(refund.id, made) {
            Some(event) if order.allows(&event) => Verdict::Record(refund.id, event),
            Some(OrderEvent::Refunded { .. }) if refund.status == RefundStatus::Failed => {
                Verdict::Raise
            }
            _ => Verdict::Fine,
        },
        None => adopt(order, adopted, made),
    }
}

/// Judges a refund that was not requested here.
fn adopt(order: &Order, refund_id: RefundId, made: &Refund) -> Verdict {
    let event = OrderEvent::RefundedElsewhere {
        refund_id,
        cents: made.amount,
        provider_id: made.id.clone(),
    };
    // The provider reports a voided authorization as a refund, although nothing was captured.
    if order.refund(refund_id).is_some() || !made.moves_money() || !order.is_paid() {
        Verdict::Fine
    } else if order.payment.id() == made.payment_intent.as_ref() && order.allows(&event) {
        Verdict::Adopt(event)
    } else {
        Verdict::Raise
    }
}
