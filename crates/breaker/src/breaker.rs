//! The breaker: admits or refuses calls, and reports their results to the store.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::{
    circuit::{CircuitInput, Decision, Forced, Override, State, Step, later},
    config::Config,
    counts::{Counts, Figures, Slot, retries_allowed},
    env::Env,
    error::Error,
    history::Transition,
    local::{Local, LocalDecision},
    store::{SpendOutcome, Store, WriteOutcome},
};

/// The number of attempts to write a change that conflicts with other writers.
const MAX_ATTEMPTS: usize = 16;

/// The most transitions that are read at once.
const MAX_HISTORY: usize = 1_000;

/// What a listener is called with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BreakerEvent {
    /// This process changed the circuit. The listeners of other processes are not called.
    Transition(Transition),
    /// The store failed. For [`Config::refresh_every`] it is not called again and calls are not
    /// counted. They are admitted, unless the circuit is known to be open.
    StoreUnreachable {
        /// The error with its causes.
        error: String,
    },
}

type Listener = Box<dyn Fn(&BreakerEvent) + Send + Sync>;

/// A circuit breaker. All breakers with the same name and store share one circuit.
///
/// Clones are cheap and share what they know of the circuit. Use clones of one breaker for all
/// calls of a process.
pub struct Breaker<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    store: S,
    name: String,
    config: Config,
    env: Env,
    listeners: RwLock<Vec<Listener>>,
    local: Mutex<Local>,
    /// Locked by the call that reads the circuit.
    reading: tokio::sync::Mutex<()>,
}

/// The decision on a call.
#[derive(Debug)]
pub enum Admission<S: Store> {
    /// The call may be made. Report its result to the permit.
    Admitted(Permit<S>),
    /// The call must not be made.
    #[non_exhaustive]
    Refused {
        /// When to call [`Breaker::admit`] again.
        retry_at: Timestamp,
    },
}

/// The right to make one call. If it is dropped without a result, the call is not counted, and the
/// lease of a half-open call expires after [`Config::lease_for`].
#[must_use = "report the call's result"]
pub struct Permit<S: Store> {
    breaker: Breaker<S>,
    kind: PermitKind,
}

#[derive(Debug)]
enum PermitKind {
    /// Its result is counted in the window.
    Counted { generation: u64 },
    /// A probe or a half-open call: its result changes the circuit.
    Trial { holder: String },
    /// Not counted: the store cannot be reached, or the breaker is disabled.
    Uncounted,
}

/// The outcome of [`Breaker::probe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The circuit needs no probe now.
    NotDue {
        /// The circuit's state.
        state: State,
        /// When the next probe is due, if the circuit is open.
        retry_at: Option<Timestamp>,
    },
    /// Another probe is in flight.
    LeaseHeld,
    /// The service answered in time.
    Passed {
        /// The circuit's state after the probe.
        state: State,
        /// The duration of the probe.
        elapsed: Duration,
    },
    /// The service failed, was slow, or did not answer.
    Failed {
        /// When the next probe is due.
        retry_at: Option<Timestamp>,
        /// The duration of the probe.
        elapsed: Duration,
    },
}

/// The status of a circuit, for operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The circuit's name.
    pub name: String,
    /// The number of changes so far.
    pub version: u64,
    /// The state, apart from an override.
    pub state: State,
    /// The operator's override.
    pub forced: Option<Override>,
    /// The start of this state; unknown if it never changed.
    pub since: Option<Timestamp>,
    /// When it opened, if it has not closed since.
    pub opened_at: Option<Timestamp>,
    /// When the next probe is due, while it is open.
    pub retry_at: Option<Timestamp>,
    /// The number of openings since it was last closed.
    pub consecutive_opens: u32,
    /// The window's counters and rates.
    pub figures: Figures,
    /// The window's retry budget, including the retries already spent.
    pub retries_allowed: u64,
}

