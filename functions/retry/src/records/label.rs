//! Labels: each order that is shipped has exactly one, and any other order has none.

use orders::{LabelId, Provider};
use providers::{CallError, LabelRecord};
use store::{AttentionKind, OrderWithWork};

use super::CompareError;
use crate::{
    guard::Failure,
    services::{Books, ShippingCalls},
    steps::Steps,
};

/// What to do about a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong.
    Fine,
    /// No order needs it: void it.
    Void,
    /// A person has to decide.
    Raise(AttentionKind),
}

impl<S: Books + ShippingCalls> Steps<S> {
    /// Voids a label that no order needs. Raises any other problem for a person.
    pub(crate) async fn settle_label(
        &self,
        known: Option<&OrderWithWork>,
        label: &LabelRecord,
    ) -> Result<(), CompareError> {
        match judge(known, label) {
            Verdict::Fine => Ok(()),
            Verdict::Void => self.void_stray_label(known, &label.label_id).await,
            Verdict::Raise(kind) => {
                let detail = format!("{} was bought.", label.label_id);
                Ok(self
                    .raise_record(known, label.label_id.as_str(), kind, detail)
                    .await?)
            }
        }
    }

    /// Voids a label that no order needs. Raises it for a person if the carrier refuses.
    async fn void_stray_label(
        &self,
        known: Option<&OrderWithWork>,
        label_id: &LabelId,
    ) -> Result<(), CompareError> {
        let call = |_| self.services.void_label(label_id);
        match self.services.guarded(Provider::Shipping, call).await {
            Ok(()) => {
                tracing::warn!(%label_id, "label.voided");
                Ok(())
            }
            // A later attempt would fail in the same way.
            Err(Failure::Call(error @ CallError::Rejected { .. })) => {
                let kind = AttentionKind::LabelNotVoided;
                let detail = error.to_string();
                Ok(self
                    .raise_record(known, label_id.as_str(), kind, detail)
                    .await?)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

pub(super) fn judge(known: Option<&OrderWithWork>, label: &LabelRecord) -> Verdict {
    let Some(OrderWithWork { order, unfinished }) = known else {
        return if label.is_void {
            Verdict::Fine
        } else {
            Verdict::Raise(AttentionKind::UnknownOrder)
        };
    };
    match &order.label {
        Some(own) if own.label_id == label.label_id && label.is_void => {
            Verdict::Raise(AttentionKind::LabelVoided)
        }
        Some(own) if own.label_id == label.label_id => Verdict::Fine,
        _ if label.is_void => Verdict::Fine,
        None if *unfinished => Verdict::Fine,
        // A second label, or the label of an order that will not be shipped.
        _ => Verdict::Void,
    }
}
