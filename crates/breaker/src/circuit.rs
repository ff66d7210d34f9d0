//! The circuit and its transitions: pure functions of the circuit, an input, the time and jitter.
//! It does no I/O.

#[cfg(test)]
mod properties;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::{
    config::Config,
    counts::{Counts, Figures},
    history::{Reason, Transition},
};

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = CircuitState))]
pub enum State {
    /// All calls are admitted.
    #[default]
    Closed,
    /// All calls are refused, except one probe at a time once it is due.
    Open,
    /// A few calls at a time are admitted, to find out whether the service has recovered.
    HalfOpen,
}

/// An operator's override of the state. Until it is released, the circuit keeps its state and
/// ignores the results of calls and probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub enum Forced {
    /// All calls and probes are refused.
    Open,
    /// All calls are admitted and counted.
    Closed,
    /// All calls are admitted. Nothing is counted or written.
    Disabled,
}

/// An operator's override, with its author, reason and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Override {
    /// The override.
    pub forced: Forced,
    /// The operator's name.
    pub by: String,
    /// The operator's reason.
    pub why: String,
    /// The time at which it was set.
    pub at: Timestamp,
}

/// The right to make one call. It expires, so that a caller that is killed during the call does not
/// keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The random identifier of the call.
    pub(crate) holder: String,
    /// When it expires.
    pub(crate) until: Timestamp,
}

impl Lease {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until > now
    }
}

/// The stored record of a circuit, which a [`Store`](crate::Store) keeps as a whole.
///
/// Its content is private. [`Breaker::status`](crate::Breaker::status) returns what an application
/// may show of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Circuit {
    /// Grows by one with every change.
    pub(crate) version: u64,
    /// The state, apart from an override.
    pub(crate) state: State,
    /// The start of this state; unknown before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// Grows by one when the circuit closes. Counts of earlier generations are ignored.
    #[serde(default)]
    pub(crate) generation: u64,
    /// When it opened, if it has not closed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opened_at: Option<Timestamp>,
    /// When the next probe is due, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<Timestamp>,
    /// The number of openings since it was last closed.
    #[serde(default)]
    pub(crate) consecutive_opens: u32,
    /// The number of trials in a row that have succeeded, including the probe.
    #[serde(default)]
    pub(crate) successes: u32,
    /// The lease of the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<Lease>,
    /// The leases of half-open calls.
    #[serde(default)]
    pub(crate) permits: Vec<Lease>,
    /// The operator's override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forced: Option<Override>,
}

/// A request to a circuit, or a result that is reported to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CircuitInput {
    /// A call failed or was slow. These are the window's counts after it.
    Counted { generation: u64, counts: Counts },
    /// Requests a permit for a call.
    RequestPermit { holder: String },
    /// Requests the lease for a probe.
    RequestLease { holder: String },
    /// A probe or a half-open call succeeded.
    Passed { holder: String },
    /// A probe or a half-open call failed or was slow.
    Failed { holder: String },
    /// An operator forces the circuit.
    Force(Override),
    /// An operator releases the circuit.
    Release { by: String, why: String },
}

/// The decision on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The input was not a request.
    NotRequested,
    /// The call is admitted without a permit.
    Admitted,
    /// The caller holds the permit or the lease.
    Granted,
    /// The call is refused until `retry_at`.
    Refused { retry_at: Timestamp },
    /// Another caller holds the probe's lease.
    LeaseHeld,
    /// The circuit needs no probe now.
    NotDue,
}

/// The outcome of an input. The circuit must be written if its version has grown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) circuit: Circuit,
    pub(crate) decision: Decision,
    /// For the history and the listeners.
    pub(crate) transition: Option<Transition>,
}

/// How a circuit treats a call that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdmissionRule {
    /// Admit it.
    Admit,
    /// Admit it with a permit.
    Trial,
    /// Refuse it until `retry_at`.
    Refuse { retry_at: Timestamp },
}

/// The time, jitter and configuration of an input.
#[derive(Clone, Copy)]
struct Context<'a> {
    now: Timestamp,
    jitter: f64,
    config: &'a Config,
}

