//! Webhooks: signed events of each change, sent to the listener until it accepts them. An event is
//! stored in the transaction of its change, so a kill loses none. Events can be duplicated, delayed
//! and reordered, as those of the real providers are.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::State as Extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::{Client, Url, header, redirect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    serve::{IDLE, Shared, SimulatorError},
    storage::{AgendaItem, Read, Snapshot, State, Storage, now_ms},
};

/// The document with the settings.
const SETTINGS: &str = "webhooks";
/// The document with the [`Sequence`] of events.
const SEQUENCE: &str = "webhooks_course";
/// The agenda of the deliveries.
const DELIVERIES: &str = "webhooks";

/// How often an event is sent before it is given up.
const MAX_ATTEMPTS: u32 = 15;
/// The backoff after the first failure. It doubles with each failure, up to the maximum.
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// How long the listener has to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How many deliveries are sent at the same time.
const MAX_IN_FLIGHT: usize = 16;
/// How many due deliveries are read to find those that can be sent.
const LOOK_AHEAD: usize = 64;
/// The longest extra delay of an event when events are shuffled.
const SHUFFLE_MS: u64 = 250;

/// Returns the signature headers of a body, from the state and the shared secret.
pub(crate) type Sign = fn(&Storage, &str, &str) -> anyhow::Result<Vec<(&'static str, String)>>;

/// Where events are sent, and how unreliably.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    url: String,
    /// The signing secret, if the provider signs with one.
    #[serde(default)]
    secret: String,
    #[serde(default)]
    seed: u64,
    /// The share of events that is sent twice, from 0 to 1.
    #[serde(default)]
    duplicate: f64,
    /// The longest delay of an event.
    #[serde(default)]
    delay_ms: u64,
    /// Whether events that are close in time are reordered.
    #[serde(default)]
    shuffle: bool,
    /// When the carrier delivers a parcel automatically, after its label was bought. Never, if
    /// missing.
    pub(crate) deliver_after_ms: Option<u64>,
}

/// Why settings are refused.
#[derive(Debug, Error)]
enum SettingsError {
    #[error("`url` must be an http or https URL")]
    Url,
    #[error("`duplicate` must be between 0 and 1")]
    Duplicate,
    #[error("`secret` is missing: this provider signs with one")]
    Secret,
}

impl Settings {
    fn check(&self, shares_secret: bool) -> Result<(), SettingsError> {
        let url = Url::parse(&self.url).map_err(|_| SettingsError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SettingsError::Url);
        }
        if !(0.0..=1.0).contains(&self.duplicate) {
            return Err(SettingsError::Duplicate);
        }
        if shares_secret && self.secret.is_empty() {
            return Err(SettingsError::Secret);
        }
        Ok(())
    }

    /// The current settings, if webhooks are sent.
    pub(crate) fn find(state: &impl Read) -> anyhow::Result<Option<Self>> {
        Ok(state.get::<Option<Self>>(SETTINGS)?.flatten())
    }
}

/// The events so far.
#[derive(Default, Serialize, Deserialize)]
struct Sequence {
    /// Their number.
    events: u64,
    /// When the latest event is due. Unless events are shuffled, no later event is due before it.
    latest_ms: i64,
}

/// An event to be delivered.
#[derive(Clone, Serialize, Deserialize)]
struct Delivery {
    /// The id of the event's payment or label. Unless events are shuffled, events of the same
    /// subject are sent one after the other.
    subject: String,
    body: String,
    attempts: u32,
}

/// The numbers of deliveries since the program started.
#[derive(Default)]
pub(crate) struct Tallies {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Schedules the delivery of `event`, if webhooks are sent. `subject`: see [`Delivery`].
pub(crate) fn enqueue(state: &mut State<'_>, subject: &str, event: &Value) -> anyhow::Result<()> {
    let Some(settings) = Settings::find(state)? else {
        return Ok(());
    };
    let mut sequence: Sequence = state.get(SEQUENCE)?.unwrap_or_default();
    sequence.events += 1;
    // Each event has its own random stream, so a restart does not change what is drawn.
    let mut chance = ChaCha8Rng::seed_from_u64(settings.seed);
    chance.set_stream(sequence.events);
    let copies = 1 + u32::from(chance.random_bool(settings.duplicate));
    for _ in 0..copies {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let delay_ms = i64::try_from(chance.random_range(0..=settings.delay_ms))?;
        let due_ms = if settings.shuffle {
            now_ms + delay_ms + i64::try_from(chance.random_range(0..=SHUFFLE_MS))?
        } else {
            (now_ms + delay_ms).max(sequence.latest_ms)
        };
        sequence.latest_ms = sequence.latest_ms.max(due_ms);
        let after = Duration::from_millis(u64::try_from(due_ms - now_ms)?);
        let delivery = Delivery {
            subject: subject.to_owned(),
            body: event.to_string(),
            attempts: 0,
        };
        state.schedule(DELIVERIES, after, &delivery)?;
    }
    state.put(SEQUENCE, &sequence)
}

pub(crate) async fn show(Extract(shared): Extract<Shared>) -> Result<Json<Value>, SimulatorError> {
    let snapshot = shared.storage.snapshot()?;
    let mut shown = json!(Settings::find(&snapshot)?);
    // The secret is not shown.
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("secret");
    } else {
        shown = json!({});
    }
    shown["sent"] = shared.tallies.sent.load(Ordering::Relaxed).into();
    shown["failed"] = shared.tallies.failed.load(Ordering::Relaxed).into();
    shown["waiting"] = snapshot.count_scheduled(DELIVERIES)?.into();
    Ok(Json(shown))
}

