//! Compares the accepted refunds with the payment service's ledger.

use orders::{OrderStatus, PaymentStatus, RefundStatus};

use super::{Accepted, Card, Case, EffectKind, RefundRequest, Violation};

/// Checks that each accepted refund was made once, or failed for a cause and was raised, and that
/// there is no other refund.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let Some(accepted) = case.accepted.filter(|_| case.order.is_over()) else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    for request in &accepted.refunds {
        violations.extend(refund(case, accepted, *request));
    }
    violations.extend(unrequested(case, accepted));
    violations.extend(sums(case, accepted));
    violations
}

impl Case<'_> {
    /// The number of effects of this kind for a refund.
    fn times(&self, kind: EffectKind, request: RefundRequest) -> usize {
        let effects = self.payments.iter();
        effects
            .filter(|effect| effect.kind == kind && effect.refund() == Some(request.id))
            .count()
    }

    /// The status of a refund according to the ledger.
    fn refund_status(&self, request: RefundRequest) -> RefundStatus {
        let made = self.times(EffectKind::Refunded, request);
        if made > self.times(EffectKind::RefundFailed, request) {
            RefundStatus::Succeeded
        } else {
            RefundStatus::Failed
        }
    }
}

fn refund(case: &Case<'_>, accepted: &Accepted, request: RefundRequest) -> Vec<Violation> {
    let (order, refund) = (case.order.id, request.id);
    let mut violations = Vec::new();
    let times = case.times(EffectKind::Refunded, request);
    if times > 1 {
        let twice = Violation::RefundedTwice {
            order,
            refund,
            times,
        };
        violations.push(twice);
    }
    let expected = case.refund_status(request);
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
            violations.push(Violation::FailedRefundNotRaised { order, refund });
        }
    }
    let mut recorded = case.order.refunds.iter();
    let recorded = recorded.find(|(id, _)| *id == refund);
    let recorded = recorded.map(|(_, status)| *status);
    if recorded != Some(expected) {
        violations.push(Violation::WrongRefundStatus {
            order,
            refund,
            expected,
            recorded,
        });
    }
    violations
}

fn unrequested(case: &Case<'_>, accepted: &Accepted) -> Vec<Violation> {
    let is_requested = |id| accepted.refunds.iter().any(|it| Some(it.id) == id);
    let refunds = case.payments.iter();
    refunds
        .filter(|effect| effect.kind == EffectKind::Refunded && !is_requested(effect.refund()))
        .map(|effect| Violation::UnrequestedRefund {
            order: case.order.id,
            id: effect.id.clone(),
        })
        .collect()
}

/// Checks that the refunded amount is the sum of the accepted refunds that did not fail, and that
/// the order's payment status agrees.
fn sums(case: &Case<'_>, accepted: &Accepted) -> Option<Violation> {
    let order = case.order;
    let captured = case.cents(EffectKind::Captured);
    let refunded = case.cents(EffectKind::Refunded) - case.cents(EffectKind::RefundFailed);
    let succeeded =
        |request: &&RefundRequest| case.refund_status(**request) == RefundStatus::Succeeded;
    let successful = accepted.refunds.iter().filter(succeeded);
    let promised = successful.map(|request| request.cents).sum();
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