impl Circuit {
    /// Returns the number of changes so far; 0 for a circuit that was never written.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns how the circuit treats a call that begins at `now`.
    pub(crate) fn admission_rule(&self, now: Timestamp, config: &Config) -> AdmissionRule {
        let soon = AdmissionRule::Refuse {
            retry_at: later(now, config.refresh_every),
        };
        match (self.forced(), self.state) {
            (Some(Forced::Open), _) => AdmissionRule::Refuse {
                retry_at: later(now, config.open_for),
            },
            (Some(Forced::Closed | Forced::Disabled), _) | (None, State::Closed) => {
                AdmissionRule::Admit
            }
            (None, State::Open) => match self.retry_at {
                Some(retry_at) if retry_at > now => AdmissionRule::Refuse { retry_at },
                _ if !config.live_calls_probe || self.is_leased(now) => soon,
                _ => AdmissionRule::Trial,
            },
            (None, State::HalfOpen) if self.live_permits(now) >= permit_limit(config) => soon,
            (None, State::HalfOpen) => AdmissionRule::Trial,
        }
    }

    /// The operator's override.
    pub(crate) fn forced(&self) -> Option<Forced> {
        self.forced.as_ref().map(|it| it.forced)
    }

    /// Applies `input` at `now`. `jitter`, 0 to 1, varies the time of the next probe.
    #[must_use]
    pub(crate) fn step(
        &self,
        input: CircuitInput,
        now: Timestamp,
        jitter: f64,
        config: &Config,
    ) -> Step {
        let mut before = self.clone();
        before.drop_expired(now);
        let mut circuit = before.clone();
        let context = Context {
            now,
            jitter,
            config,
        };
        let (decision, mut transition) = circuit.apply(input, context);
        // Dropping an expired lease or setting the same override again is not worth a write.
        if circuit == before {
            circuit = self.clone();
            transition = None;
        } else {
            circuit.version += 1;
        }
        if let Some(transition) = &mut transition {
            transition.version = circuit.version;
        }
        Step {
            circuit,
            decision,
            transition,
        }
    }

    fn apply(
        &mut self,
        input: CircuitInput,
        context: Context<'_>,
    ) -> (Decision, Option<Transition>) {
        let transition = match input {
            CircuitInput::RequestPermit { holder } => {
                return (self.request_permit(holder, context), None);
            }
            CircuitInput::RequestLease { holder } => {
                return (self.request_lease(holder, context), None);
            }
            CircuitInput::Force(forced) => Some(self.force(forced, context)),
            CircuitInput::Release { by, why } => self.release(by, why, context),
            _ if self.forced.is_some() => None,
            CircuitInput::Counted { generation, counts } => {
                self.open_if_exceeded(generation, counts, context)
            }
            CircuitInput::Passed { holder } => self.pass_trial(&holder, context),
            CircuitInput::Failed { holder } => self.fail_trial(&holder, context),
        };
        (Decision::NotRequested, transition)
    }

    fn request_permit(&mut self, holder: String, context: Context<'_>) -> Decision {
        match self.admission_rule(context.now, context.config) {
            AdmissionRule::Admit => return Decision::Admitted,
            AdmissionRule::Refuse { retry_at } => return Decision::Refused { retry_at },
            AdmissionRule::Trial => {}
        }
        let lease = context.lease(holder);
        match self.state {
            State::HalfOpen => self.permits.push(lease),
            _ => self.lease = Some(lease),
        }
        Decision::Granted
    }

    fn request_lease(&mut self, holder: String, context: Context<'_>) -> Decision {
        let due = match self.state {
            _ if self.forced.is_some() => false,
            State::Closed => false,
            State::Open => self.retry_at.is_none_or(|at| at <= context.now),
            // Live calls in flight already test whether the service has recovered.
            State::HalfOpen => self.permits.is_empty(),
        };
        if !due {
            return Decision::NotDue;
        }
        if self.lease.is_some() {
            return Decision::LeaseHeld;
        }
        self.lease = Some(context.lease(holder));
        Decision::Granted
    }

