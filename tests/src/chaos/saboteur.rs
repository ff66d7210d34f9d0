//! Carries the schedule out: orders faults, ends programs, and counts both.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use orders::Provider;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    checker::Strike,
    schedule::{Step, Trouble},
    victim::Victim,
};
use crate::{Answer, Stack};

/// How long to try to reach a simulator that has just been started again.
const REACHED_WITHIN: Duration = Duration::from_secs(20);

/// How long the emulator may take until it answers again.
const STARTED_WITHIN: Duration = Duration::from_mins(3);

const PAUSE: Duration = Duration::from_millis(100);

/// How late a webhook may be, and how long after its purchase a parcel arrives.
const WEBHOOK_DELAY_MS: u64 = 3_000;
const DELIVERED_AFTER_MS: u64 = 4_000;

/// By how much the providers' clocks are off, in milliseconds: less than the stack takes until it compares
/// their records, as scaled as the rest.
const AHEAD_MS: std::ops::Range<i64> = -15_000..15_000;

/// How long the payment service keeps an idempotency key: a little longer than the stack relies on it and
/// may still repeat a call.
const KEYS_KEPT_MS: u64 = 75_000;

/// Which share of the webhooks comes twice.
const DUPLICATES: f64 = 0.2;

/// Both providers.
const PROVIDERS: [Provider; 2] = [Provider::Payments, Provider::Shipping];

/// Makes trouble, and knows how much.
pub(super) struct Saboteur {
    stack: Arc<Stack>,
    chances: ChaCha8Rng,
    /// How many calls at once are reserved for a provider's worker, as deployed.
    reserved: Option<u64>,
    ends_of_throttles: Vec<JoinHandle<bool>>,
    made: Made,
}

/// How much trouble was made.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// Calls that a fault struck.
    pub(super) strikes: Vec<Strike>,
    /// By how much each provider's clock was ahead, in milliseconds.
    ahead_ms: BTreeMap<String, i64>,
    /// Programs that were ended.
    pub(super) ended: BTreeMap<Victim, usize>,
    /// How often a worker was throttled.
    throttled: usize,
    /// Programs that were to be ended, and did not run at that moment.
    pub(super) missed: usize,
}

impl Saboteur {
    /// Two providers that work, and no trouble made so far, but for webhooks that come late, twice and
    /// in any order, clocks that are off, and keys that are soon forgotten.
    pub(super) async fn new(stack: Arc<Stack>, seed: u64, chances: ChaCha8Rng) -> Self {
        let mut saboteur = Self {
            reserved: stack.reserved_concurrency("payments").await,
            stack,
            chances,
            ends_of_throttles: Vec::new(),
            made: Made::default(),
        };
        for provider in PROVIDERS {
            saboteur.ends_faults(provider).await;
            saboteur.forgets_strikes(provider).await;
            saboteur.has_webhooks(provider, seed).await;
            let ahead_ms = saboteur.chances.random_range(AHEAD_MS);
            let clock = json!({ "ahead_ms": ahead_ms });
            saboteur.sets(provider, "/_clock", &clock).await;
            saboteur
                .made
                .ahead_ms
                .insert(provider.to_string(), ahead_ms);
        }
        let keys = json!({ "kept_ms": KEYS_KEPT_MS });
        saboteur.sets(Provider::Payments, "/_keys", &keys).await;
        saboteur
    }

    /// Makes all of the trouble, each at its time.
    pub(super) async fn carries_out(&mut self, steps: &[Step]) {
        let begun = Instant::now();
        for step in steps {
            sleep_until(begun + step.at).await;
            match &step.trouble {
                Trouble::Fault(provider, plan) => self.sets(*provider, "/_faults", plan).await,
                Trouble::End(victim) => self.ends(*victim).await,
                Trouble::Throttle(provider, calls) => self.throttles(*provider, *calls).await,
            }
        }
    }

    /// Lets both providers work again, and tells how much trouble there was.
    pub(super) async fn leaves(mut self) -> Made {
        for provider in PROVIDERS {
            self.counts(provider).await;
        }
        for end in self.ends_of_throttles {
            let ended = end.await.unwrap_or_default();
            assert!(ended, "a worker should be throttled no more");
        }
        self.made
    }

    async fn has_webhooks(&self, provider: Provider, seed: u64) {
        let mut settings = json!({
            "url": format!("{}/v1/webhooks/{provider}", self.stack.api),
            "seed": seed,
            "duplicate": DUPLICATES,
            "delay_ms": WEBHOOK_DELAY_MS,
            "shuffle": true,
        });
        match provider {
            Provider::Payments => {
                settings["secret"] = self.stack.payments_webhook_secret.as_str().into();
            }
            Provider::Shipping => settings["deliver_after_ms"] = DELIVERED_AFTER_MS.into(),
        }
        self.sets(provider, "/_webhooks", &settings).await;
    }

