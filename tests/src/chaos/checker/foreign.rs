//! Checks the records of other systems in the same accounts, which we neither change nor raise.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Effect, EffectKind, Snapshot, Violation};

/// The providers' records with another shop id than ours, or without one.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// The effects, the oldest first for each provider.
    pub effects: Vec<Effect>,
    /// The payments that their owner has captured.
    pub captured: HashSet<String>,
    /// The payments that their owner has refunded in part.
    pub refunded: HashSet<String>,
    /// The time up to which each kind of provider record was compared with our orders.
    pub compared: HashMap<String, Timestamp>,
}

/// Checks that only their owners changed these records, that none was raised, and that the
/// comparison passed them.
pub(super) fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let foreign = &snapshot.foreign;
    let mut violations = Vec::new();
    for effect in &foreign.effects {
        let Effect { kind, id, .. } = effect;
        if !is_by_owner(snapshot, effect) {
            let (kind, id) = (*kind, id.clone());
            violations.push(Violation::ForeignTouched { kind, id });
        }
        if snapshot.raised.contains(id) {
            violations.push(Violation::ForeignRaised { id: id.clone() });
        }
    }
    let last = foreign.effects.iter().map(|effect| effect.at).max();
    let behind = foreign.compared.iter().filter(|(_, to)| Some(**to) < last);
    violations.extend(behind.map(|(records, to)| Violation::ComparisonBehind {
        records: records.clone(),
        compared_to: *to,
    }));
    violations
}

/// Whether the record's owner caused the effect. Owners void nothing, and their captures and
/// refunds are known.
fn is_by_owner(snapshot: &Snapshot, effect: &Effect) -> bool {
    let foreign = &snapshot.foreign;
    match effect.kind {
        EffectKind::Captured => foreign.captured.contains(&effect.id),
        EffectKind::Refunded | EffectKind::RefundFailed => effect
            .payment_intent
            .as_ref()
            .is_some_and(|id| foreign.refunded.contains(id)),
        // All authorizations of an order lapse together.
        EffectKind::Canceled => effect.order().is_some_and(|id| has_lapsed(snapshot, id)),
        EffectKind::LabelVoided => false,
        EffectKind::Authorized
        | EffectKind::Declined
        | EffectKind::LabelBought
        | EffectKind::Delivered => true,
    }
}

fn has_lapsed(snapshot: &Snapshot, order: Uuid) -> bool {
    let mut accepted = snapshot.accepted.iter();
    accepted.any(|accepted| accepted.order == order && accepted.lapsed)
}
