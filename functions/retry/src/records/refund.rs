//! Refunds: each was asked for here and made once, and has ended here as it has there. One that was
//! made at the provider itself counts in what can still be refunded.

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
    /// Nothing.
    Fine,
    /// It has ended, and we do not know it yet.
    Record(RefundId, OrderEvent),
    /// It was made at the provider itself: it counts, and a person should know.
    Adopt(OrderEvent),
    /// A person has to decide.
    Raise,
}

impl<S: Books + PaymentCalls> Steps<S> {
    /// Records what the provider says of a refund of an order, and has a person look at one that should
    /// not be.
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
                // Before it is recorded, so that the finding cannot be lost.
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
        let detail = format!(
            "{} of {payment} over {cents} cents is {status:?}, and was not asked for here.",
            made.id
        );
        self.found(known, &made.id, AttentionKind::Refund, detail)
            .await
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
        // Made a second time: the provider holds one already under that name.
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

/// A refund that moves money, and that was not asked for here.
fn adopt(order: &Order, refund_id: RefundId, made: &Refund) -> Verdict {
    let event = OrderEvent::RefundedElsewhere {
        refund_id,
        cents: made.amount,
        provider_id: made.id.clone(),
    };
    // What was never captured, the provider calls refunded when it is voided.
    if order.refund(refund_id).is_some() || !made.moves_money() || !order.is_paid() {
        Verdict::Fine
    } else if order.payment_id == made.payment_intent && order.allows(&event) {
        Verdict::Adopt(event)
    } else {
        Verdict::Raise
    }
}
