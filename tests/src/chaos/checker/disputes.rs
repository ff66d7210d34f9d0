//! Checks the disputes of captured payments.

use super::{Case, EffectKind, Violation};

/// Checks that each dispute is recorded on its order and raised, and that nothing of a chargeback
/// was refunded.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let order = case.order.id;
    let Some(accepted) = case.accepted else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    let disputes: Vec<String> = accepted.dispute.iter().map(|it| it.id.clone()).collect();
    if case.order.disputes != disputes {
        violations.push(Violation::WrongDisputes {
            order,
            expected: disputes,
            found: case.order.disputes.clone(),
        });
    }
    let Some(dispute) = &accepted.dispute else {
        return violations;
    };
    if !case.snapshot.raised.contains(&dispute.id) {
        let dispute = dispute.id.clone();
        violations.push(Violation::DisputeNotRaised { order, dispute });
    }
    // A refund may be accepted before the stack learns of the dispute, but the provider refuses it
    // then.
    let is_promised = dispute.is_seen && !accepted.refunds.is_empty();
    let is_refunded = case.first(EffectKind::Refunded).is_some();
    if dispute.is_chargeback && (is_promised || is_refunded) {
        let dispute = dispute.id.clone();
        violations.push(Violation::ChargebackRefunded { order, dispute });
    }
    violations
}