impl<S> Clone for Breaker<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for Breaker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Breaker");
        debug
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl<S: Store> Breaker<S> {
    /// Returns a breaker of the circuit `name` in `store`.
    pub fn new(store: S, name: impl Into<String>, config: Config) -> Self {
        Self::with_env(store, name, config, Env::default())
    }

    /// Like [`Breaker::new`], with a clock and jitter other than the system's.
    pub fn with_env(store: S, name: impl Into<String>, config: Config, env: Env) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                name: name.into(),
                config: config.clamped(),
                env,
                listeners: RwLock::default(),
                local: Mutex::default(),
                reading: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Adds a listener to this breaker and all its clones. It is called synchronously during a
    /// call, so it must return quickly.
    #[must_use]
    pub fn with_listener(self, listener: impl Fn(&BreakerEvent) + Send + Sync + 'static) -> Self {
        let mut listeners = self.shared.listeners.write();
        listeners
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut())
            .push(Box::new(listener));
        drop(listeners);
        self
    }

    /// Returns the circuit's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the configuration, with each value inside its limits.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Decides whether a call may be made. Admits it if the store cannot be reached (fail open),
    /// unless the circuit is known to be open and not yet due.
    pub async fn admit(&self) -> Admission<S> {
        let decision = self.local().decide(self.now(), self.config());
        match decision {
            LocalDecision::Counted { generation } => {
                self.admitted(PermitKind::Counted { generation })
            }
            LocalDecision::Uncounted => self.admitted(PermitKind::Uncounted),
            LocalDecision::Refused { retry_at } => Admission::Refused { retry_at },
            LocalDecision::Unknown => match self.request_permit().await {
                Ok(admission) => admission,
                // Other callers changed the circuit during each attempt.
                Err(Error::Contended) => Admission::Refused {
                    retry_at: later(self.now(), self.config().refresh_every),
                },
                Err(_) => self.admitted(PermitKind::Uncounted),
            },
        }
    }

    async fn request_permit(&self) -> Result<Admission<S>, Error> {
        self.refresh().await?;
        let holder = new_holder();
        let input = CircuitInput::RequestPermit {
            holder: holder.clone(),
        };
        let kind = match self.update_circuit(input).await? {
            Decision::Refused { retry_at } => return Ok(Admission::Refused { retry_at }),
            Decision::Granted => PermitKind::Trial { holder },
            _ => {
                let local = self.local();
                match local.circuit.forced() {
                    Some(Forced::Disabled) => PermitKind::Uncounted,
                    _ => PermitKind::Counted {
                        generation: local.circuit.generation,
                    },
                }
            }
        };
        Ok(self.admitted(kind))
    }

    fn admitted(&self, kind: PermitKind) -> Admission<S> {
        Admission::Admitted(Permit {
            breaker: self.clone(),
            kind,
        })
    }

    /// Spends one retry of the fleet's budget. Returns false if none is left. The budget of a
    /// window is [`Config::retry_share`] of its calls, and at least [`Config::min_retries`].
    /// Returns true if the store cannot be reached.
    pub async fn spend_retry(&self) -> bool {
        self.try_spend_retry().await.unwrap_or(true)
    }

    async fn try_spend_retry(&self) -> Result<bool, Error> {
        let (now, config) = (self.now(), self.config());
        let (slot, forced) = {
            let circuit = &self.local().circuit;
            (Slot::at(now, circuit.generation, config), circuit.forced())
        };
        if forced == Some(Forced::Disabled) {
            return Ok(true);
        }
        let earlier = self.counts_before(slot).await?;
        let limit = |bucket: Counts| {
            let calls = (earlier + bucket).calls;
            retries_allowed(calls, config).saturating_sub(earlier.retries)
        };
        let mut known = self.local().known_counts(slot);
        for _ in 0..MAX_ATTEMPTS {
            let keep_until = later(now, 2 * config.window);
            let spend = self
                .shared
                .store
                .spend_retry(self.name(), slot, limit(known), keep_until);
            let (allowed, counts) = match self.call_store(spend).await? {
                SpendOutcome::Allowed(counts) => (true, counts),
                SpendOutcome::Refused(counts) => (false, counts),
            };
            self.local().bucket = Some((slot, counts));
            // Calls that were reported meanwhile may have raised the limit.
            if allowed || counts.retries >= limit(counts) {
                return Ok(allowed);
            }
            known = counts;
        }
        Ok(false)
    }

    /// Probes the service with `call` if the circuit is due: open with its time elapsed, or
    /// half-open with no live call in flight. Only one probe runs at a time in the fleet. Its
    /// result changes the circuit.
    ///
    /// An error of `call` is a failure. So is an answer that takes [`Config::slow_call`] or longer,
    /// or none within [`Config::lease_for`].
    pub async fn probe<E>(
        &self,
        call: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<ProbeOutcome, Error> {
        self.refresh().await?;
        let holder = new_holder();
        let input = CircuitInput::RequestLease {
            holder: holder.clone(),
        };
        match self.update_circuit(input).await? {
            Decision::Granted => {}
            Decision::LeaseHeld => return Ok(ProbeOutcome::LeaseHeld),
            _ => {
                let circuit = &self.local().circuit;
                return Ok(ProbeOutcome::NotDue {
                    state: circuit.state,
                    retry_at: circuit.retry_at,
                });
            }
        }
        let begun = Instant::now();
        let answer = timeout(self.config().lease_for, call()).await;
        let elapsed = begun.elapsed();
        let passed = matches!(answer, Ok(Ok(()))) && elapsed < self.config().slow_call;
        self.update_circuit(trial_result(holder, passed)).await?;
        let circuit = &self.local().circuit;
        Ok(if passed {
            ProbeOutcome::Passed {
                state: circuit.state,
                elapsed,
            }
        } else {
            ProbeOutcome::Failed {
                retry_at: circuit.retry_at,
                elapsed,
            }
        })
    }

    /// Reads the circuit's status from the store.
    pub async fn status(&self) -> Result<Status, Error> {
        self.read().await?;
        let (circuit, config) = (self.local().circuit.clone(), self.config());
        let slot = Slot::at(self.now(), circuit.generation, config);
        let (first, end) = (slot.window_start(config), slot.next(config));
        let counts = self
            .call_store(self.shared.store.sum_counts(self.name(), first, end))
            .await?;
        Ok(Status {
            name: self.name().to_owned(),
            version: circuit.version,
            state: circuit.state,
            forced: circuit.forced,
            since: circuit.since,
            opened_at: circuit.opened_at,
            retry_at: circuit.retry_at,
            consecutive_opens: circuit.consecutive_opens,
            retries_allowed: retries_allowed(counts.calls, config),
            figures: counts.into(),
        })
    }

    /// Reads the latest transitions, newest first: at most `limit`, and at most 1,000.
    pub async fn history(&self, limit: usize) -> Result<Vec<Transition>, Error> {
        let limit = limit.clamp(1, MAX_HISTORY);
        self.call_store(self.shared.store.history(self.name(), limit))
            .await
    }

    /// Forces the circuit until it is released, with the operator's name and reason. Returns the
    /// status after that.
    ///
    /// Other processes apply it within [`Config::refresh_every`]. Those that know the circuit to be
    /// open apply it when its probe is due.
    pub async fn force(&self, forced: Forced, by: &str, why: &str) -> Result<Status, Error> {
        let (by, why) = (validate_explanation(by)?, validate_explanation(why)?);
        self.read().await?;
        let at = self.now();
        self.update_circuit(CircuitInput::Force(Override {
            forced,
            by,
            why,
            at,
        }))
        .await?;
        self.status().await
    }

    /// Removes the override, with the operator's name and reason. The circuit continues in the
    /// state it had. Does nothing if there is no override.
    pub async fn release(&self, by: &str, why: &str) -> Result<Status, Error> {
        let (by, why) = (validate_explanation(by)?, validate_explanation(why)?);
        self.read().await?;
        self.update_circuit(CircuitInput::Release { by, why })
            .await?;
        self.status().await
    }

    /// Counts a call that failed or was slow, and the pending successes.
    async fn count(&self, generation: u64, mut counts: Counts) -> Result<(), Error> {
        let (now, config) = (self.now(), self.config());
        let slot = Slot::at(now, generation, config);
        {
            let mut local = self.local();
            if local.circuit.generation == generation && !local.in_cooldown(now) {
                counts.calls += local.pending.take(slot, config);
            }
        }
        let keep_until = later(now, 2 * config.window);
        let add = self
            .shared
            .store
            .add_counts(self.name(), slot, counts, keep_until);
        let bucket = self.call_store(add).await?;
        self.local().bucket = Some((slot, bucket));
        let counts = bucket + self.counts_before(slot).await?;
        self.update_circuit(CircuitInput::Counted { generation, counts })
            .await?;
        Ok(())
    }

    /// Returns the sum of the window's buckets before `slot`. It is cached for the rest of the
    /// bucket once no write to an earlier bucket can be in flight.
    async fn counts_before(&self, slot: Slot) -> Result<Counts, Error> {
        let config = self.config();
        let first = slot.window_start(config);
        if first == slot {
            return Ok(Counts::default());
        }
        if let Some(counts) = self.local().known_counts_before(slot) {
            return Ok(counts);
        }
        let requested_at = self.now();
        let sum = self.shared.store.sum_counts(self.name(), first, slot);
        let counts = self.call_store(sum).await?;
        if requested_at >= later(slot.begins_at(), config.store_timeout) {
            self.local().earlier = Some((slot, counts));
        }
        Ok(counts)
    }

    /// Applies an input to the circuit, and writes the circuit if it changes.
    async fn update_circuit(&self, input: CircuitInput) -> Result<Decision, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let (now, config) = (self.now(), self.config());
            let known = self.local().circuit.clone();
            let jitter = self.shared.env.jitter();
            let Step {
                circuit,
                decision,
                transition,
            } = known.step(input.clone(), now, jitter, config);
            if circuit.version == known.version {
                return Ok(decision);
            }
            let keep_until = later(now, config.keep_history);
            let entry = transition.as_ref().map(|it| (it, keep_until));
            let write =
                self.shared
                    .store
                    .write_circuit(self.name(), &circuit, known.version, entry);
            match self.call_store(write).await? {
                WriteOutcome::Conflict(current) => {
                    self.local().adopt(*current, known.version, now, config);
                }
                WriteOutcome::Written => {
                    self.local().adopt(circuit, known.version, now, config);
                    if let Some(transition) = transition {
                        self.notify(&BreakerEvent::Transition(transition));
                    }
                    return Ok(decision);
                }
            }
        }
        Err(Error::Contended)
    }

    /// Reads the circuit if the known one is no longer valid. Concurrent calls use the last known
    /// circuit; if there is none, they wait for the read.
    async fn refresh(&self) -> Result<(), Error> {
        let (needs_read, was_read) = {
            let local = self.local();
            (local.needs_read(self.now()), local.was_read())
        };
        if !needs_read {
            return Ok(());
        }
        let _reading = match self.shared.reading.try_lock() {
            Ok(reading) => reading,
            Err(_) if was_read => return Ok(()),
            Err(_) => self.shared.reading.lock().await,
        };
        if !self.local().needs_read(self.now()) {
            return Ok(());
        }
        self.read().await
    }

    async fn read(&self) -> Result<(), Error> {
        let known = self.local().circuit.version;
        let circuit = self
            .call_store(self.shared.store.read_circuit(self.name()))
            .await?;
        self.local()
            .adopt(circuit, known, self.now(), self.config());
        Ok(())
    }

    /// Calls the store with a timeout, and not during the cooldown after a failure.
    async fn call_store<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.local().in_cooldown(self.now()) {
            return Err(Error::InCooldown);
        }
        let config = self.config();
        let answer = timeout(config.store_timeout, call).await;
        let answer = answer.unwrap_or(Err(Error::TimedOut));
        if let Err(error) = &answer {
            let until = later(self.now(), config.refresh_every);
            self.local().start_cooldown(until);
            self.notify(&BreakerEvent::StoreUnreachable {
                error: describe_with_causes(error),
            });
        }
        answer
    }

    fn notify(&self, event: &BreakerEvent) {
        let listeners = self.shared.listeners.read();
        for listener in listeners.unwrap_or_else(PoisonError::into_inner).iter() {
            listener(event);
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.env.now()
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.shared
            .local
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> fmt::Debug for Permit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("breaker", &self.breaker)
            .field("kind", &self.kind)
            .finish()
    }
}