pub(crate) async fn start(
    Extract(shared): Extract<Shared>,
    Json(settings): Json<Settings>,
) -> Result<Response, SimulatorError> {
    if let Err(refusal) = settings.check(shared.service.shares_secret) {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string()).into_response());
    }
    tracing::info!(url = settings.url, "webhooks.started");
    let started = shared.storage.transact(|state| {
        state.put(SEQUENCE, &Sequence::default())?;
        state.put(SETTINGS, &Some(settings))
    });
    started.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn stop(Extract(shared): Extract<Shared>) -> Result<StatusCode, SimulatorError> {
    let stopped = shared.storage.transact(|state| {
        state.clear_agenda(DELIVERIES)?;
        state.put(SETTINGS, &None::<Settings>)
    });
    stopped.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends due deliveries, and retries those that the listener does not accept.
pub(crate) async fn deliver(shared: &Shared) -> anyhow::Result<()> {
    let client = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .build()?;
    let mut changes = shared.storage.changes();
    let mut dispatcher = Dispatcher {
        shared: shared.clone(),
        client,
        attempts: JoinSet::new(),
        locked: HashSet::new(),
    };
    loop {
        let (snapshot, now) = (shared.storage.snapshot()?, now_ms());
        if let Some(settings) = Settings::find(&snapshot)? {
            dispatcher.send_due(&snapshot, now, &settings)?;
        }
        let until_due = snapshot.until_due(DELIVERIES, now)?;
        tokio::select! {
            Some(finished) = dispatcher.attempts.join_next() => {
                dispatcher.record(finished?).await?;
            }
            _ = changes.changed() => {}
            () = sleep(until_due.unwrap_or(IDLE)) => {}
        }
    }
}

/// Sends deliveries to the listener.
struct Dispatcher {
    shared: Shared,
    client: Client,
    attempts: JoinSet<Attempt>,
    /// The names of the deliveries in flight and, unless events are shuffled, their subjects.
    locked: HashSet<Arc<str>>,
}

/// A delivery that was tried.
struct Attempt {
    due: AgendaItem<Delivery>,
    is_accepted: bool,
    /// What it had locked.
    locks: Vec<Arc<str>>,
}

impl Dispatcher {
    fn send_due(
        &mut self,
        snapshot: &Snapshot,
        now: u64,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        if self.attempts.len() >= MAX_IN_FLIGHT {
            return Ok(());
        }
        for due in snapshot.due::<Delivery>(DELIVERIES, now, LOOK_AHEAD)? {
            if self.attempts.len() >= MAX_IN_FLIGHT {
                break;
            }
            let mut locks: Vec<Arc<str>> = vec![due.name.as_str().into()];
            if !settings.shuffle {
                locks.push(due.item.subject.as_str().into());
            }
            if locks.iter().any(|it| self.locked.contains(it)) {
                continue;
            }
            let body = due.item.body.clone();
            let mut request = self
                .client
                .post(&settings.url)
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
            let sign = self.shared.service.sign;
            for (name, value) in sign(&self.shared.storage, &settings.secret, &body)? {
                request = request.header(name, value);
            }
            self.locked.extend(locks.iter().cloned());
            self.attempts.spawn(async move {
                let answer = request.body(body).send().await;
                let is_accepted = answer.is_ok_and(|answer| answer.status().is_success());
                Attempt {
                    due,
                    is_accepted,
                    locks,
                }
            });
        }
        Ok(())
    }

    /// Records an attempt, and all others that have finished by now, in one transaction.
    async fn record(&mut self, attempt: Attempt) -> anyhow::Result<()> {
        let mut finished = vec![attempt];
        while let Some(another) = self.attempts.try_join_next() {
            finished.push(another?);
        }
        for attempt in &finished {
            for it in &attempt.locks {
                self.locked.remove(it);
            }
            let Tallies { sent, failed } = &*self.shared.tallies;
            let tally = if attempt.is_accepted { sent } else { failed };
            tally.fetch_add(1, Ordering::Relaxed);
        }
        let recorded = self
            .shared
            .storage
            .transact(|state| finished.into_iter().try_for_each(|it| it.record(state)));
        recorded.await
    }
}

impl Attempt {
    fn record(self, state: &mut State<'_>) -> anyhow::Result<()> {
        let Self {
            due, is_accepted, ..
        } = self;
        // The webhooks may have been stopped meanwhile.
        if !state.unschedule(DELIVERIES, &due)? || is_accepted {
            return Ok(());
        }
        let attempts = due.item.attempts + 1;
        if attempts == MAX_ATTEMPTS {
            tracing::error!(subject = due.item.subject, attempts, "webhook.given_up");
            return Ok(());
        }
        let backoff = MIN_BACKOFF.saturating_mul(1 << (attempts - 1));
        let retry = Delivery {
            attempts,
            ..due.item
        };
        state.schedule(DELIVERIES, backoff.min(MAX_BACKOFF), &retry)
    }
}
