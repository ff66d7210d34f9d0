//! All records of an order, for the report of a violation.

use std::fmt;

use uuid::Uuid;

use super::{Recorded, Snapshot, Strike, Violation, ledger::Effect};

/// The records of one order.
pub struct Records<'a> {
    order: &'a Recorded,
    snapshot: &'a Snapshot,
}

impl Snapshot {
    /// Returns the orders that the violations name.
    pub fn orders_in(&self, violations: &[Violation]) -> impl Iterator<Item = &Recorded> {
        let messages: Vec<String> = violations.iter().map(ToString::to_string).collect();
        self.orders.iter().filter(move |order| {
            let id = order.id.to_string();
            messages.iter().any(|message| message.contains(&id))
        })
    }

    /// Returns the records of an order.
    pub fn records_of<'a>(&'a self, order: &'a Recorded) -> Records<'a> {
        let snapshot = self;
        Records { order, snapshot }
    }
}

impl Records<'_> {
    fn effects(&self) -> Vec<&Effect> {
        let effects = self.snapshot.payments.iter().chain(&self.snapshot.shipping);
        let mut effects: Vec<_> = effects.filter(|it| self.is_ours(it.order())).collect();
        effects.sort_by_key(|effect| effect.at);
        effects
    }

    fn strikes(&self) -> impl Iterator<Item = &Strike> {
        let strikes = self.snapshot.strikes.iter();
        strikes.filter(|strike| self.is_ours(strike.order()))
    }

    fn is_ours(&self, order: Option<Uuid>) -> bool {
        order == Some(self.order.id)
    }
}

impl fmt::Display for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.order)?;
        for effect in self.effects() {
            let Effect {
                at,
                kind,
                id,
                cents,
                ..
            } = effect;
            let raised = if self.snapshot.raised.contains(id) {
                ", raised"
            } else {
                ""
            };
            writeln!(f, "  {at} {kind:?} {id}, {cents} cents{raised}")?;
        }
        for strike in self.strikes() {
            let Strike {
                provider,
                mode,
                operation,
                calls,
                ..
            } = strike;
            writeln!(f, "  {provider}: {mode} struck {operation}, {calls} times")?;
        }
        Ok(())
    }
}
