//! The disputes of captured payments: each is with its order, it is raised, and nothing of a
//! chargeback is refunded.

use super::{Case, EffectKind, Violation};

/// Whether each dispute of the order is known and raised, and nothing that it blocks was refunded.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let order = case.order.id;
    let Some(accepted) = case.accepted else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    let disputes: Vec<String> = accepted.dispute.iter().map(|it| it.id.clone()).collect();
    if case.order.disputes != disputes {
        violations.push(Violation::OtherDisputes {
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
        violations.push(Violation::DisputeUnseen { order, dispute });
    }
    // A dispute that is news to us when a refund is promised still keeps it from being made.
    let is_promised = dispute.is_seen && !accepted.refunds.is_empty();
    let is_refunded = case.first(EffectKind::Refunded).is_some();
    if dispute.is_chargeback && (is_promised || is_refunded) {
        let dispute = dispute.id.clone();
        violations.push(Violation::DisputedRefunded { order, dispute });
    }
    violations
}
