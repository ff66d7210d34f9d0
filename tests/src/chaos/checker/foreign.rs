//! What other systems make in the same accounts: we leave it alone, and do not raise it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Effect, EffectKind, Snapshot, Violation};

/// What was done at the providers under another mark than ours, or under none.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// All of it, the oldest first of each provider.
    pub effects: Vec<Effect>,
    /// The payments that their maker has captured.
    pub captured: HashSet<String>,
    /// Those of which it has refunded something.
    pub refunded: HashSet<String>,
    /// Up to when each kind of the providers' records was compared with our orders.
    pub compared: HashMap<String, Timestamp>,
}

/// Whether only their makers have touched these records, none was raised, and the comparison got past
/// them.
pub(super) fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let foreign = &snapshot.foreign;
    let mut violations = Vec::new();
    for effect in &foreign.effects {
        let Effect { kind, id, .. } = effect;
        if !is_by_its_maker(snapshot, effect) {
            let (kind, id) = (*kind, id.clone());
            violations.push(Violation::ForeignTouched { kind, id });
        }
        if snapshot.raised.contains(id) {
            violations.push(Violation::ForeignRaised { id: id.clone() });
        }
    }
    let last = foreign.effects.iter().map(|effect| effect.at).max();
    let behind = foreign.compared.iter().filter(|(_, to)| Some(**to) < last);
    violations.extend(behind.map(|(records, to)| Violation::NotCompared {
        records: records.clone(),
        compared_to: *to,
    }));
    violations
}

/// Its maker voids nothing, and is known to have captured and refunded what it did.
fn is_by_its_maker(snapshot: &Snapshot, effect: &Effect) -> bool {
    let foreign = &snapshot.foreign;
    match effect.kind {
        EffectKind::Captured => foreign.captured.contains(&effect.id),
        EffectKind::Refunded | EffectKind::RefundFailed => effect
            .payment_intent
            .as_ref()
            .is_some_and(|id| foreign.refunded.contains(id)),
        // The bank ends all holds of an order together.
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
