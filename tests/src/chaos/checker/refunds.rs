//! What was promised to be refunded, against what the payment service's ledger says of each refund.

use orders::{OrderStatus, PaymentStatus, RefundStatus};

use super::{Accepted, Card, Case, EffectKind, RefundAsked, Violation};

/// Whether each refund was made once, or could not be and a person was told; and no other.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let Some(accepted) = case.accepted.filter(|_| case.order.is_over()) else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    for asked in &accepted.refunds {
        violations.extend(refund(case, accepted, *asked));
    }
    violations.extend(unasked(case, accepted));
    violations.extend(sums(case, accepted));
    violations
}

impl Case<'_> {
    /// How often the ledger says this of a refund.
    fn times(&self, kind: EffectKind, asked: RefundAsked) -> usize {
        let effects = self.payments.iter();
        effects
            .filter(|effect| effect.kind == kind && effect.refund() == Some(asked.id))
            .count()
    }

    /// What became of a refund, by the ledger alone.
    fn refund_status(&self, asked: RefundAsked) -> RefundStatus {
        let made = self.times(EffectKind::Refunded, asked);
        if made > self.times(EffectKind::RefundFailed, asked) {
            RefundStatus::Succeeded
        } else {
            RefundStatus::Failed
        }
    }
}

fn refund(case: &Case<'_>, accepted: &Accepted, asked: RefundAsked) -> Vec<Violation> {
    let (order, refund) = (case.order.id, asked.id);
    let mut violations = Vec::new();
    let times = case.times(EffectKind::Refunded, asked);
    if times > 1 {
        let twice = Violation::RefundedTwice {
            order,
            refund,
            times,
        };
        violations.push(twice);
    }
    let expected = case.refund_status(asked);
    if expected == RefundStatus::Failed {
        let explained = if times > 0 {
            accepted.card == Card::ReturnsRefunds
        } else {
            let disputed = accepted.dispute.as_ref();
            disputed.is_some_and(|dispute| dispute.is_chargeback)
                || case.strikes.iter().any(|strike| strike.refuses_refund())
        };
        if !explained {
            violations.push(Violation::RefundMissing { order, refund });
        }
        if !case.snapshot.raised.contains(&refund.to_string()) {
            violations.push(Violation::RefundFailedUnseen { order, refund });
        }
    }
    let mut recorded = case.order.refunds.iter();
    let recorded = recorded.find(|(id, _)| *id == refund);
    let recorded = recorded.map(|(_, status)| *status);
    if recorded != Some(expected) {
        violations.push(Violation::OtherRefundStatus {
            order,
            refund,
            expected,
            recorded,
        });
    }
    violations
}

fn unasked(case: &Case<'_>, accepted: &Accepted) -> Vec<Violation> {
    let asked = |id| accepted.refunds.iter().any(|asked| Some(asked.id) == id);
    let refunds = case.payments.iter();
    refunds
        .filter(|effect| effect.kind == EffectKind::Refunded && !asked(effect.refund()))
        .map(|effect| Violation::UnaskedRefund {
            order: case.order.id,
            id: effect.id.clone(),
        })
        .collect()
}

/// What is refunded is what was promised and did not fail, and what the order says of its money.
fn sums(case: &Case<'_>, accepted: &Accepted) -> Option<Violation> {
    let order = case.order;
    let captured = case.cents(EffectKind::Captured);
    let refunded = case.cents(EffectKind::Refunded) - case.cents(EffectKind::RefundFailed);
    let stands = |asked: &&RefundAsked| case.refund_status(**asked) == RefundStatus::Succeeded;
    let standing = accepted.refunds.iter().filter(stands);
    let promised = standing.map(|asked| asked.cents).sum();
    let payment = match refunded {
        0 => PaymentStatus::Captured,
        part if part < captured => PaymentStatus::PartiallyRefunded,
        _ => PaymentStatus::Refunded,
    };
    let recorded = order.status != OrderStatus::Completed || order.payment == payment;
    let right = refunded == promised && refunded <= captured && recorded;
    (!right).then_some(Violation::WrongRefund {
        order: order.id,
        refunded,
        captured,
        promised,
        payment: order.payment,
    })
}
