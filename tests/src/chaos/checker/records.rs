//! All records of an order, for the report of a violation.

use std::fmt;

use super::{Case, Snapshot, Strike, Violation, cases, ledger::Effect};

impl Snapshot {
    /// Returns the records of each order that the violations name, as text.
    pub fn records_of(&self, violations: &[Violation]) -> impl Iterator<Item: fmt::Display> {
        let messages: Vec<String> = violations.iter().map(ToString::to_string).collect();
        cases(self).filter(move |case| {
            let id = case.order.id.to_string();
            messages.iter().any(|message| message.contains(&id))
        })
    }
}

impl fmt::Display for Case<'_> {
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
        for strike in &self.strikes {
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
