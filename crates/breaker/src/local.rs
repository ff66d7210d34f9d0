//! What one environment remembers between calls.

use jiff::Timestamp;

use crate::{
    circuit::{Circuit, Forced, Standing, State, later},
    config::Config,
    counts::{Counts, Slot, Untold},
};

/// What one environment knows of a circuit, and has not told yet.
#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) circuit: Circuit,
    pub(crate) untold: Untold,
    /// The last bucket that was written to, with the fleet's counts.
    pub(crate) bucket: Option<(Slot, Counts)>,
    /// The sum of the window's buckets before this one.
    pub(crate) earlier: Option<(Slot, Counts)>,
    /// From when until when the circuit is taken to be so; none, if it was never read.
    trusted: Option<(Timestamp, Timestamp)>,
    left_alone_until: Option<Timestamp>,
}

/// What can be said of a call without asking the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glance {
    /// It may be made, and is counted.
    Counted { generation: u64 },
    /// It may be made, and is not counted.
    Unguarded,
    /// It may not be made before then.
    Shut { retry_at: Timestamp },
    /// Nothing.
    Unclear,
}

impl Local {
    pub(crate) fn glance(&self, now: Timestamp, config: &Config) -> Glance {
        if self.is_due(now) {
            return Glance::Unclear;
        }
        match self.circuit.standing(now, config) {
            Standing::Free if self.circuit.forced() == Some(Forced::Disabled) => Glance::Unguarded,
            Standing::Free => Glance::Counted {
                generation: self.circuit.generation,
            },
            Standing::Shut { retry_at } => Glance::Shut { retry_at },
            Standing::Narrow => Glance::Unclear,
        }
    }

    pub(crate) fn was_read(&self) -> bool {
        self.trusted.is_some()
    }

    /// Whether it is time to read the circuit again. A clock that was set back is no reason to wait.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.trusted
            .is_none_or(|(from, until)| now < from || now >= until)
    }

    /// Takes what the store said, unless something newer came while it was asked: `seen` is the
    /// version that was known before. An older version is believed too, for a table may have been
    /// restored.
    pub(crate) fn adopt(&mut self, circuit: Circuit, seen: u64, now: Timestamp, config: &Config) {
        if circuit.version < self.circuit.version && self.circuit.version != seen {
            return;
        }
        if circuit.generation != self.circuit.generation {
            self.untold.clear();
        }
        // An open circuit has nothing new to say before it is due.
        let until = match circuit.retry_at {
            Some(retry_at)
                if circuit.state == State::Open && circuit.forced.is_none() && retry_at > now =>
            {
                retry_at
            }
            _ => later(now, config.refresh_every),
        };
        self.circuit = circuit;
        self.trusted = Some((now, until));
    }

    pub(crate) fn leave_store_alone(&mut self, until: Timestamp) {
        self.left_alone_until = Some(until);
    }

    pub(crate) fn leaves_store_alone(&self, now: Timestamp) -> bool {
        self.left_alone_until.is_some_and(|until| now < until)
    }

    /// The fleet's counts of a bucket, as last seen.
    pub(crate) fn bucket_of(&self, slot: Slot) -> Counts {
        match self.bucket {
            Some((known, counts)) if known == slot => counts,
            _ => Counts::default(),
        }
    }

    /// The sum of the window's buckets before this one, if it is known.
    pub(crate) fn earlier_than(&self, slot: Slot) -> Option<Counts> {
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
    fn what_was_read_before_something_newer_came_is_old_and_what_was_read_after_is_believed() {
        let (now, config) = (Timestamp::UNIX_EPOCH, Config::default());
        let mut local = Local::default();
        local.adopt(version(7), 0, now, &config);
        local.adopt(version(5), 4, now, &config);
        assert_eq!(local.circuit.version, 7);
        local.adopt(version(5), 7, now, &config);
        assert_eq!(local.circuit.version, 5);
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_reason_to_wait() {
        let (config, hour) = (Config::default(), std::time::Duration::from_hours(1));
        let now = later(Timestamp::UNIX_EPOCH, hour);
        let mut local = Local::default();
        assert!(local.is_due(now));
        local.adopt(version(1), 0, now, &config);
        assert!(!local.is_due(now));
        assert!(local.is_due(Timestamp::UNIX_EPOCH));
        assert!(local.is_due(later(now, config.refresh_every)));
    }
}
