//! Webhooks: what a provider tells its listener of each change, signed, until it is heard. The events
//! are kept with the change they tell of, so that a kill loses none; some come twice, late and out of
//! order, as they do from the providers.

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
    serve::{Broken, IDLE, Shared},
    storage::{Due, Read, Snapshot, State, Storage, now_ms},
};

/// The document that says where events go.
const SETTINGS: &str = "webhooks";
/// The document that says how far the drawing of lots has come.
const COURSE: &str = "webhooks_course";
/// The agenda of the events that are to be delivered.
const DELIVERIES: &str = "webhooks";

/// How often one event is sent before it is given up.
const MAX_ATTEMPTS: u32 = 15;
/// The pause after the first failure; each is twice as long as the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long the listener has for its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many events are on their way at once.
const AT_ONCE: usize = 16;
/// How many deliveries are looked at for that.
const LOOK_AHEAD: usize = 64;
/// How far apart events may be that change places.
const SHUFFLE_MS: u64 = 250;

/// The headers that sign a body, by the state and the shared secret.
pub(crate) type Sign = fn(&Storage, &str, &str) -> anyhow::Result<Vec<(&'static str, String)>>;

/// Where events go, and how badly.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    url: String,
    /// What events are signed with, if the provider signs with a secret.
    #[serde(default)]
    secret: String,
    #[serde(default)]
    seed: u64,
    /// Which share comes twice.
    #[serde(default)]
    duplicate: f64,
    /// The most that an event is late.
    #[serde(default)]
    delay_ms: u64,
    /// Whether events that are near each other change places.
    #[serde(default)]
    shuffle: bool,
    /// How long after it was bought a label is delivered by itself, if ever.
    pub(crate) deliver_after_ms: Option<u64>,
}

/// Why events cannot go there.
#[derive(Debug, Error)]
enum SettingsError {
    #[error("`url` is no address by http or https")]
    Url,
    #[error("`duplicate` lies between 0 and 1")]
    Share,
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
            return Err(SettingsError::Share);
        }
        if shares_secret && self.secret.is_empty() {
            return Err(SettingsError::Secret);
        }
        Ok(())
    }

    /// Where events go now, if anywhere.
    pub(crate) fn find(state: &impl Read) -> anyhow::Result<Option<Self>> {
        Ok(state.get::<Option<Self>>(SETTINGS)?.flatten())
    }
}

/// How far the drawing of lots has come.
#[derive(Default, Serialize, Deserialize)]
struct Course {
    events: u64,
    /// When the latest event is due: none that follows goes before it, unless they are shuffled.
    latest_ms: i64,
}

/// An event on its way.
#[derive(Clone, Serialize, Deserialize)]
struct Delivery {
    /// What the event is about: such events wait for each other, unless they are shuffled.
    subject: String,
    body: String,
    attempts: u32,
}

/// What became of the deliveries since the program began.
#[derive(Default)]
pub(crate) struct Tallies {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Has `event` delivered, if anybody listens. `subject` names what the event is about.
pub(crate) fn announce(state: &mut State<'_>, subject: &str, event: &Value) -> anyhow::Result<()> {
    let Some(settings) = Settings::find(state)? else {
        return Ok(());
    };
    let mut course: Course = state.get(COURSE)?.unwrap_or_default();
    course.events += 1;
    // Each event has lots of its own, so that a restart does not change what is drawn.
    let mut chance = ChaCha8Rng::seed_from_u64(settings.seed);
    chance.set_stream(course.events);
    let copies = 1 + u32::from(chance.random_bool(settings.duplicate));
    for _ in 0..copies {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let delay_ms = i64::try_from(chance.random_range(0..=settings.delay_ms))?;
        let due_ms = if settings.shuffle {
            now_ms + delay_ms + i64::try_from(chance.random_range(0..=SHUFFLE_MS))?
        } else {
            (now_ms + delay_ms).max(course.latest_ms)
        };
        course.latest_ms = course.latest_ms.max(due_ms);
        let after = Duration::from_millis(u64::try_from(due_ms - now_ms)?);
        let delivery = Delivery {
            subject: subject.to_owned(),
            body: event.to_string(),
            attempts: 0,
        };
        state.schedule(DELIVERIES, after, &delivery)?;
    }
    state.put(COURSE, &course)
}

pub(crate) async fn show(Extract(shared): Extract<Shared>) -> Result<Json<Value>, Broken> {
    let snapshot = shared.storage.snapshot()?;
    let mut shown = json!(Settings::find(&snapshot)?);
    // A secret stays one.
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("secret");
    } else {
        shown = json!({});
    }
    shown["sent"] = shared.tallies.sent.load(Ordering::Relaxed).into();
    shown["failed"] = shared.tallies.failed.load(Ordering::Relaxed).into();
    shown["waiting"] = snapshot.scheduled(DELIVERIES)?.into();
    Ok(Json(shown))
}

