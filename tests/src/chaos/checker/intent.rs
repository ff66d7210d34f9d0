//! Compares the intents at the storefront with the orders that they created.

use orders::{OrderId, OrderNumber};
use uuid::Uuid;

use super::{Accepted, Card, Effect, EffectKind, Recorded, Snapshot, Violation};

/// What one person wants to order once, however often they send the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The first line of its address, which is unique.
    pub address_line: String,
    /// The card.
    pub card: Card,
    /// Whether no carrier delivers to its address.
    pub is_undeliverable: bool,
    /// The numbers of the orders that the person was shown.
    pub shown: Vec<OrderNumber>,
}

impl Intent {
    /// The orders that it created.
    fn orders<'a>(&self, orders: &'a [Recorded]) -> impl Iterator<Item = &'a Recorded> {
        let of_intent = |order: &&Recorded| order.address_line == self.address_line;
        orders.iter().filter(of_intent)
    }

    /// Its orders that were shown, as accepted orders.
    pub(in crate::chaos) fn accepted<'a>(
        &'a self,
        orders: &'a [Recorded],
    ) -> impl Iterator<Item = Accepted> {
        let shown = self
            .orders(orders)
            .filter(|order| self.shown.contains(&number(order)));
        shown.map(|order| Accepted {
            order: order.id,
            // Only the storefront knows the key, so the check uses this one instead.
            key: format!("{} of {}", order.id, self.address_line),
            card: self.card,
            is_undeliverable: self.is_undeliverable,
            cancel: None,
            lapsed: false,
            refunds: Vec::new(),
            dispute: None,
        })
    }
}

/// Checks that each intent created at most one order, and that this is the one shown.
pub(super) fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let mut violations = Vec::new();
    for intent in &snapshot.intents {
        let orders: Vec<&Recorded> = intent.orders(&snapshot.orders).collect();
        if orders.len() > 1 {
            violations.push(ordered_twice(snapshot, intent, &orders));
        }
        let is_own = |shown: &&OrderNumber| orders.iter().any(|order| number(order) == **shown);
        let missing = intent.shown.iter().filter(|shown| !is_own(shown));
        violations.extend(missing.map(|shown| Violation::OtherOrderShown {
            intent: intent.address_line.clone(),
            shown: shown.clone(),
        }));
    }
    violations
}

fn ordered_twice(snapshot: &Snapshot, intent: &Intent, orders: &[&Recorded]) -> Violation {
    let mut ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
    // Ids sort by time.
    ids.sort_unstable();
    let of_intent = |effect: &&Effect| effect.order().is_some_and(|id| ids.contains(&id));
    let effects = snapshot.payments.iter().filter(of_intent);
    let captures = effects.filter(|effect| effect.kind == EffectKind::Captured);
    Violation::OrderedTwice {
        intent: intent.address_line.clone(),
        captures: captures.count(),
        orders: ids,
    }
}

fn number(order: &Recorded) -> OrderNumber {
    OrderId(order.id).number()
}
