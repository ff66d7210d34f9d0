//! Carries out the schedule: injects faults, ends programs, and counts both.

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
    schedule::{Failure, Step},
    victim::Victim,
};
use crate::{Response, Stack};

/// How long to wait for a simulator that is being restarted.
const REACHED_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait for the emulator that is being restarted.
const STARTED_WITHIN: Duration = Duration::from_mins(3);

const PAUSE: Duration = Duration::from_millis(100);

/// The longest delay of a webhook, and the time from the purchase of a label to the delivery.
const WEBHOOK_DELAY_MS: u64 = 3_000;
const DELIVERED_AFTER_MS: u64 = 4_000;

/// The error of the providers' clocks, in milliseconds. It is shorter than the time after which the
/// stack compares their records; both are scaled down like all periods of the stack.
const AHEAD_MS: std::ops::Range<i64> = -15_000..15_000;

/// How long the payment service keeps an idempotency key: a little longer than the stack may repeat
/// a call with it.
const KEYS_KEPT_MS: u64 = 75_000;

/// The share of webhooks that are sent twice.
const DUPLICATES: f64 = 0.2;

const PROVIDERS: [Provider; 2] = [Provider::Payments, Provider::Shipping];

/// Injects failures and counts them.
pub(super) struct Saboteur {
    stack: Arc<Stack>,
    rng: ChaCha8Rng,
    /// The reserved concurrency of a provider's worker, as deployed.
    reserved: Option<u64>,
    ends_of_throttles: Vec<JoinHandle<bool>>,
    counts: FailureCounts,
}

/// How many failures were injected.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureCounts {
    /// Calls that a fault struck.
    pub(super) strikes: Vec<Strike>,
    /// How far each provider's clock was ahead, in milliseconds.
    ahead_ms: BTreeMap<String, i64>,
    /// The programs that were ended.
    pub(super) ended: BTreeMap<Victim, usize>,
    /// How often a worker was throttled.
    throttled: usize,
    /// How often a program that was to be ended did not run.
    pub(super) missed: usize,
}

impl Saboteur {
    /// Prepares both providers. They work, but their webhooks are delayed, duplicated and out of
    /// order, their clocks are wrong, and the payment service soon forgets idempotency keys.
    pub(super) async fn new(stack: Arc<Stack>, seed: u64, rng: ChaCha8Rng) -> Self {
        let mut saboteur = Self {
            reserved: stack.reserved_concurrency("payments").await,
            stack,
            rng,
            ends_of_throttles: Vec::new(),
            counts: FailureCounts::default(),
        };
        for provider in PROVIDERS {
            saboteur.end_faults(provider).await;
            saboteur.reset_strikes(provider).await;
            saboteur.configure_webhooks(provider, seed).await;
            let ahead_ms = saboteur.rng.random_range(AHEAD_MS);
            let clock = json!({ "ahead_ms": ahead_ms });
            saboteur.put(provider, "/_clock", &clock).await;
            saboteur
                .counts
                .ahead_ms
                .insert(provider.to_string(), ahead_ms);
        }
        let keys = json!({ "kept_ms": KEYS_KEPT_MS });
        saboteur.put(Provider::Payments, "/_keys", &keys).await;
        saboteur
    }

    /// Injects all failures, each at its time.
    pub(super) async fn carry_out(&mut self, steps: &[Step]) {
        let begun = Instant::now();
        for step in steps {
            sleep_until(begun + step.at).await;
            match &step.failure {
                Failure::Fault(provider, plan) => self.put(*provider, "/_faults", plan).await,
                Failure::End(victim) => self.end_program(*victim).await,
                Failure::Throttle(provider, calls) => self.throttle(*provider, *calls).await,
            }
        }
    }

    /// Ends all failures and returns their counts.
    pub(super) async fn stop(mut self) -> FailureCounts {
        for provider in PROVIDERS {
            self.count_strikes(provider).await;
        }
        for end in self.ends_of_throttles {
            let ended = end.await.unwrap_or_default();
            assert!(ended, "a worker should no longer be throttled");
        }
        self.counts
    }

