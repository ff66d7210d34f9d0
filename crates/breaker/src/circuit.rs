//! The algorithm: what a circuit is, and how it changes. Pure; time and chance are given, nothing is
//! read or written.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use crate::{
    config::Config,
    counts::{Counts, Figures},
    history::{Reason, Transition},
};

/// Whether calls go through.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = CircuitState))]
pub enum State {
    /// All of them.
    #[default]
    Closed,
    /// None, but for one probe at a time once it is due.
    Open,
    /// A few at a time, to see how they fare.
    HalfOpen,
}

/// What a person decided over the breaker's head. The state beneath stays as it is, and ignores what
/// calls and probes say, until the circuit is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub enum Forced {
    /// No call goes through, nor a probe.
    Open,
    /// All calls go through, and are counted.
    Closed,
    /// All calls go through, and nothing is counted or written.
    Disabled,
}

/// Who forced what, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What.
    pub forced: Forced,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// The right to one call. It expires, so that a caller that is killed in mid-call does not keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who has it.
    pub holder: String,
    /// Until when.
    pub until: Timestamp,
}

impl Lease {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until > now
    }
}

/// A circuit, as the whole fleet knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Circuit {
    /// Grows with every change.
    pub version: u64,
    /// Whether calls go through, unless something is forced.
    pub state: State,
    /// Since when it is in this state; unknown before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Grows whenever the circuit closes: what was counted before then is not held against it.
    #[serde(default)]
    pub generation: u64,
    /// When it opened, if it has not closed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// When it is to be probed, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// How often it has opened since it was last closed.
    #[serde(default)]
    pub consecutive_opens: u32,
    /// How many calls have succeeded since it is half-open.
    #[serde(default)]
    pub successes: u32,
    /// The one probe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The half-open calls'.
    #[serde(default)]
    pub permits: Vec<Lease>,
    /// What is forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Override>,
}

/// What a circuit is told or asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A call failed or was slow, after which these are the window's counts.
    Counted {
        /// The generation they belong to.
        generation: u64,
        /// The counts.
        counts: Counts,
    },
    /// May a call be made?
    AskPermit {
        /// By whom.
        holder: String,
    },
    /// May a probe be made?
    AskLease {
        /// By whom.
        holder: String,
    },
    /// A probe or a half-open call succeeded.
    Passed {
        /// Whose.
        holder: String,
    },
    /// A probe or a half-open call failed or was slow.
    Failed {
        /// Whose.
        holder: String,
    },
    /// A person forces it.
    Force(Override),
    /// A person gives it back to itself.
    Release {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// What the asker gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was asked.
    Noted,
    /// Calls go through: nothing is held for this one.
    Free,
    /// The permit or the lease is the asker's.
    Granted,
    /// Not before then.
    Refused {
        /// When to ask again.
        retry_at: Timestamp,
    },
    /// Another holds the one lease.
    LeaseHeld,
    /// There is nothing to probe.
    NotDue,
}

/// What follows from an input, besides the new circuit.
#[derive(Debug, Clone, PartialEq)]
pub struct Effects {
    /// For the asker.
    pub answer: Answer,
    /// For the history and the listener.
    pub transition: Option<Transition>,
}

/// The circuit after an input, and what follows. It has to be written if its version has grown.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The circuit afterwards.
    pub circuit: Circuit,
    /// What follows.
    pub effects: Effects,
}

/// How a circuit stands towards a call that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be made.
    Free,
    /// It may be made with a permit.
    Narrow,
    /// It may not be made before then.
    Shut {
        /// When to ask again.
        retry_at: Timestamp,
    },
}

/// When and by what chance something happens, and under which rules.
#[derive(Clone, Copy)]
struct Moment<'a> {
    now: Timestamp,
    chance: f64,
    config: &'a Config,
}

