//! Refunds: each was asked for here, and has ended here as it has there.

use std::ops::Range;

use jiff::Timestamp;
use orders::{Kind, RefundStatus};
use providers::Refund;
use store::{AttentionKind, WithWork};

use super::CompareError;
use crate::{StepError, Worker, refund::refund_event};

/// What to do about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// It has ended, and we do not know it yet.
    Record(Kind),
    /// A person has to decide.
    Raise,
}

impl Worker {
    pub(super) async fn compare_refunds(
        &self,
        created: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let mut after = None;
        loop {
            let call = |_| self.payments.refunds(created.clone(), after.as_deref());
            let page = self.payments_guard.call(call).await?;
            let orders = self.known(page.items.iter().map(Refund::order_id)).await?;
            for made in &page.items {
                let known = made.order_id().and_then(|id| orders.get(&id));
                self.settle_refund(known, made, now).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn settle_refund(
        &self,
        known: Option<&WithWork>,
        made: &Refund,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let event = match judge(known, made) {
            Verdict::Fine => return Ok(()),
            Verdict::Record(event) => event,
            Verdict::Raise => {
                let (cents, status) = (made.amount.get(), made.status);
                let payment = made.payment_intent.as_deref().unwrap_or("no payment");
                let detail = format!("{} of {payment} over {cents} cents is {status:?}.", made.id);
                let kind = AttentionKind::Refund;
                return self.found(known, &made.id, kind, detail, now).await;
            }
        };
        match (known, made.refund_id()) {
            (Some(WithWork { order, .. }), Some(id)) => self.refund_ended(order, id, &event).await,
            _ => Ok(()),
        }
    }
}

pub(super) fn judge(known: Option<&WithWork>, made: &Refund) -> Verdict {
    let moves_nothing = matches!(
        made.status,
        providers::RefundStatus::Failed | providers::RefundStatus::Canceled
    );
    let id = made.refund_id();
    let asked = known.and_then(|known| Some((&known.order, known.order.refund(id?)?)));
    let Some((order, asked)) = asked else {
        return if moves_nothing {
            Verdict::Fine
        } else {
            Verdict::Raise
        };
    };
    if asked.cents != made.amount {
        return Verdict::Raise;
    }
    match refund_event(asked.id, made) {
        Some(event) if order.allows(&event) => Verdict::Record(event),
        Some(Kind::Refunded { .. }) if asked.status == RefundStatus::Failed => Verdict::Raise,
        _ => Verdict::Fine,
    }
}
