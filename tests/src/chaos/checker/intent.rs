//! What one person wanted at the storefront, against the orders that it came to.

use orders::{OrderId, OrderNumber};
use uuid::Uuid;

use super::{Accepted, Card, Effect, EffectKind, Recorded, Snapshot, Violation};

/// What one person wanted at the storefront, once, however often the form was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The first line of its address, which no other intent has.
    pub address_line: String,
    /// What it is paid with.
    pub card: Card,
    /// Whether no carrier goes to its address.
    pub goes_nowhere: bool,
    /// The numbers of the orders that the person was shown.
    pub shown: Vec<OrderNumber>,
}

impl Intent {
    /// The orders that it came to.
    fn orders<'a>(&self, orders: &'a [Recorded]) -> impl Iterator<Item = &'a Recorded> {
        let of_intent = |order: &&Recorded| order.address_line == self.address_line;
        orders.iter().filter(of_intent)
    }

    /// Of these, the ones that the person was shown, as accepted.
    pub(in crate::chaos) fn accepted<'a>(
        &'a self,
        orders: &'a [Recorded],
    ) -> impl Iterator<Item = Accepted> {
        let shown = self
            .orders(orders)
            .filter(|order| self.shown.contains(&number(order)));
        shown.map(|order| Accepted {
            order: order.id,
            // The storefront keeps the key to itself; the intent stands for it in this check.
            key: format!("{} of {}", order.id, self.address_line),
            card: self.card,
            goes_nowhere: self.goes_nowhere,
            cancel: None,
            lapsed: false,
            refunds: Vec::new(),
            dispute: None,
        })
    }
}

/// Whether each intent is one order at the most, and the one that was shown.
pub(super) fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let mut violations = Vec::new();
    for intent in &snapshot.intents {
        let orders: Vec<&Recorded> = intent.orders(&snapshot.orders).collect();
        if orders.len() > 1 {
            violations.push(ordered_twice(snapshot, intent, &orders));
        }
        let there = |shown: &&OrderNumber| orders.iter().any(|order| number(order) == **shown);
        let missing = intent.shown.iter().filter(|shown| !there(shown));
        violations.extend(missing.map(|shown| Violation::OtherOrderShown {
            intent: intent.address_line.clone(),
            shown: shown.clone(),
        }));
    }
    violations
}

fn ordered_twice(snapshot: &Snapshot, intent: &Intent, orders: &[&Recorded]) -> Violation {
    let mut ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
    // By their time.
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
