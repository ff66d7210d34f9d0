//! The state that one process keeps between calls.

use jiff::Timestamp;

use crate::{
    circuit::{AdmissionRule, Circuit, Forced, State, later},
    config::Config,
    counts::{Counts, PendingCounts, Slot},
};

/// The last known circuit and counters, and the successes that are not yet reported.
#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) circuit: Circuit,
    pub(crate) pending: PendingCounts,
    /// The last bucket that was written to, with the fleet's counts.
    pub(crate) bucket: Option<(Slot, Counts)>,
    /// The sum of the window's buckets before the slot.
    pub(crate) earlier: Option<(Slot, Counts)>,
    /// The time from which and until which `circuit` is valid; `None` if it was never read.
    valid: Option<(Timestamp, Timestamp)>,
    cooldown_until: Option<Timestamp>,
}

/// The decision on a call, without a request to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalDecision {
    /// Admitted and counted.
    Counted { generation: u64 },
    /// Admitted and not counted.
    Uncounted,
    /// Refused until `retry_at`.
    Refused { retry_at: Timestamp },
    /// A request to the store is needed.
    Unknown,
}

impl Local {
    pub(crate) fn decide(&self, now: Timestamp, config: &Config) -> LocalDecision {
        if self.needs_read(now) {
            return LocalDecision::Unknown;
        }
        match self.circuit.admission_rule(now, config) {
            AdmissionRule::Admit if self.circuit.forced() == Some(Forced::Disabled) => {
                LocalDecision::Uncounted
            }
            AdmissionRule::Admit => LocalDecision::Counted {
                generation: self.circuit.generation,
            },
            AdmissionRule::Refuse { retry_at } => LocalDecision::Refused { retry_at },
            AdmissionRule::Trial => LocalDecision::Unknown,
        }
    }

    pub(crate) fn was_read(&self) -> bool {
        self.valid.is_some()
    }

    /// Whether the circuit must be read again, for instance because the clock was set back.
    pub(crate) fn needs_read(&self, now: Timestamp) -> bool {
        self.valid
            .is_none_or(|(from, until)| now < from || now >= until)
    }

    /// Replaces the known circuit with one from the store. `expected` is the version that was known
    /// before the request to the store: if a concurrent call has replaced it since, an older
    /// version is ignored. Otherwise an older version is adopted too, because a table may have been
    /// restored from a backup.
    pub(crate) fn adopt(
        &mut self,
        circuit: Circuit,
        expected: u64,
        now: Timestamp,
        config: &Config,
    ) {
        if circuit.version < self.circuit.version && self.circuit.version != expected {
            return;
        }
        if circuit.generation != self.circuit.generation {
            self.pending.clear();
        }
        // An open circuit is not read again before its probe is due.
        let until = match circuit.retry_at {
            Some(retry_at)
                if circuit.state == State::Open && circuit.forced.is_none() && retry_at > now =>
            {
                retry_at
            }
            _ => later(now, config.refresh_every),
        };
        self.circuit = circuit;
        self.valid = Some((now, until));
    }

    pub(crate) fn start_cooldown(&mut self, until: Timestamp) {
        self.cooldown_until = Some(until);
    }

    pub(crate) fn in_cooldown(&self, now: Timestamp) -> bool {
        self.cooldown_until.is_some_and(|until| now < until)
    }

    /// The fleet's last known counts of a bucket.
    pub(crate) fn known_counts(&self, slot: Slot) -> Counts {
        match self.bucket {
            Some((known, counts)) if known == slot => counts,
            _ => Counts::default(),
        }
    }

    /// The sum of the window's buckets before `slot`, if it is known.
    pub(crate) fn known_counts_before(&self, slot: Slot) -> Option<Counts> {
        self.earlier
            .and_then(|(known, counts)| (known == slot).then_some(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u64) -> Circuit {
        Circuit {
            version,
            ..Circuit::default()
        }
    }

    #[test]
    fn an_outdated_read_is_ignored_and_an_older_version_read_later_is_adopted() {
        let (now, config) = (Timestamp::UNIX_EPOCH, Config::default());
        let mut local = Local::default();
        local.adopt(version(7), 0, now, &config);
        local.adopt(version(5), 4, now, &config);
        assert_eq!(local.circuit.version, 7);
        local.adopt(version(5), 7, now, &config);
        assert_eq!(local.circuit.version, 5);
    }

    #[test]
    fn the_circuit_is_read_again_after_the_clock_was_set_back() {
        let (config, hour) = (Config::default(), std::time::Duration::from_hours(1));
        let now = later(Timestamp::UNIX_EPOCH, hour);
        let mut local = Local::default();
        assert!(local.needs_read(now));
        local.adopt(version(1), 0, now, &config);
        assert!(!local.needs_read(now));
        assert!(local.needs_read(Timestamp::UNIX_EPOCH));
        assert!(local.needs_read(later(now, config.refresh_every)));
    }
}
