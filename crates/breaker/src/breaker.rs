//! The breaker: lets calls through or not, and tells the store what became of them.

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
    circuit::{Answer, Effects, Forced, Input, Override, State, Step, later},
    config::Config,
    counts::{Counts, Figures, Slot, retries_allowed},
    error::Error,
    history::Transition,
    local::{Glance, Local},
    store::{Spent, Store, Written},
};

/// How often a change is tried again when others are faster.
const MAX_TRIES: usize = 16;

/// How many transitions are read at most.
const MAX_HISTORY: usize = 1_000;

/// Where a breaker gets time and chance from.
pub struct Surroundings {
    /// The time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// A number from 0 to 1, another each time.
    pub chance: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            now: Box::new(Timestamp::now),
            chance: Box::new(rand::random),
        }
    }
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// This environment changed the circuit. Each transition is heard by one environment of the
    /// fleet.
    Transition(Transition),
    /// The store failed: for [`Config::refresh_every`] it is left alone, calls go through, and
    /// nothing is counted.
    StoreUnreachable {
        /// What went wrong, with its causes.
        error: String,
    },
}

type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// A circuit breaker that shares its circuit with all others of that name and store.
///
/// Cheap to clone; clones are one environment, and should be shared by all calls of a process.
pub struct Breaker<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    store: S,
    name: String,
    config: Config,
    surroundings: Surroundings,
    listeners: RwLock<Vec<Listener>>,
    local: Mutex<Local>,
    /// Held by the one call that reads the circuit.
    reading: tokio::sync::Mutex<()>,
}

/// Whether a call may be made.
#[derive(Debug)]
pub enum Admission<S: Store> {
    /// It may. Say how it went.
    Admitted(Permit<S>),
    /// It may not.
    Refused {
        /// When it is worth asking again.
        retry_at: Timestamp,
    },
}

/// The right to make one call. Dropped without a verdict, it counts nothing; a half-open call's place
/// is then free again after [`Config::lease_for`].
#[must_use = "say how the call went"]
pub struct Permit<S: Store> {
    breaker: Breaker<S>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Counted in the window.
    Counted { generation: u64 },
    /// A probe or a half-open call: its verdict moves the circuit.
    Trial { holder: String },
    /// Not counted, because the store cannot be reached or the breaker is disabled.
    Unguarded,
}

/// How a probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// There was nothing to probe, or not yet.
    NotDue {
        /// The circuit's state.
        state: State,
        /// When it is to be probed, if it is open.
        retry_at: Option<Timestamp>,
    },
    /// Another probe is under way.
    LeaseHeld,
    /// The service answered.
    Passed {
        /// The circuit's state afterwards.
        state: State,
        /// How long the answer took.
        elapsed: Duration,
    },
    /// The service did not answer, or was slow.
    Failed {
        /// When it is to be probed again.
        retry_at: Option<Timestamp>,
        /// How long that took.
        elapsed: Duration,
    },
}

