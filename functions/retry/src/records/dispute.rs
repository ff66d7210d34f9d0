//! Disputes of orders' payments. Each is recorded with its order. It is raised for a person when
//! the shop has to respond or has lost.

use orders::{Cents, Dispute, DisputeStatus, Order, OrderEvent, PaymentId};
use store::{AttentionKind, OrderWithWork};

use crate::{
    services::Books,
    steps::{StepError, Steps},
};

impl Steps {
    /// Records a dispute with its order. Raises it when the shop has to respond, and when the
    /// dispute is lost.
    pub(crate) async fn settle_dispute(
        &self,
        known: Option<&OrderWithWork>,
        disputed: &providers::Dispute,
    ) -> Result<(), StepError> {
        let own = known.filter(|known| is_of_its_payment(&known.order, disputed));
        let Some(OrderWithWork { order, .. }) = own else {
            return self.raise_odd_dispute(known, disputed).await;
        };
        let dispute = of_order(order, disputed);
        if !order.allows(&OrderEvent::Disputed(dispute.clone())) {
            return Ok(());
        }
        // Raised before it is recorded: a crash in between must not lose the finding.
        if is_news(order.dispute(&dispute.id), &dispute) && needs_a_person(dispute.status) {
            let detail = detail(disputed);
            let kind = AttentionKind::Dispute;
            self.raise_record(known, &dispute.id, kind, detail).await?;
        }
        self.services
            .database
            .disputes()
            .record(order.id, self.services.now(), &dispute)
            .await?;
        Ok(())
    }

    /// Raises a dispute of one of our payments that is not the payment of a known order.
    async fn raise_odd_dispute(
        &self,
        known: Option<&OrderWithWork>,
        disputed: &providers::Dispute,
    ) -> Result<(), StepError> {
        if !needs_a_person(disputed.status) {
            return Ok(());
        }
        let kind = match known {
            Some(_) => AttentionKind::Dispute,
            None => AttentionKind::UnknownOrder,
        };
        let detail = detail(disputed);
        self.raise_record(known, &disputed.id, kind, detail).await
    }
}

fn is_of_its_payment(order: &Order, disputed: &providers::Dispute) -> bool {
    order.payment.id().is_some() && order.payment.id() == disputed.payment_intent.as_ref()
}

/// Converts the dispute to the order's terms. An amount in another currency cannot be compared with
/// the order's total, so the whole total counts as disputed.
fn of_order(order: &Order, disputed: &providers::Dispute) -> Dispute {
    let currency = order.currency.as_str();
    let cents: Cents = if currency.eq_ignore_ascii_case(&disputed.currency) {
        disputed.amount
    } else {
        order.total
    };
    Dispute {
        id: disputed.id.clone(),
        cents,
        reason: disputed.reason.clone(),
        status: disputed.status,
        evidence_due_by: disputed.evidence_due_by(),
        funds: disputed.funds(),
    }
}

/// Whether the dispute is new, or its status or deadline has changed.
fn is_news(recorded: Option<&Dispute>, dispute: &Dispute) -> bool {
    recorded.is_none_or(|recorded| {
        (recorded.status, recorded.evidence_due_by) != (dispute.status, dispute.evidence_due_by)
    })
}

const fn needs_a_person(status: DisputeStatus) -> bool {
    status.needs_response() || matches!(status, DisputeStatus::Lost | DisputeStatus::Other)
}

fn detail(disputed: &providers::Dispute) -> String {
    let providers::Dispute {
        id,
        status,
        amount,
        currency,
        reason,
        ..
    } = disputed;
    let payment = disputed
        .payment_intent
        .as_ref()
        .map_or("no payment", PaymentId::as_str);
    let (cents, currency) = (amount.get(), currency.to_uppercase());
    let dispute =
        format!("{id} of {payment} over {cents} cents ({currency}) is {status}: {reason}");
    match disputed.evidence_due_by() {
        Some(due) if status.needs_response() => format!("{dispute}; evidence is due by {due}."),
        _ => format!("{dispute}."),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orders::DisputedFunds;
    use serde_json::json;

    use super::*;

    fn disputed(status: &str, due_by: i64) -> providers::Dispute {
        serde_json::from_value(json!({
            "id": "du_1", "amount": 2000, "currency": "eur", "status": status,
            "reason": "fraudulent", "payment_intent": "pi_1",
            "evidence_details": { "due_by": due_by },
        }))
        .unwrap()
    }

    fn recorded(status: DisputeStatus, due_by: i64) -> Dispute {
        Dispute {
            id: "du_1".to_owned(),
            cents: Cents::ZERO,
            reason: "fraudulent".to_owned(),
            status,
            evidence_due_by: Timestamp::from_second(due_by).ok(),
            funds: DisputedFunds::Withdrawn,
        }
    }

    #[test]
    fn the_detail_says_when_evidence_is_due() {
        let due = detail(&disputed("needs_response", 1_800_000_000));
        assert_eq!(
            due,
            "du_1 of pi_1 over 2000 cents (EUR) is needs_response: fraudulent; \
             evidence is due by 2027-01-15T08:00:00Z."
        );
        let lost = detail(&disputed("lost", 1_800_000_000));
        assert!(lost.ends_with("is lost: fraudulent."), "{lost}");
    }

    #[test]
    fn a_dispute_is_news_again_only_with_another_status_or_deadline() {
        use DisputeStatus::{Lost, NeedsResponse};
        let open = recorded(NeedsResponse, 1);
        assert!(is_news(None, &open));
        assert!(!is_news(Some(&open), &open));
        assert!(is_news(Some(&open), &recorded(NeedsResponse, 2)));
        assert!(is_news(Some(&open), &recorded(Lost, 1)));
    }

    #[test]
    fn a_dispute_needs_a_person_when_the_shop_must_respond_or_has_lost() {
        use DisputeStatus as Status;
        for (status, is_told) in [
            (Status::NeedsResponse, true),
            (Status::WarningNeedsResponse, true),
            (Status::Lost, true),
            (Status::Other, true),
            (Status::UnderReview, false),
            (Status::Won, false),
            (Status::WarningClosed, false),
        ] {
            assert_eq!(needs_a_person(status), is_told, "{status}");
        }
    }
}
