//! The schedule of failures. One seed decides all of it, so that a failed run can be repeated.

use std::{cmp::Reverse, fmt, time::Duration};

use orders::Provider;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::victim::Victim;

/// Nothing fails before this time, so that the first orders are being processed by then.
const CALM_BEGINNING: Duration = Duration::from_secs(5);

/// How long one failure of a provider lasts, and the pause after it, in milliseconds.
const TROUBLE_MS: std::ops::Range<u64> = 2_500..6_000;
const CALM_MS: std::ops::Range<u64> = 300..1_500;

/// How long the one long outage of each provider lasts, in milliseconds: longer than the time that
/// an order near its deadline has left.
const OUTAGE_MS: std::ops::Range<u64> = 14_000..18_000;

/// The pause after it, in milliseconds. Without it, the circuit would open for longer each time and
/// keep orders waiting for minutes.
const CALM_AFTER_OUTAGE_MS: u64 = 8_000;

/// How often the fault of an outage is set again, in milliseconds, because a restarted simulator
/// has lost it.
const OUTAGE_RENEWED_MS: u64 = 4_000;

/// How long a provider is down before the primary database fails, and how long in total: until
/// after the standby has taken over.
const OUT_BEFORE_FAILOVER: Duration = Duration::from_secs(3);
const OUT_OVER_FAILOVER_MS: u64 = 14_000;

/// How long the search does not find new authorizations, in milliseconds: much longer than the lag
/// that the stack allows for.
const HIDDEN_FOR_MS: u64 = 20_000;

/// When a failure that happens once begins, as a share of the run: early enough that the orders
/// that it delayed are finished when the run ends.
const ONCE_AT: std::ops::Range<f64> = 0.1..0.4;

/// When Lambda throttles a worker, as a share of the run, and for how long, in milliseconds.
const THROTTLED_AT: std::ops::Range<f64> = 0.1..0.8;
const THROTTLED_MS: std::ops::Range<u64> = 4_000..8_000;

/// The time between two kills, in milliseconds.
const KILL_EVERY_MS: std::ops::Range<u64> = 1_500..6_000;

/// The stream of the random number generator for the schedule. Each order has one of the streams
/// above it.
const SCHEDULE_STREAM: u64 = 0;

/// A failure of a part of the stack.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// A provider's simulator gets these faults.
    Fault(Provider, Value),
    /// A program is killed, or asked to end. The supervisor of the stack restarts it.
    End(Victim),
    /// Lambda limits a provider's worker to this concurrency. None ends the limit.
    Throttle(Provider, Option<u64>),
}

/// A failure and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The time since the beginning of the run.
    pub at: Duration,
    /// The failure.
    pub failure: Failure,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.1} s  ", self.at.as_secs_f64())?;
        match &self.failure {
            Failure::Fault(provider, plan) => write!(f, "{provider}: {}", plan["faults"]),
            Failure::End(victim) => write!(f, "{victim} ends"),
            Failure::Throttle(provider, Some(calls)) => {
                write!(f, "{provider}: its worker is throttled to {calls} at once")
            }
            Failure::Throttle(provider, None) => {
                write!(f, "{provider}: its worker is no longer throttled")
            }
        }
    }
}

/// The random number generator for one order, or for the schedule.
pub(super) fn rng_for(seed: u64, order: Option<u32>) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(order.map_or(SCHEDULE_STREAM, |order| u64::from(order) + 1));
    rng
}