/// How a circuit stands, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The circuit's name.
    pub name: String,
    /// Grows with every change.
    pub version: u64,
    /// Its state, beneath what is forced.
    pub state: State,
    /// What is forced, by whom and why.
    pub forced: Option<Override>,
    /// Since when it is in this state; unknown if it never changed.
    pub since: Option<Timestamp>,
    /// When it opened, if it has not closed since.
    pub opened_at: Option<Timestamp>,
    /// When it is to be probed, while it is open.
    pub retry_at: Option<Timestamp>,
    /// How often it has opened since it was last closed.
    pub consecutive_opens: u32,
    /// What the window holds.
    pub figures: Figures,
    /// How many retries the window may have, those it has had among them.
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
    /// The breaker of the circuit called `name`.
    pub fn new(store: S, name: impl Into<String>, config: Config) -> Self {
        Self::in_surroundings(store, name, config, Surroundings::default())
    }

    /// As [`Breaker::new`], with time and chance of one's own.
    pub fn in_surroundings(
        store: S,
        name: impl Into<String>,
        config: Config,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                name: name.into(),
                config: config.limited(),
                surroundings,
                listeners: RwLock::default(),
                local: Mutex::default(),
                reading: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Also tells `listener` what happens: on this breaker and all its clones, in the middle of a
    /// call, so it must be quick.
    #[must_use]
    pub fn with_listener(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        let mut listeners = self.shared.listeners.write();
        listeners
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut())
            .push(Box::new(listener));
        drop(listeners);
        self
    }

    /// The circuit's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The configuration, inside its limits.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Asks whether a call may be made. If the store cannot be reached, it may.
    pub async fn admit(&self) -> Admission<S> {
        let glance = self.local().glance(self.now(), self.config());
        match glance {
            Glance::Counted { generation } => self.admitted(Kind::Counted { generation }),
            Glance::Unguarded => self.admitted(Kind::Unguarded),
            Glance::Shut { retry_at } => Admission::Refused { retry_at },
            Glance::Unclear => match self.ask().await {
                Ok(admission) => admission,
                // So many others were faster that there is no place left.
                Err(Error::Contended) => Admission::Refused {
                    retry_at: later(self.now(), self.config().refresh_every),
                },
                Err(_) => self.admitted(Kind::Unguarded),
            },
        }
    }

    async fn ask(&self) -> Result<Admission<S>, Error> {
        self.look().await?;
        let holder = new_holder();
        let input = Input::AskPermit {
            holder: holder.clone(),
        };
        let kind = match self.change(input).await?.answer {
            Answer::Refused { retry_at } => return Ok(Admission::Refused { retry_at }),
            Answer::Granted => Kind::Trial { holder },
            _ => {
                let local = self.local();
                match local.circuit.forced() {
                    Some(Forced::Disabled) => Kind::Unguarded,
                    _ => Kind::Counted {
                        generation: local.circuit.generation,
                    },
                }
            }
        };
        Ok(self.admitted(kind))
    }

    fn admitted(&self, kind: Kind) -> Admission<S> {
        Admission::Admitted(Permit {
            breaker: self.clone(),
            kind,
        })
    }

    /// Spends a retry from the fleet's budget, if there is one left in the window:
    /// [`Config::retry_share`] of its calls, and [`Config::min_retries`] at least. If the store
    /// cannot be reached, there is.
    pub async fn may_retry(&self) -> bool {
        self.spend().await.unwrap_or(true)
    }

    async fn spend(&self) -> Result<bool, Error> {
        let (now, config) = (self.now(), self.config());
        let (slot, forced) = {
            let circuit = &self.local().circuit;
            (Slot::at(now, circuit.generation, config), circuit.forced())
        };
        if forced == Some(Forced::Disabled) {
            return Ok(true);
        }
        let earlier = self.earlier_than(slot).await?;
        let room = |bucket: Counts| {
            let calls = (earlier + bucket).calls;
            retries_allowed(calls, config).saturating_sub(earlier.retries)
        };
        let mut known = self.local().bucket_of(slot);
        for _ in 0..MAX_TRIES {
            let keep_until = later(now, 2 * config.window);
            let spend = self
                .shared
                .store
                .spend(self.name(), slot, room(known), keep_until);
            let (allowed, counts) = match self.reach(spend).await? {
                Spent::Allowed(counts) => (true, counts),
                Spent::Refused(counts) => (false, counts),
            };
            self.local().bucket = Some((slot, counts));
            // Others may have told of calls that make room for more.
            if allowed || counts.retries >= room(counts) {
                return Ok(allowed);
            }
            known = counts;
        }
        Ok(false)
    }

    /// Asks the service by `ask`, if the circuit is open and due, or half-open with no live call
    /// under way, and nobody else does: then moves the circuit by how it went. The caller judges what
    /// is a failure; an answer that is slow or does not come within [`Config::lease_for`] is one.
    pub async fn probe<E>(&self, ask: impl AsyncFnOnce() -> Result<(), E>) -> Result<Probe, Error> {
        self.look().await?;
        let holder = new_holder();
        let input = Input::AskLease {
            holder: holder.clone(),
        };
        match self.change(input).await?.answer {
            Answer::Granted => {}
            Answer::LeaseHeld => return Ok(Probe::LeaseHeld),
            _ => {
                let circuit = &self.local().circuit;
                return Ok(Probe::NotDue {
                    state: circuit.state,
                    retry_at: circuit.retry_at,
                });
            }
        }
        let begun = Instant::now();
        let answer = timeout(self.config().lease_for, ask()).await;
        let elapsed = begun.elapsed();
        let passed = matches!(answer, Ok(Ok(()))) && elapsed < self.config().slow_call;
        self.change(verdict(holder, passed)).await?;
        let circuit = &self.local().circuit;
        Ok(if passed {
            Probe::Passed {
                state: circuit.state,
                elapsed,
            }
        } else {
            Probe::Failed {
                retry_at: circuit.retry_at,
                elapsed,
            }
        })
    }

    /// How the circuit stands, as the store knows it.
    pub async fn status(&self) -> Result<Status, Error> {
        self.read().await?;
        let (circuit, config) = (self.local().circuit.clone(), self.config());
        let slot = Slot::at(self.now(), circuit.generation, config);
        let (first, end) = (slot.window_start(config), slot.next(config));
        let counts = self
            .reach(self.shared.store.sum(self.name(), first, end))
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

    /// The last transitions, newest first: at most `limit`, and at most 1,000.
    pub async fn history(&self, limit: usize) -> Result<Vec<Transition>, Error> {
        let limit = limit.clamp(1, MAX_HISTORY);
        self.reach(self.shared.store.history(self.name(), limit))
            .await
    }

    /// Forces the circuit, until it is released. Other environments see it within
    /// [`Config::refresh_every`]; those that know it to be open, once it is due.
    pub async fn force(&self, forced: Forced, by: &str, why: &str) -> Result<Status, Error> {
        let (by, why) = (explained(by)?, explained(why)?);
        self.read().await?;
        let at = self.now();
        self.change(Input::Force(Override {
            forced,
            by,
            why,
            at,
        }))
        .await?;
        self.status().await
    }

    /// Gives the circuit back to itself, in the state that is beneath what was forced. Nothing
    /// happens if nothing is forced.
    pub async fn release(&self, by: &str, why: &str) -> Result<Status, Error> {
        let (by, why) = (explained(by)?, explained(why)?);
        self.read().await?;
        self.change(Input::Release { by, why }).await?;
        self.status().await
    }

    /// Counts a call that failed or was slow, with the successes before it.
    async fn count(&self, generation: u64, mut counts: Counts) -> Result<(), Error> {
        let (now, config) = (self.now(), self.config());
        let slot = Slot::at(now, generation, config);
        {
            let mut local = self.local();
            if local.circuit.generation == generation && !local.leaves_store_alone(now) {
                counts.calls += local.untold.take(slot, config);
            }
        }
        let keep_until = later(now, 2 * config.window);
        let add = self.shared.store.add(self.name(), slot, counts, keep_until);
        let bucket = self.reach(add).await?;
        self.local().bucket = Some((slot, bucket));
        let counts = bucket + self.earlier_than(slot).await?;
        self.change(Input::Counted { generation, counts }).await?;
        Ok(())
    }

    /// The sum of the window's buckets before this one. It is asked for once a bucket, as soon as
    /// nobody can be adding to the one before any more.
    async fn earlier_than(&self, slot: Slot) -> Result<Counts, Error> {
        let config = self.config();
        let first = slot.window_start(config);
        if first == slot {
            return Ok(Counts::default());
        }
        if let Some(counts) = self.local().earlier_than(slot) {
            return Ok(counts);
        }
        let asked_at = self.now();
        let sum = self.shared.store.sum(self.name(), first, slot);
        let counts = self.reach(sum).await?;
        if asked_at >= later(slot.begins_at(), config.store_timeout) {
            self.local().earlier = Some((slot, counts));
        }
        Ok(counts)
    }

    /// Tells the circuit something or asks it something; writes it if it changes by that.
    async fn change(&self, input: Input) -> Result<Effects, Error> {
        for _ in 0..MAX_TRIES {
            let (now, config) = (self.now(), self.config());
            let known = self.local().circuit.clone();
            let chance = (self.shared.surroundings.chance)();
            let Step { circuit, effects } = known.step(input.clone(), now, chance, config);
            if circuit.version == known.version {
                return Ok(effects);
            }
            let keep_until = later(now, config.keep_history);
            let transition = effects.transition.as_ref().map(|it| (it, keep_until));
            let write = self
                .shared
                .store
                .write(self.name(), &circuit, known.version, transition);
            match self.reach(write).await? {
                Written::Overtaken(current) => {
                    self.local().adopt(*current, known.version, now, config);
                }
                Written::Done => {
                    self.local().adopt(circuit, known.version, now, config);
                    if let Some(transition) = &effects.transition {
                        self.tell(&Event::Transition(transition.clone()));
                    }
                    return Ok(effects);
                }
            }
        }
        Err(Error::Contended)
    }

    /// Reads the circuit, if it is time to. Meanwhile other calls go by what was known before; if
    /// nothing was, they wait.
    async fn look(&self) -> Result<(), Error> {
        let (due, was_read) = {
            let local = self.local();
            (local.is_due(self.now()), local.was_read())
        };
        if !due {
            return Ok(());
        }
        let _reading = match self.shared.reading.try_lock() {
            Ok(reading) => reading,
            Err(_) if was_read => return Ok(()),
            Err(_) => self.shared.reading.lock().await,
        };
        if !self.local().is_due(self.now()) {
            return Ok(());
        }
        self.read().await
    }

    async fn read(&self) -> Result<(), Error> {
        let seen = self.local().circuit.version;
        let circuit = self.reach(self.shared.store.read(self.name())).await?;
        self.local().adopt(circuit, seen, self.now(), self.config());
        Ok(())
    }

    /// Waits for the store, but not for long, and not again soon after it failed.
    async fn reach<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.local().leaves_store_alone(self.now()) {
            return Err(Error::LeftAlone);
        }
        let config = self.config();
        let answer = timeout(config.store_timeout, call).await;
        let answer = answer.unwrap_or(Err(Error::TimedOut));
        if let Err(error) = &answer {
            let until = later(self.now(), config.refresh_every);
            self.local().leave_store_alone(until);
            self.tell(&Event::StoreUnreachable {
                error: with_causes(error),
            });
        }
        answer
    }

    fn tell(&self, event: &Event) {
        let listeners = self.shared.listeners.read();
        for listener in listeners.unwrap_or_else(PoisonError::into_inner).iter() {
            listener(event);
        }
    }

    fn now(&self) -> Timestamp {
        (self.shared.surroundings.now)()
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
    /// The service answered after `elapsed`; a refusal is an answer too.
    pub async fn succeeded(self, elapsed: Duration) {
        let breaker = &self.breaker;
        let slow = elapsed >= breaker.config().slow_call;
        match self.kind {
            Kind::Counted { generation } if !slow => {
                let (now, config) = (breaker.now(), breaker.config());
                let mut local = breaker.local();
                if local.circuit.generation == generation {
                    local.untold.add(Slot::at(now, generation, config), config);
                }
            }
            _ => self.tell(!slow, false, slow).await,
        }
    }

    /// The service failed after `elapsed`.
    pub async fn failed(self, elapsed: Duration) {
        let slow = elapsed >= self.breaker.config().slow_call;
        self.tell(false, true, slow).await;
    }

    /// Tells the store. If that fails, the listener has heard it, and the call is not counted.
    async fn tell(self, passed: bool, failed: bool, slow: bool) {
        let breaker = &self.breaker;
        _ = match self.kind {
            Kind::Counted { generation } => {
                let counts = Counts {
                    calls: 1,
                    failures: failed.into(),
                    slow: slow.into(),
                    retries: 0,
                };
                breaker.count(generation, counts).await
            }
            Kind::Trial { holder } => breaker.change(verdict(holder, passed)).await.map(drop),
            Kind::Unguarded => Ok(()),
        };
    }
}

fn verdict(holder: String, passed: bool) -> Input {
    if passed {
        Input::Passed { holder }
    } else {
        Input::Failed { holder }
    }
}

fn new_holder() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn explained(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.len() > Error::MAX_TEXT {
        return Err(Error::Unexplained);
    }
    Ok(text.to_owned())
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