pub(crate) async fn begin(
    Extract(shared): Extract<Shared>,
    Json(settings): Json<Settings>,
) -> Result<Response, Broken> {
    if let Err(refusal) = settings.check(shared.service.shares_secret) {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string()).into_response());
    }
    tracing::info!(url = settings.url, "webhooks.begun");
    let begun = shared.storage.transact(|state| {
        state.put(COURSE, &Course::default())?;
        state.put(SETTINGS, &Some(settings))
    });
    begun.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn end(Extract(shared): Extract<Shared>) -> Result<StatusCode, Broken> {
    let ended = shared.storage.transact(|state| {
        state.clear_agenda(DELIVERIES)?;
        state.put(SETTINGS, &None::<Settings>)
    });
    ended.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delivers what is due, again and again until it is heard.
pub(crate) async fn deliver(shared: &Shared) -> anyhow::Result<()> {
    let client = Client::builder()
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .build()?;
    let mut changes = shared.storage.changes();
    let mut courier = Courier {
        shared: shared.clone(),
        client,
        on_their_way: JoinSet::new(),
        taken: HashSet::new(),
    };
    loop {
        let (snapshot, now) = (shared.storage.snapshot()?, now_ms());
        if let Some(settings) = Settings::find(&snapshot)? {
            courier.send_out(&snapshot, now, &settings)?;
        }
        let until_due = snapshot.until_due(DELIVERIES, now)?;
        tokio::select! {
            Some(back) = courier.on_their_way.join_next() => courier.settle(back?).await?,
            _ = changes.changed() => {}
            () = sleep(until_due.unwrap_or(IDLE)) => {}
        }
    }
}

/// Who takes events to the listener.
struct Courier {
    shared: Shared,
    client: Client,
    on_their_way: JoinSet<Attempt>,
    /// The deliveries and, unless events are shuffled, the subjects that are on their way.
    taken: HashSet<Arc<str>>,
}

/// A delivery that was tried.
struct Attempt {
    due: Due<Delivery>,
    heard: bool,
    taken: Vec<Arc<str>>,
}

impl Courier {
    fn send_out(
        &mut self,
        snapshot: &Snapshot,
        now: u64,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        if self.on_their_way.len() >= AT_ONCE {
            return Ok(());
        }
        for due in snapshot.due::<Delivery>(DELIVERIES, now, LOOK_AHEAD)? {
            if self.on_their_way.len() >= AT_ONCE {
                break;
            }
            let mut taken: Vec<Arc<str>> = vec![due.name.as_str().into()];
            if !settings.shuffle {
                taken.push(due.item.subject.as_str().into());
            }
            if taken.iter().any(|it| self.taken.contains(it)) {
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
            self.taken.extend(taken.iter().cloned());
            self.on_their_way.spawn(async move {
                let answer = request.body(body).send().await;
                let heard = answer.is_ok_and(|answer| answer.status().is_success());
                Attempt { due, heard, taken }
            });
        }
        Ok(())
    }

    /// Keeps what became of one attempt, and of all others that are back by now.
    async fn settle(&mut self, attempt: Attempt) -> anyhow::Result<()> {
        let mut back = vec![attempt];
        while let Some(another) = self.on_their_way.try_join_next() {
            back.push(another?);
        }
        for attempt in &back {
            for it in &attempt.taken {
                self.taken.remove(it);
            }
            let Tallies { sent, failed } = &*self.shared.tallies;
            let tally = if attempt.heard { sent } else { failed };
            tally.fetch_add(1, Ordering::Relaxed);
        }
        let settled = self
            .shared
            .storage
            .transact(|state| back.into_iter().try_for_each(|it| it.settle(state)));
        settled.await
    }
}

impl Attempt {
    fn settle(self, state: &mut State<'_>) -> anyhow::Result<()> {
        let Self { due, heard, .. } = self;
        // The webhooks may have been ended meanwhile.
        if !state.unschedule(DELIVERIES, &due)? || heard {
            return Ok(());
        }
        let attempts = due.item.attempts + 1;
        if attempts == MAX_ATTEMPTS {
            tracing::error!(subject = due.item.subject, attempts, "webhook.given_up");
            return Ok(());
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (attempts - 1));
        let again = Delivery {
            attempts,
            ..due.item
        };
        state.schedule(DELIVERIES, pause.min(LONGEST_PAUSE), &again)
    }
}