impl Circuit {
    /// How the circuit stands towards a call that begins at `now`.
    pub fn standing(&self, now: Timestamp, config: &Config) -> Standing {
        let soon = Standing::Shut {
            retry_at: later(now, config.refresh_every),
        };
        match (self.forced(), self.state) {
            (Some(Forced::Open), _) => Standing::Shut {
                retry_at: later(now, config.open_for),
            },
            (Some(Forced::Closed | Forced::Disabled), _) | (None, State::Closed) => Standing::Free,
            (None, State::Open) => match self.retry_at {
                Some(retry_at) if retry_at > now => Standing::Shut { retry_at },
                _ if !config.live_calls_probe || self.is_leased(now) => soon,
                _ => Standing::Narrow,
            },
            (None, State::HalfOpen) if self.permits_out(now) >= limit(config) => soon,
            (None, State::HalfOpen) => Standing::Narrow,
        }
    }

    /// What is forced.
    pub fn forced(&self) -> Option<Forced> {
        self.forced.as_ref().map(|it| it.forced)
    }

    /// What follows from `input` at `now`. `chance`, 0 to 1, moves the next probe.
    #[must_use]
    pub fn step(&self, input: Input, now: Timestamp, chance: f64, config: &Config) -> Step {
        let mut before = self.clone();
        before.drop_expired(now);
        let mut circuit = before.clone();
        let moment = Moment {
            now,
            chance,
            config,
        };
        let mut effects = circuit.apply(input, moment);
        // That something has expired, or is forced again just so, is no reason to write.
        if circuit == before {
            circuit = self.clone();
            effects.transition = None;
        } else {
            circuit.version += 1;
        }
        if let Some(transition) = &mut effects.transition {
            transition.version = circuit.version;
        }
        Step { circuit, effects }
    }

    fn apply(&mut self, input: Input, moment: Moment<'_>) -> Effects {
        let answered = |answer| Effects {
            answer,
            transition: None,
        };
        let noted = |transition| Effects {
            answer: Answer::Noted,
            transition,
        };
        match input {
            Input::AskPermit { holder } => answered(self.ask_permit(holder, moment)),
            Input::AskLease { holder } => answered(self.ask_lease(holder, moment)),
            Input::Force(forced) => noted(Some(self.force(forced, moment))),
            Input::Release { by, why } => noted(self.release(by, why, moment)),
            _ if self.forced.is_some() => noted(None),
            Input::Counted { generation, counts } => {
                noted(self.counted(generation, counts, moment))
            }
            Input::Passed { holder } => noted(self.passed(&holder, moment)),
            Input::Failed { holder } => noted(self.failed(&holder, moment)),
        }
    }

    fn ask_permit(&mut self, holder: String, moment: Moment<'_>) -> Answer {
        match self.standing(moment.now, moment.config) {
            Standing::Free => return Answer::Free,
            Standing::Shut { retry_at } => return Answer::Refused { retry_at },
            Standing::Narrow => {}
        }
        let lease = moment.lease(holder);
        match self.state {
            State::HalfOpen => self.permits.push(lease),
            _ => self.lease = Some(lease),
        }
        Answer::Granted
    }

    fn ask_lease(&mut self, holder: String, moment: Moment<'_>) -> Answer {
        let due = match self.state {
            _ if self.forced.is_some() => false,
            State::Closed => false,
            State::Open => self.retry_at.is_none_or(|at| at <= moment.now),
            // Live calls that are under way tell as much.
            State::HalfOpen => self.permits.is_empty(),
        };
        if !due {
            return Answer::NotDue;
        }
        if self.lease.is_some() {
            return Answer::LeaseHeld;
        }
        self.lease = Some(moment.lease(holder));
        Answer::Granted
    }

    fn counted(
        &mut self,
        generation: u64,
        counts: Counts,
        moment: Moment<'_>,
    ) -> Option<Transition> {
        let config = moment.config;
        if self.state != State::Closed
            || generation != self.generation
            || counts.calls < config.minimum_calls
        {
            return None;
        }
        let figures = Figures::from(counts);
        let reason = if figures.failure_rate >= config.failure_rate {
            Reason::FailureRate
        } else if figures.slow_rate >= config.slow_rate {
            Reason::SlowRate
        } else {
            return None;
        };
        let mut transition = self.open(reason, moment);
        transition.figures = Some(figures);
        Some(transition)
    }