    async fn configure_webhooks(&self, provider: Provider, seed: u64) {
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
        self.put(provider, "/_webhooks", &settings).await;
    }

    async fn put(&self, provider: Provider, path: &str, setting: &Value) {
        let url = self.address(provider, path);
        self.send_until_reached(|| self.stack.http.put(&url).json(setting))
            .await;
    }

    /// Sets the reserved concurrency of the provider's worker. Removing it may have to wait for a
    /// restart of the emulator, so that happens in the background.
    async fn throttle(&mut self, provider: Provider, calls: Option<u64>) {
        let stack = self.stack.clone();
        if let Some(calls) = calls {
            let throttled = reserve(stack, provider, Some(calls), PAUSE).await;
            self.counts.throttled += usize::from(throttled);
        } else {
            let ends = reserve(stack, provider, self.reserved, STARTED_WITHIN);
            self.ends_of_throttles.push(tokio::spawn(ends));
        }
    }

    async fn end_program(&mut self, victim: Victim) {
        // A simulator loses its faults and their counts when it ends.
        match victim {
            Victim::PaymentsSimulator => self.count_strikes(Provider::Payments).await,
            Victim::ShippingSimulator => self.count_strikes(Provider::Shipping).await,
            _ => {}
        }
        if victim.end(&mut self.rng) {
            *self.counts.ended.entry(victim).or_default() += 1;
        } else {
            self.counts.missed += 1;
        }
    }

    /// Ends a provider's faults and counts the calls that they struck. Without faults, no call is
    /// struck between the count and its reset.
    async fn count_strikes(&mut self, provider: Provider) {
        self.end_faults(provider).await;
        let url = self.address(provider, "/_faults/struck");
        let struck = || self.stack.http.get(&url);
        if let Some(response) = self.send_until_reached(struck).await {
            self.counts.strikes.extend(response.json::<Vec<Strike>>());
            self.reset_strikes(provider).await;
        }
    }

    async fn reset_strikes(&self, provider: Provider) {
        let url = self.address(provider, "/_faults/struck");
        self.send_until_reached(|| self.stack.http.delete(&url))
            .await;
    }

    async fn end_faults(&self, provider: Provider) {
        let url = self.address(provider, "/_faults");
        self.send_until_reached(|| self.stack.http.delete(&url))
            .await;
    }

    /// Repeats a request to a simulator, which may be restarting, until it responds.
    async fn send_until_reached(&self, request: impl Fn() -> RequestBuilder) -> Option<Response> {
        let deadline = Instant::now() + REACHED_WITHIN;
        while Instant::now() < deadline {
            match Response::try_of(request()).await {
                Ok(response) if response.status < 300 => return Some(response),
                Ok(response) => panic!(
                    "a simulator responded {} {}",
                    response.status, response.body
                ),
                Err(_) => sleep(PAUSE).await,
            }
        }
        None
    }

    fn address(&self, provider: Provider, path: &str) -> String {
        format!("{}{path}", self.stack.provider(provider).url)
    }
}

/// Sets the reserved concurrency of the provider's worker. Returns whether Lambda accepted it in
/// time.
async fn reserve(
    stack: Arc<Stack>,
    provider: Provider,
    calls: Option<u64>,
    within: Duration,
) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        let request = stack.reserve_concurrency(&provider.to_string(), calls);
        match Response::try_of(request.timeout(REACHED_WITHIN)).await {
            Ok(response) if response.status < 300 => return true,
            _ => sleep(PAUSE).await,
        }
    }
    false
}

impl FailureCounts {
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

impl fmt::Display for FailureCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let struck = self.struck();
        let calls: u64 = struck.values().sum();
        for (provider, ahead_ms) in &self.ahead_ms {
            writeln!(f, "{provider}: its clock was {ahead_ms} ms ahead")?;
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
        writeln!(
            f,
            "  {:>6}  not running when they were to be ended",
            self.missed
        )?;
        writeln!(f, "workers throttled: {}", self.throttled)
    }
}
