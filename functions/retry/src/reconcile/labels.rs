//! Labels: each order that is shipped has one, and no other order any.

use std::ops::Range;

use jiff::Timestamp;
use providers::{BoughtLabel, CallError};
use store::{AttentionKind, WithWork};

use super::{CompareError, Verdict};
use crate::{Worker, guard::Failure};

impl Worker {
    pub(super) async fn compare_labels(
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
                match judge(known, label) {
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
}

pub(super) fn judge(known: Option<&WithWork>, label: &BoughtLabel) -> Verdict {
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
