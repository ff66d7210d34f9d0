//! Carries the schedule out: orders faults, ends programs, and counts both.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use orders::Provider;
use rand_chacha::ChaCha8Rng;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    schedule::{Step, Trouble},
    victim::Victim,
};
use crate::{Answer, Stack};

/// How long to try to reach a simulator that has just been started again.
const REACHED_WITHIN: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(100);

/// How late a webhook may be, and how long after its purchase a parcel arrives.
const WEBHOOK_DELAY_MS: u64 = 3_000;
const DELIVERED_AFTER_MS: u64 = 4_000;

/// Which share of the webhooks comes twice.
const DUPLICATES: f64 = 0.2;

/// Both providers.
const PROVIDERS: [Provider; 2] = [Provider::Payments, Provider::Shipping];

/// Makes trouble, and knows how much.
pub(super) struct Saboteur {
    stack: Arc<Stack>,
    chances: ChaCha8Rng,
    made: Made,
}

/// How much trouble was made.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// Calls that a fault struck, by provider and mode.
    pub(super) struck: BTreeMap<(String, String), u64>,
    /// Programs that were ended.
    pub(super) ended: BTreeMap<Victim, usize>,
    /// Programs that were to be ended, and did not run at that moment.
    pub(super) missed: usize,
}

impl Saboteur {
    /// Two providers that work, and no trouble made so far, but for webhooks that come late, twice and
    /// in any order.
    pub(super) async fn new(stack: Arc<Stack>, seed: u64, chances: ChaCha8Rng) -> Self {
        let saboteur = Self {
            stack,
            chances,
            made: Made::default(),
        };
        for provider in PROVIDERS {
            saboteur.ends_faults(provider).await;
            let url = saboteur.address(provider, "/_faults/struck");
            saboteur.reaches(|| saboteur.stack.http.delete(&url)).await;
            saboteur.has_webhooks(provider, seed).await;
        }
        saboteur
    }

    /// Makes all of the trouble, each at its time.
    pub(super) async fn carries_out(&mut self, steps: &[Step]) {
        let begun = Instant::now();
        for step in steps {
            sleep_until(begun + step.at).await;
            match &step.trouble {
                Trouble::Fault(provider, plan) => {
                    let url = self.address(*provider, "/_faults");
                    let order = || self.stack.http.put(&url).json(plan);
                    self.reaches(order).await;
                }
                Trouble::End(victim) => self.ends(*victim).await,
            }
        }
    }

    /// Lets both providers work again, and tells how much trouble there was.
    pub(super) async fn leaves(mut self) -> Made {
        for provider in PROVIDERS {
            self.ends_faults(provider).await;
            self.counts(provider).await;
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
        let url = self.address(provider, "/_webhooks");
        self.reaches(|| self.stack.http.put(&url).json(&settings))
            .await;
    }

    async fn ends(&mut self, victim: Victim) {
        // A simulator's count dies with it.
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

    async fn counts(&mut self, provider: Provider) {
        let url = self.address(provider, "/_faults");
        let Some(answer) = self.reaches(|| self.stack.http.get(&url)).await else {
            return;
        };
        let faults: Value = answer.json();
        for (mode, calls) in faults["struck"].as_object().into_iter().flatten() {
            let key = (provider.to_string(), mode.clone());
            *self.made.struck.entry(key).or_default() += calls.as_u64().unwrap_or_default();
        }
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

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let struck: u64 = self.struck.values().sum();
        writeln!(f, "calls that a fault struck: {struck}")?;
        for ((provider, mode), calls) in &self.struck {
            writeln!(f, "  {calls:>6}  {provider} {mode}")?;
        }
        let ended: usize = self.ended.values().sum();
        writeln!(f, "programs ended: {ended}")?;
        for (victim, times) in &self.ended {
            writeln!(f, "  {times:>6}  {victim}")?;
        }
        writeln!(f, "  {:>6}  did not run at that moment", self.missed)
    }
}