/// All failures of a run, by time. Each kind of fault, and each victim, occurs once before any
/// occurs again.
pub(super) fn schedule(seed: u64, length: Duration) -> Vec<Step> {
    let mut rng = rng_for(seed, None);
    let mut steps = Vec::new();
    for provider in [Provider::Payments, Provider::Shipping] {
        steps.extend(failures_of(provider, length, &mut rng));
        steps.extend(throttle_of(provider, length, &mut rng));
    }
    let mut deck = Deck::new(victims());
    let mut at = CALM_BEGINNING;
    while at < length {
        let failure = Failure::End(deck.draw(&mut rng));
        steps.push(Step { at, failure });
        at += Duration::from_millis(rng.random_range(KILL_EVERY_MS));
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// The failures of a provider, one after the other, with one long outage.
fn failures_of(provider: Provider, length: Duration, rng: &mut impl Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut deck = Deck::new(fault_kinds(provider));
    let mut once = once_in_a_run(provider, length, rng);
    let mut at = CALM_BEGINNING;
    while at < length {
        let lasts = if let Some((_, failure)) = once.pop_if(|(due, _)| *due <= at) {
            match failure {
                Once::Outage => {
                    let lasts = rng.random_range(OUTAGE_MS);
                    steps.extend(outage_of(provider, at, lasts));
                    lasts + CALM_AFTER_OUTAGE_MS
                }
                Once::HiddenAuthorizations => {
                    let failure = Failure::Fault(provider, hidden_authorizations());
                    steps.push(Step { at, failure });
                    HIDDEN_FOR_MS
                }
            }
        } else {
            let lasts = rng.random_range(TROUBLE_MS);
            let mut faults = vec![deck.draw(rng).random(lasts, provider, rng)];
            // A search may lag behind the effects of a fault.
            if provider == Provider::Payments && rng.random_bool(0.5) {
                faults.push(search_lag(lasts));
            }
            let plan = json!({ "seed": rng.random::<u32>(), "faults": faults });
            let failure = Failure::Fault(provider, plan);
            steps.push(Step { at, failure });
            lasts
        };
        at += Duration::from_millis(lasts + rng.random_range(CALM_MS));
    }
    steps
}

/// Once in a run, Lambda throttles most or all calls of a provider's worker for some seconds.
fn throttle_of(provider: Provider, length: Duration, rng: &mut impl Rng) -> [Step; 2] {
    let at = length.mul_f64(rng.random_range(THROTTLED_AT));
    let lasts = Duration::from_millis(rng.random_range(THROTTLED_MS));
    let calls = rng.random_range(0..=1);
    [(at, Some(calls)), (at + lasts, None)].map(|(at, calls)| Step {
        at,
        failure: Failure::Throttle(provider, calls),
    })
}

/// A failure that a provider has once in a run.
#[derive(Debug, Clone, Copy)]
enum Once {
    /// A long outage.
    Outage,
    /// Its search lags longer than the stack allows for.
    HiddenAuthorizations,
}

/// The failures that a provider has once in a run, with their times, the latest first.
fn once_in_a_run(
    provider: Provider,
    length: Duration,
    rng: &mut impl Rng,
) -> Vec<(Duration, Once)> {
    let mut once = vec![(rng.random_range(ONCE_AT), Once::Outage)];
    if provider == Provider::Payments {
        // At the beginning, while the circuit is closed and no program has been ended yet.
        once.push((0.0, Once::HiddenAuthorizations));
    }
    let mut once: Vec<_> = once
        .into_iter()
        .map(|(share, failure)| (length.mul_f64(share), failure))
        .collect();
    once.sort_by_key(|(at, _)| Reverse(*at));
    once
}

/// Payments are authorized and the responses lost, and for a while neither events nor the search
/// reveal them. The payment of an event cannot be looked up, for a reason that keeps the circuit
/// closed.
fn hidden_authorizations() -> Value {
    json!({ "seed": 0, "faults": [
        { "mode": "lose_answer", "operation": "POST /v1/payment_intents", "for_ms": 6_000 },
        { "mode": "not_served", "operation": "GET /v1/payment_intents/pi_", "for_ms": 11_000 },
        { "mode": "search_lag", "ms": 2 * HIDDEN_FOR_MS, "for_ms": HIDDEN_FOR_MS },
    ]})
}

/// All calls to the provider fail for some time.
fn outage_of(provider: Provider, at: Duration, lasts_ms: u64) -> impl Iterator<Item = Step> {
    let begins = (0..lasts_ms).step_by(usize::try_from(OUTAGE_RENEWED_MS).unwrap_or(usize::MAX));
    begins.map(move |after_ms| {
        let outage = json!({ "mode": "error", "status": 503, "for_ms": lasts_ms - after_ms });
        let plan = json!({ "seed": 0, "faults": [outage] });
        Step {
            at: at + Duration::from_millis(after_ms),
            failure: Failure::Fault(provider, plan),
        }
    })
}

/// The failures of a failover run: after a third of the run the primary database fails, during an
/// outage of one provider, and the standby takes over.
pub(super) fn failover(seed: u64, length: Duration) -> Vec<Step> {
    let mut rng = rng_for(seed, None);
    let provider = if rng.random() {
        Provider::Payments
    } else {
        Provider::Shipping
    };
    let fails_at = length / 3;
    let out_at = fails_at.saturating_sub(OUT_BEFORE_FAILOVER);
    let mut steps: Vec<Step> = outage_of(provider, out_at, OUT_OVER_FAILOVER_MS).collect();
    steps.push(Step {
        at: fails_at,
        failure: Failure::End(Victim::PrimaryDatabase),
    });
    steps.sort_by_key(|step| step.at);
    steps
}

/// Items in random order, each of which is drawn once before any is drawn again.
struct Deck<T> {
    items: Vec<T>,
    left: usize,
}

impl<T: Clone> Deck<T> {
    fn new(items: Vec<T>) -> Self {
        Self { items, left: 0 }
    }

    fn draw(&mut self, rng: &mut impl Rng) -> T {
        if self.left == 0 {
            self.items.shuffle(rng);
            self.left = self.items.len();
        }
        self.left -= 1;
        self.items[self.left].clone()
    }
}

/// The programs that are ended, with their relative frequencies. The emulator is ended rarely,
/// because all functions end with it.
fn victims() -> Vec<Victim> {
    let mut victims = vec![Victim::PaymentsWorker; 6];
    victims.extend([Victim::ShippingWorker; 4]);
    victims.extend([Victim::RetryWorker; 3]);
    victims.extend([Victim::Api; 5]);
    victims.extend([Victim::BreakerProbe; 2]);
    victims.extend([Victim::Frontend; 2]);
    victims.extend([
        Victim::Emulator,
        Victim::PaymentsSimulator,
        Victim::ShippingSimulator,
    ]);
    victims
}

/// A kind of fault, and the share of calls that it strikes.
#[derive(Clone)]
struct FaultKind {
    fault: Value,
    /// The range of the probability that it strikes a call.
    probability: std::ops::RangeInclusive<f64>,
}

impl FaultKind {
    /// A fault of this kind for some time, with a random probability and operation.
    fn random(self, lasts_ms: u64, provider: Provider, rng: &mut impl Rng) -> Value {
        let mut fault = self.fault;
        fault["for_ms"] = lasts_ms.into();
        let probability = rng.random_range(self.probability);
        fault["probability"] = ((probability * 100.0).round() / 100.0).into();
        let operations = operations(provider);
        let operation = operations[rng.random_range(0..operations.len())];
        // Half of the faults strike all of the provider's calls.
        let everything = rng.random_bool(0.5);
        fault["operation"] = if everything { "/v1/" } else { operation }.into();
        fault
    }
}

/// A lag of the payment service's search, shorter than the stack allows for.
fn search_lag(lasts_ms: u64) -> Value {
    json!({ "mode": "search_lag", "ms": 4_000, "for_ms": lasts_ms })
}

fn operations(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Payments => &[
            "POST /v1/payment_intents",
            "/capture",
            "/cancel",
            "/v1/payment_intents/search",
            "/v1/refunds",
        ],
        Provider::Shipping => &[
            "POST /v1/labels",
            "/void",
            "/v1/shipments/external_shipment_id",
            "GET /v1/labels",
        ],
    }
}

fn fault_kinds(provider: Provider) -> Vec<FaultKind> {
    let kind = |fault: Value, least: f64, most: f64| FaultKind {
        fault,
        probability: least..=most,
    };
    let mut kinds = vec![
        // An outage: all calls fail.
        kind(json!({ "mode": "error", "status": 503 }), 1.0, 1.0),
        kind(json!({ "mode": "error", "status": 500 }), 0.2, 0.8),
        kind(
            json!({ "mode": "rate_limited", "retry_after": 1 }),
            0.3,
            0.9,
        ),
        kind(json!({ "mode": "slow", "ms": 1500 }), 0.3, 1.0),
        kind(
            json!({ "mode": "slow_recovery", "ms": 4000, "over_ms": 8000 }),
            1.0,
            1.0,
        ),
        kind(json!({ "mode": "hang" }), 0.1, 0.5),
        kind(json!({ "mode": "hang_after" }), 0.1, 0.5),
        kind(json!({ "mode": "reset_before" }), 0.2, 1.0),
        kind(json!({ "mode": "reset_after" }), 0.2, 1.0),
        kind(json!({ "mode": "lose_answer" }), 0.2, 1.0),
        kind(json!({ "mode": "truncated" }), 0.2, 1.0),
        kind(json!({ "mode": "malformed" }), 0.2, 1.0),
        kind(json!({ "mode": "wrong_content_type" }), 0.2, 1.0),
        kind(json!({ "mode": "not_served" }), 0.1, 0.5),
        // A dependency of the provider has failed. That is the provider's fault despite the status.
        kind(json!({ "mode": "error", "status": 424 }), 0.2, 0.8),
        // Rarely: a refused order is cancelled, and nothing more can fail for it.
        kind(json!({ "mode": "refuse" }), 0.05, 0.2),
    ];
    kinds.push(kind(
        json!({ "mode": "error", "status": 500, "kept": true }),
        0.2,
        0.6,
    ));
    if provider == Provider::Shipping {
        kinds.extend([
            kind(json!({ "mode": "label_error" }), 0.3, 1.0),
            kind(json!({ "mode": "label_processing", "ms": 2_000 }), 0.3, 1.0),
        ]);
    }
    if provider == Provider::Payments {
        kinds.extend([
            kind(
                json!({ "mode": "error", "status": 400, "kept": true }),
                0.2,
                0.6,
            ),
            kind(json!({ "mode": "not_served", "kept": true }), 0.1, 0.5),
            // Later than the client's timeout, and earlier than the stack trusts an empty search.
            kind(json!({ "mode": "late_effect", "ms": 2_500 }), 0.2, 0.6),
            kind(json!({ "mode": "duplicate" }), 0.5, 1.0),
            kind(
                json!({ "mode": "forget_keys", "older_than_ms": 60_000 }),
                0.1,
                0.5,
            ),
        ]);
    }
    kinds
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const THREE_MINUTES: Duration = Duration::from_mins(3);

    #[test]
    fn a_seed_determines_the_schedule() {
        let first = schedule(7, THREE_MINUTES);
        assert_eq!(first, schedule(7, THREE_MINUTES));
        assert_ne!(first, schedule(8, THREE_MINUTES));
        assert!(first.is_sorted_by_key(|step| step.at));
        assert!(first.iter().all(|step| step.at < THREE_MINUTES));
    }

    #[test]
    fn a_short_run_has_every_kind_of_fault_and_every_victim() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let modes = |plan: &Value| plan["faults"][0]["mode"].to_string();
                let met: HashSet<String> = steps
                    .iter()
                    .filter_map(|step| match &step.failure {
                        Failure::Fault(of, plan) if *of == provider => Some(modes(plan)),
                        _ => None,
                    })
                    .collect();
                for kind in fault_kinds(provider) {
                    let mode = kind.fault["mode"].to_string();
                    assert!(met.contains(&mode), "{provider} never {mode}, seed {seed}");
                }
            }
            for victim in victims() {
                let failure = Failure::End(victim);
                assert!(steps.iter().any(|step| step.failure == failure), "{victim}");
            }
        }
    }

    #[test]
    fn the_primary_database_fails_during_an_outage_of_a_provider() {
        let minute = Duration::from_mins(1);
        let mut out = HashSet::new();
        for seed in 0..50 {
            let steps = failover(seed, minute);
            let mut outage = None;
            for step in &steps {
                match &step.failure {
                    Failure::Fault(provider, plan) => {
                        let lasts = plan["faults"][0]["for_ms"].as_u64().unwrap_or_default();
                        outage = Some((*provider, step.at + Duration::from_millis(lasts)));
                    }
                    Failure::Throttle(..) => panic!("seed {seed}"),
                    Failure::End(victim) => {
                        assert_eq!(*victim, Victim::PrimaryDatabase);
                        let (provider, until) = outage.expect("a provider should be out");
                        assert!(step.at < until, "seed {seed}");
                        out.insert(provider);
                    }
                }
            }
        }
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn each_worker_is_throttled_once_within_the_run() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let calls = steps.iter().filter_map(|step| match step.failure {
                    Failure::Throttle(of, calls) if of == provider => Some(calls),
                    _ => None,
                });
                let calls: Vec<_> = calls.collect();
                assert!(matches!(calls[..], [Some(0..=1), None]), "{calls:?}");
            }
        }
    }

    #[test]
    fn each_provider_has_a_long_outage() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let longest = steps.iter().filter_map(|step| match &step.failure {
                    Failure::Fault(of, plan) if *of == provider => {
                        plan["faults"][0]["for_ms"].as_u64()
                    }
                    _ => None,
                });
                let longest = longest.max().unwrap_or_default();
                assert!(OUTAGE_MS.contains(&longest), "{longest} ms, seed {seed}");
            }
        }
    }

    #[test]
    fn orders_and_the_schedule_have_independent_random_numbers() {
        let draw = |order| rng_for(7, order).random::<u64>();
        let drawn: HashSet<u64> = (0..100).map(Some).chain([None]).map(draw).collect();
        assert_eq!(drawn.len(), 101);
        assert_eq!(draw(Some(3)), draw(Some(3)));
    }
}