    fn passed(&mut self, holder: &str, moment: Moment<'_>) -> Option<Transition> {
        if !self.give_back(holder) {
            return None;
        }
        let from = self.state;
        self.successes += 1;
        if self.successes >= moment.config.successes_to_close {
            *self = Self {
                version: self.version,
                generation: self.generation + 1,
                since: Some(moment.now),
                ..Self::default()
            };
        } else if from == State::Open {
            self.state = State::HalfOpen;
            self.since = Some(moment.now);
            self.retry_at = None;
        } else {
            return None;
        }
        let reason = match from {
            State::Open => Reason::ProbePassed,
            _ => Reason::TrialPassed,
        };
        Some(self.transition(from, reason, moment))
    }

    fn failed(&mut self, holder: &str, moment: Moment<'_>) -> Option<Transition> {
        if !self.give_back(holder) {
            return None;
        }
        let reason = match self.state {
            State::Open => Reason::ProbeFailed,
            _ => Reason::TrialFailed,
        };
        Some(self.open(reason, moment))
    }

    /// Opens the circuit, for longer each time in a row. All permits and the lease are void.
    fn open(&mut self, reason: Reason, moment: Moment<'_>) -> Transition {
        let from = self.state;
        if from != State::Open {
            self.since = Some(moment.now);
        }
        self.state = State::Open;
        self.opened_at = self.opened_at.or(Some(moment.now));
        self.consecutive_opens = self.consecutive_opens.saturating_add(1);
        self.retry_at = Some(moment.retry_at(self.consecutive_opens));
        self.successes = 0;
        self.lease = None;
        self.permits.clear();
        self.transition(from, reason, moment)
    }

    fn force(&mut self, forced: Override, moment: Moment<'_>) -> Transition {
        self.lease = None;
        self.permits.clear();
        self.forced = Some(forced.clone());
        Transition {
            by: Some(forced.by),
            why: Some(forced.why),
            ..self.transition(self.state, Reason::Forced, moment)
        }
    }

    fn release(&mut self, by: String, why: String, moment: Moment<'_>) -> Option<Transition> {
        self.forced.take()?;
        Some(Transition {
            by: Some(by),
            why: Some(why),
            ..self.transition(self.state, Reason::Released, moment)
        })
    }

    fn transition(&self, from: State, reason: Reason, moment: Moment<'_>) -> Transition {
        Transition {
            at: moment.now,
            version: self.version,
            from,
            to: self.state,
            forced: self.forced(),
            reason,
            by: None,
            why: None,
            figures: None,
            retry_at: self.retry_at,
        }
    }

    /// Takes back what `holder` has; false if it has nothing, any more.
    fn give_back(&mut self, holder: &str) -> bool {
        if self.lease.take_if(|lease| lease.holder == holder).is_some() {
            return true;
        }
        let before = self.permits.len();
        self.permits.retain(|permit| permit.holder != holder);
        self.permits.len() < before
    }

    fn drop_expired(&mut self, now: Timestamp) {
        self.lease.take_if(|lease| !lease.is_live(now));
        self.permits.retain(|permit| permit.is_live(now));
    }

    fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_live(now))
    }

    fn permits_out(&self, now: Timestamp) -> usize {
        self.permits
            .iter()
            .filter(|permit| permit.is_live(now))
            .count()
    }
}

impl Moment<'_> {
    fn lease(self, holder: String) -> Lease {
        Lease {
            holder,
            until: later(self.now, self.config.lease_for),
        }
    }

    /// When to probe after so many opens in a row: the span doubles with each; half of it is left to
    /// chance, so that the circuits of one outage do not all probe at once.
    fn retry_at(self, opens: u32) -> Timestamp {
        let config = self.config;
        let doubled = 2_u32.saturating_pow(opens.saturating_sub(1));
        let span = config
            .open_for
            .saturating_mul(doubled)
            .min(config.max_open_for);
        let chance = if self.chance.is_nan() {
            1.0
        } else {
            self.chance
        };
        let half = span / 2;
        later(self.now, half + half.mul_f64(chance.clamp(0.0, 1.0)))
    }
}

fn limit(config: &Config) -> usize {
    usize::try_from(config.half_open_permits).unwrap_or(usize::MAX)
}

/// `span` after `now`, or the end of time.
pub(crate) fn later(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| now.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}