    async fn sets(&self, provider: Provider, path: &str, setting: &Value) {
        let url = self.address(provider, path);
        self.reaches(|| self.stack.http.put(&url).json(setting))
            .await;
    }

    /// Has Lambda run so many calls of the provider's worker at once. The end of that waits for an emulator
    /// that is being started, and nothing else waits for it.
    async fn throttles(&mut self, provider: Provider, calls: Option<u64>) {
        let stack = self.stack.clone();
        if let Some(calls) = calls {
            let throttled = reserves(stack, provider, Some(calls), PAUSE).await;
            self.made.throttled += usize::from(throttled);
        } else {
            let ends = reserves(stack, provider, self.reserved, STARTED_WITHIN);
            self.ends_of_throttles.push(tokio::spawn(ends));
        }
    }

    async fn ends(&mut self, victim: Victim) {
        // A simulator's faults and their count die with it.
        match victim {
            Victim::PaymentsSimulator => self.counts(Provider::Payments).await,
            Victim::ShippingSimulator => self.counts(Provider::Shipping).await,
            _ => {}
        }
        if victim.end(&mut self.chances) {
            *self.made.ended.entry(victim).or_default() += 1;
        } else {
            self.made.missed += 1;
        }
    }

    /// Ends a provider's faults and counts what they struck, so that no call is struck uncounted.
    async fn counts(&mut self, provider: Provider) {
        self.ends_faults(provider).await;
        let url = self.address(provider, "/_faults/struck");
        let struck = || self.stack.http.get(&url);
        if let Some(answer) = self.reaches(struck).await {
            self.made.strikes.extend(answer.json::<Vec<Strike>>());
            self.forgets_strikes(provider).await;
        }
    }

    async fn forgets_strikes(&self, provider: Provider) {
        let url = self.address(provider, "/_faults/struck");
        self.reaches(|| self.stack.http.delete(&url)).await;
    }

    async fn ends_faults(&self, provider: Provider) {
        let url = self.address(provider, "/_faults");
        self.reaches(|| self.stack.http.delete(&url)).await;
    }

    /// Asks a simulator that may be being started until it answers.
    async fn reaches(&self, request: impl Fn() -> RequestBuilder) -> Option<Answer> {
        let deadline = Instant::now() + REACHED_WITHIN;
        while Instant::now() < deadline {
            match Answer::try_of(request()).await {
                Ok(answer) if answer.status < 300 => return Some(answer),
                Ok(answer) => panic!("a simulator said {} {}", answer.status, answer.body),
                Err(_) => sleep(PAUSE).await,
            }
        }
        None
    }

    fn address(&self, provider: Provider, path: &str) -> String {
        format!("{}{path}", self.stack.provider(provider).url)
    }
}

/// Has Lambda run so many calls of the provider's worker at once; answers whether it took that in time.
async fn reserves(
    stack: Arc<Stack>,
    provider: Provider,
    calls: Option<u64>,
    within: Duration,
) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        let request = stack.reserve_concurrency(&provider.to_string(), calls);
        match Answer::try_of(request.timeout(REACHED_WITHIN)).await {
            Ok(answer) if answer.status < 300 => return true,
            _ => sleep(PAUSE).await,
        }
    }
    false
}

impl Made {
    /// How many calls a fault struck, by provider and mode.
    fn struck(&self) -> BTreeMap<(String, &str), u64> {
        let mut struck = BTreeMap::new();
        for strike in &self.strikes {
            let kind = (strike.provider.to_string(), strike.mode.as_str());
            *struck.entry(kind).or_default() += strike.calls;
        }
        struck
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let struck = self.struck();
        let calls: u64 = struck.values().sum();
        for (provider, ahead_ms) in &self.ahead_ms {
            writeln!(f, "the clock of {provider} was {ahead_ms} ms ahead")?;
        }
        writeln!(f, "calls that a fault struck: {calls}")?;
        for ((provider, mode), calls) in struck {
            writeln!(f, "  {calls:>6}  {provider} {mode}")?;
        }
        let ended: usize = self.ended.values().sum();
        writeln!(f, "programs ended: {ended}")?;
        for (victim, times) in &self.ended {
            writeln!(f, "  {times:>6}  {victim}")?;
        }
        writeln!(f, "  {:>6}  did not run at that moment", self.missed)?;
        writeln!(f, "workers throttled: {}", self.throttled)
    }
}