impl<S: Store> Permit<S> {
    /// Records that the service answered after `elapsed`. An answer that refuses the request, such
    /// as a 4xx status, is a success.
    pub async fn record_success(self, elapsed: Duration) {
        let breaker = &self.breaker;
        let slow = elapsed >= breaker.config().slow_call;
        match self.kind {
            PermitKind::Counted { generation } if !slow => {
                let (now, config) = (breaker.now(), breaker.config());
                let mut local = breaker.local();
                if local.circuit.generation == generation {
                    local.pending.add(Slot::at(now, generation, config), config);
                }
            }
            _ => self.report(!slow, false, slow).await,
        }
    }

    /// Records that the service failed after `elapsed`.
    pub async fn record_failure(self, elapsed: Duration) {
        let slow = elapsed >= self.breaker.config().slow_call;
        self.report(false, true, slow).await;
    }

    /// Reports the result to the store. If that fails, the call is not counted;
    /// [`Breaker::call_store`] has already notified the listeners.
    async fn report(self, passed: bool, failed: bool, slow: bool) {
        let breaker = &self.breaker;
        _ = match self.kind {
            PermitKind::Counted { generation } => {
                let counts = Counts {
                    calls: 1,
                    failures: failed.into(),
                    slow: slow.into(),
                    retries: 0,
                };
                breaker.count(generation, counts).await
            }
            PermitKind::Trial { holder } => {
                let result = trial_result(holder, passed);
                breaker.update_circuit(result).await.map(drop)
            }
            PermitKind::Uncounted => Ok(()),
        };
    }
}

fn trial_result(holder: String, passed: bool) -> CircuitInput {
    if passed {
        CircuitInput::Passed { holder }
    } else {
        CircuitInput::Failed { holder }
    }
}

fn new_holder() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn validate_explanation(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.len() > Error::MAX_TEXT {
        return Err(Error::InvalidExplanation);
    }
    Ok(text.to_owned())
}

fn describe_with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