    /// Opens the circuit if the window's counts reach a threshold.
    fn open_if_exceeded(
        &mut self,
        generation: u64,
        counts: Counts,
        context: Context<'_>,
    ) -> Option<Transition> {
        let config = context.config;
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
        let mut transition = self.open(reason, context);
        transition.figures = Some(figures);
        Some(transition)
    }

    fn pass_trial(&mut self, holder: &str, context: Context<'_>) -> Option<Transition> {
        if !self.end_trial(holder) {
            return None;
        }
        let from = self.state;
        self.successes += 1;
        if self.successes >= context.config.successes_to_close {
            *self = Self {
                version: self.version,
                generation: self.generation + 1,
                since: Some(context.now),
                ..Self::default()
            };
        } else if from == State::Open {
            self.state = State::HalfOpen;
            self.since = Some(context.now);
            self.retry_at = None;
        } else {
            return None;
        }
        let reason = match from {
            State::Open => Reason::ProbePassed,
            _ => Reason::TrialPassed,
        };
        Some(self.transition(from, reason, context))
    }

    fn fail_trial(&mut self, holder: &str, context: Context<'_>) -> Option<Transition> {
        if !self.end_trial(holder) {
            return None;
        }
        let reason = match self.state {
            State::Open => Reason::ProbeFailed,
            _ => Reason::TrialFailed,
        };
        Some(self.open(reason, context))
    }

    /// Opens the circuit, for longer at each consecutive opening, and revokes all permits and the
    /// lease.
    fn open(&mut self, reason: Reason, context: Context<'_>) -> Transition {
        let from = self.state;
        if from != State::Open {
            self.since = Some(context.now);
        }
        self.state = State::Open;
        self.opened_at = self.opened_at.or(Some(context.now));
        self.consecutive_opens = self.consecutive_opens.saturating_add(1);
        self.retry_at = Some(context.retry_at(self.consecutive_opens));
        self.successes = 0;
        self.lease = None;
        self.permits.clear();
        self.transition(from, reason, context)
    }

    fn force(&mut self, forced: Override, context: Context<'_>) -> Transition {
        self.lease = None;
        self.permits.clear();
        self.forced = Some(forced.clone());
        Transition {
            by: Some(forced.by),
            why: Some(forced.why),
            ..self.transition(self.state, Reason::Forced, context)
        }
    }

    fn release(&mut self, by: String, why: String, context: Context<'_>) -> Option<Transition> {
        self.forced.take()?;
        Some(Transition {
            by: Some(by),
            why: Some(why),
            ..self.transition(self.state, Reason::Released, context)
        })
    }

    fn transition(&self, from: State, reason: Reason, context: Context<'_>) -> Transition {
        Transition {
            at: context.now,
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

    /// Removes the lease or permit of `holder`; false if it has none, or it has expired.
    fn end_trial(&mut self, holder: &str) -> bool {
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

    fn live_permits(&self, now: Timestamp) -> usize {
        self.permits
            .iter()
            .filter(|permit| permit.is_live(now))
            .count()
    }
}

impl Context<'_> {
    fn lease(self, holder: String) -> Lease {
        Lease {
            holder,
            until: later(self.now, self.config.lease_for),
        }
    }

    /// The time of the next probe after `opens` consecutive openings. The span doubles with each
    /// opening. Half of it is jitter, so that the circuits of one outage do not all probe at once.
    fn retry_at(self, opens: u32) -> Timestamp {
        let config = self.config;
        let doubled = 2_u32.saturating_pow(opens.saturating_sub(1));
        let span = config
            .open_for
            .saturating_mul(doubled)
            .min(config.max_open_for);
        let jitter = if self.jitter.is_nan() {
            1.0
        } else {
            self.jitter
        };
        let half = span / 2;
        later(self.now, half + half.mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

fn permit_limit(config: &Config) -> usize {
    usize::try_from(config.half_open_permits).unwrap_or(usize::MAX)
}

/// Returns `now + span`, or the latest timestamp if that overflows.
pub(crate) fn later(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| now.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}
