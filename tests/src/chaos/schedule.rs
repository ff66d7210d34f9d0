//! What goes wrong and when: all of it from one seed, so that a run that failed can be run again.

use std::{cmp::Reverse, fmt, time::Duration};

use orders::Provider;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::victim::Victim;

/// Nothing fails before this, so that the first orders are under way.
const CALM_BEGINNING: Duration = Duration::from_secs(5);

/// How long one trouble of a provider lasts, and the calm after it, in milliseconds.
const TROUBLE_MS: std::ops::Range<u64> = 2_500..6_000;
const CALM_MS: std::ops::Range<u64> = 300..1_500;

/// How long the one long outage of each provider lasts, in milliseconds: longer than what is left to an
/// order that is near its deadline.
const OUTAGE_MS: std::ops::Range<u64> = 14_000..18_000;

/// The calm after it, in milliseconds: else the circuit, which opens for longer each time, would keep the
/// orders waiting for minutes.
const CALM_AFTER_OUTAGE_MS: u64 = 8_000;

/// How often an outage is ordered anew, in milliseconds: it outlasts the end of the simulator.
const OUTAGE_RENEWED_MS: u64 = 4_000;

/// How long a provider is out before the primary database fails, and how long in all: until after the
/// standby has taken over.
const OUT_BEFORE_FAILOVER: Duration = Duration::from_secs(3);
const OUT_OVER_FAILOVER_MS: u64 = 14_000;

/// How long the search does not find what was held, in milliseconds: much longer than the stack takes
/// for as much as it ever lags.
const HIDDEN_FOR_MS: u64 = 20_000;

/// When what happens once begins, as a share of the run: early enough that what waited for long is done
/// when the run ends.
const ONCE_AT: std::ops::Range<f64> = 0.1..0.4;

/// When Lambda throttles a worker, as a share of the run, and for how long, in milliseconds.
const THROTTLED_AT: std::ops::Range<f64> = 0.1..0.8;
const THROTTLED_MS: std::ops::Range<u64> = 4_000..8_000;

/// The time between two kills, in milliseconds.
const KILL_EVERY_MS: std::ops::Range<u64> = 1_500..6_000;

/// Which stream of the seed's chances the schedule draws from. Each order draws from one above it.
const SCHEDULE_STREAM: u64 = 0;

/// Something that happens to the stack.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// A provider fails in some way for some time.
    Fault(Provider, Value),
    /// A program is killed, or asked to end; the keeper of the stack starts it again.
    End(Victim),
    /// Lambda runs only so many calls of a provider's worker at once, and refuses the others; as many as
    /// it is deployed with, if no number is given.
    Throttle(Provider, Option<u64>),
}

/// A trouble and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// What.
    pub trouble: Trouble,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.1} s  ", self.at.as_secs_f64())?;
        match &self.trouble {
            Trouble::Fault(provider, plan) => write!(f, "{provider}: {}", plan["faults"]),
            Trouble::End(victim) => write!(f, "{victim} ends"),
            Trouble::Throttle(provider, Some(calls)) => {
                write!(f, "{provider}: its worker is throttled to {calls} at once")
            }
            Trouble::Throttle(provider, None) => {
                write!(f, "{provider}: its worker is throttled no more")
            }
        }
    }
}

/// The chances of one order, or of the schedule, of a run.
pub(super) fn chances(seed: u64, order: Option<u32>) -> ChaCha8Rng {
    let mut chances = ChaCha8Rng::seed_from_u64(seed);
    chances.set_stream(order.map_or(SCHEDULE_STREAM, |order| u64::from(order) + 1));
    chances
}

/// All troubles of a run, by time. Each provider goes through all its ways to fail before it repeats
/// one; so do the kills with their victims.
pub(super) fn schedule(seed: u64, length: Duration) -> Vec<Step> {
    let mut chances = chances(seed, None);
    let mut steps = Vec::new();
    for provider in [Provider::Payments, Provider::Shipping] {
        steps.extend(troubles_of(provider, length, &mut chances));
        steps.extend(throttle_of(provider, length, &mut chances));
    }
    let mut deck = Deck::new(victims());
    let mut at = CALM_BEGINNING;
    while at < length {
        let trouble = Trouble::End(deck.deal(&mut chances));
        steps.push(Step { at, trouble });
        at += Duration::from_millis(chances.random_range(KILL_EVERY_MS));
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// How a provider fails, one way after the other, and once for long.
fn troubles_of(provider: Provider, length: Duration, chances: &mut impl Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut deck = Deck::new(ways_to_fail(provider));
    let mut once = seen_once(provider, length, chances);
    let mut at = CALM_BEGINNING;
    while at < length {
        let lasts = if let Some((_, trouble)) = once.pop_if(|(due, _)| *due <= at) {
            match trouble {
                Once::Outage => {
                    let lasts = chances.random_range(OUTAGE_MS);
                    steps.extend(outage_of(provider, at, lasts));
                    lasts + CALM_AFTER_OUTAGE_MS
                }
                Once::HiddenHolds => {
                    let trouble = Trouble::Fault(provider, hidden_holds());
                    steps.push(Step { at, trouble });
                    HIDDEN_FOR_MS
                }
            }
        } else {
            let lasts = chances.random_range(TROUBLE_MS);
            let mut faults = vec![deck.deal(chances).over(lasts, provider, chances)];
            // What is looked up after a fault does not show at once, either.
            if provider == Provider::Payments && chances.random_bool(0.5) {
                faults.push(search_lag(lasts));
            }
            let plan = json!({ "seed": chances.random::<u32>(), "faults": faults });
            let trouble = Trouble::Fault(provider, plan);
            steps.push(Step { at, trouble });
            lasts
        };
        at += Duration::from_millis(lasts + chances.random_range(CALM_MS));
    }
    steps
}

/// Once in a run, Lambda refuses most or all calls of a provider's worker for some seconds.
fn throttle_of(provider: Provider, length: Duration, chances: &mut impl Rng) -> [Step; 2] {
    let at = length.mul_f64(chances.random_range(THROTTLED_AT));
    let lasts = Duration::from_millis(chances.random_range(THROTTLED_MS));
    let calls = chances.random_range(0..=1);
    [(at, Some(calls)), (at + lasts, None)].map(|(at, calls)| Step {
        at,
        trouble: Trouble::Throttle(provider, calls),
    })
}

/// A trouble that a provider has once in a run.
#[derive(Debug, Clone, Copy)]
enum Once {
    /// It is out for long.
    Outage,
    /// Its search lags longer than the stack takes for as much as it ever lags.
    HiddenHolds,
}

/// What a provider has once in a run, and when, the last first.
fn seen_once(
    provider: Provider,
    length: Duration,
    chances: &mut impl Rng,
) -> Vec<(Duration, Once)> {
    let mut once = vec![(chances.random_range(ONCE_AT), Once::Outage)];
    if provider == Provider::Payments {
        // First of all, while the circuit is closed and nothing has been ended yet.
        once.push((0.0, Once::HiddenHolds));
    }
    let mut once: Vec<_> = once
        .into_iter()
        .map(|(share, trouble)| (length.mul_f64(share), trouble))
        .collect();
    once.sort_by_key(|(at, _)| Reverse(*at));
    once
}

/// Money is held and the answer lost, and neither an event nor the search tells of it for a while: what
/// the event is of cannot be looked up, for a reason that keeps the circuit closed.
fn hidden_holds() -> Value {
    json!({ "seed": 0, "faults": [
        { "mode": "lose_answer", "operation": "POST /v1/payment_intents", "for_ms": 6_000 },
        { "mode": "not_served", "operation": "GET /v1/payment_intents/pi_", "for_ms": 11_000 },
        { "mode": "search_lag", "ms": 2 * HIDDEN_FOR_MS, "for_ms": HIDDEN_FOR_MS },
    ]})
}

/// No call gets through to the provider for so long.
fn outage_of(provider: Provider, at: Duration, lasts_ms: u64) -> impl Iterator<Item = Step> {
    let begins = (0..lasts_ms).step_by(usize::try_from(OUTAGE_RENEWED_MS).unwrap_or(usize::MAX));
    begins.map(move |after_ms| {
        let outage = json!({ "mode": "error", "status": 503, "for_ms": lasts_ms - after_ms });
        let plan = json!({ "seed": 0, "faults": [outage] });
        Step {
            at: at + Duration::from_millis(after_ms),
            trouble: Trouble::Fault(provider, plan),
        }
    })
}

/// The troubles of a run in which the standby is to take over, when a third of it is over: meanwhile,
/// one of the providers is out.
pub(super) fn failover(seed: u64, length: Duration) -> Vec<Step> {
    let mut chances = chances(seed, None);
    let provider = if chances.random() {
        Provider::Payments
    } else {
        Provider::Shipping
    };
    let fails_at = length / 3;
    let out_at = fails_at.saturating_sub(OUT_BEFORE_FAILOVER);
    let mut steps: Vec<Step> = outage_of(provider, out_at, OUT_OVER_FAILOVER_MS).collect();
    steps.push(Step {
        at: fails_at,
        trouble: Trouble::End(Victim::PrimaryDatabase),
    });
    steps.sort_by_key(|step| step.at);
    steps
}

/// Cards that are dealt one by one, and shuffled anew when all are dealt.
struct Deck<T> {
    cards: Vec<T>,
    left: usize,
}

impl<T: Clone> Deck<T> {
    fn new(cards: Vec<T>) -> Self {
        Self { cards, left: 0 }
    }

    fn deal(&mut self, chances: &mut impl Rng) -> T {
        if self.left == 0 {
            self.cards.shuffle(chances);
            self.left = self.cards.len();
        }
        self.left -= 1;
        self.cards[self.left].clone()
    }
}

/// Whom the kills meet, as often as they stand here. The emulator takes everything with it, hence
/// seldom.
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

/// A way to fail, and how much of the calls it strikes.
#[derive(Clone)]
struct Way {
    fault: Value,
    /// The least and the most probable it may be for a call.
    probability: std::ops::RangeInclusive<f64>,
}

impl Way {
    /// The fault order: for so long, and with some of the luck.
    fn over(self, lasts_ms: u64, provider: Provider, chances: &mut impl Rng) -> Value {
        let mut fault = self.fault;
        fault["for_ms"] = lasts_ms.into();
        let probability = chances.random_range(self.probability);
        fault["probability"] = ((probability * 100.0).round() / 100.0).into();
        let operations = operations(provider);
        let operation = operations[chances.random_range(0..operations.len())];
        // Half of the time all of the provider's calls.
        let everything = chances.random_bool(0.5);
        fault["operation"] = if everything { "/v1/" } else { operation }.into();
        fault
    }
}

/// The payment service's search does not find what is so young; less than the stack takes for as much
/// as it ever lags.
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

fn ways_to_fail(provider: Provider) -> Vec<Way> {
    let way = |fault: Value, least: f64, most: f64| Way {
        fault,
        probability: least..=most,
    };
    let mut ways = vec![
        // An outage: nothing gets through.
        way(json!({ "mode": "error", "status": 503 }), 1.0, 1.0),
        way(json!({ "mode": "error", "status": 500 }), 0.2, 0.8),
        way(
            json!({ "mode": "rate_limited", "retry_after": 1 }),
            0.3,
            0.9,
        ),
        way(json!({ "mode": "slow", "ms": 1500 }), 0.3, 1.0),
        way(
            json!({ "mode": "slow_recovery", "ms": 4000, "over_ms": 8000 }),
            1.0,
            1.0,
        ),
        way(json!({ "mode": "hang" }), 0.1, 0.5),
        way(json!({ "mode": "hang_after" }), 0.1, 0.5),
        way(json!({ "mode": "reset_before" }), 0.2, 1.0),
        way(json!({ "mode": "reset_after" }), 0.2, 1.0),
        way(json!({ "mode": "lose_answer" }), 0.2, 1.0),
        way(json!({ "mode": "truncated" }), 0.2, 1.0),
        way(json!({ "mode": "malformed" }), 0.2, 1.0),
        way(json!({ "mode": "wrong_content_type" }), 0.2, 1.0),
        way(json!({ "mode": "not_served" }), 0.1, 0.5),
        // A service behind the provider, and the provider's own trouble under a status of ours.
        way(json!({ "mode": "error", "status": 424 }), 0.2, 0.8),
        // Seldom: what is refused is over, and there is no more to go wrong with it.
        way(json!({ "mode": "refuse" }), 0.05, 0.2),
    ];
    ways.push(way(
        json!({ "mode": "error", "status": 500, "kept": true }),
        0.2,
        0.6,
    ));
    if provider == Provider::Shipping {
        ways.extend([
            way(json!({ "mode": "label_error" }), 0.3, 1.0),
            way(json!({ "mode": "label_processing", "ms": 2_000 }), 0.3, 1.0),
        ]);
    }
    if provider == Provider::Payments {
        ways.extend([
            way(
                json!({ "mode": "error", "status": 400, "kept": true }),
                0.2,
                0.6,
            ),
            way(json!({ "mode": "not_served", "kept": true }), 0.1, 0.5),
            // Later than an answer is waited for, and sooner than a look-up is taken at its word.
            way(json!({ "mode": "late_effect", "ms": 2_500 }), 0.2, 0.6),
            way(json!({ "mode": "duplicate" }), 0.5, 1.0),
            way(
                json!({ "mode": "forget_keys", "older_than_ms": 60_000 }),
                0.1,
                0.5,
            ),
        ]);
    }
    ways
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const THREE_MINUTES: Duration = Duration::from_mins(3);

    #[test]
    fn one_seed_is_one_schedule() {
        let first = schedule(7, THREE_MINUTES);
        assert_eq!(first, schedule(7, THREE_MINUTES));
        assert_ne!(first, schedule(8, THREE_MINUTES));
        assert!(first.is_sorted_by_key(|step| step.at));
        assert!(first.iter().all(|step| step.at < THREE_MINUTES));
    }

    #[test]
    fn a_short_run_sees_every_way_to_fail_and_every_victim() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let modes = |plan: &Value| plan["faults"][0]["mode"].to_string();
                let met: HashSet<String> = steps
                    .iter()
                    .filter_map(|step| match &step.trouble {
                        Trouble::Fault(of, plan) if *of == provider => Some(modes(plan)),
                        _ => None,
                    })
                    .collect();
                for way in ways_to_fail(provider) {
                    let mode = way.fault["mode"].to_string();
                    assert!(met.contains(&mode), "{provider} never {mode}, seed {seed}");
                }
            }
            for victim in victims() {
                let trouble = Trouble::End(victim);
                assert!(steps.iter().any(|step| step.trouble == trouble), "{victim}");
            }
        }
    }

    #[test]
    fn the_primary_database_fails_while_a_provider_is_out() {
        let minute = Duration::from_mins(1);
        let mut out = HashSet::new();
        for seed in 0..50 {
            let steps = failover(seed, minute);
            let mut outage = None;
            for step in &steps {
                match &step.trouble {
                    Trouble::Fault(provider, plan) => {
                        let lasts = plan["faults"][0]["for_ms"].as_u64().unwrap_or_default();
                        outage = Some((*provider, step.at + Duration::from_millis(lasts)));
                    }
                    Trouble::Throttle(..) => panic!("seed {seed}"),
                    Trouble::End(victim) => {
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
    fn each_worker_is_throttled_and_no_longer_than_the_run() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let calls = steps.iter().filter_map(|step| match step.trouble {
                    Trouble::Throttle(of, calls) if of == provider => Some(calls),
                    _ => None,
                });
                let calls: Vec<_> = calls.collect();
                assert!(matches!(calls[..], [Some(0..=1), None]), "{calls:?}");
            }
        }
    }

    #[test]
    fn each_provider_is_once_out_for_long() {
        for seed in 0..50 {
            let steps = schedule(seed, THREE_MINUTES);
            for provider in [Provider::Payments, Provider::Shipping] {
                let longest = steps.iter().filter_map(|step| match &step.trouble {
                    Trouble::Fault(of, plan) if *of == provider => {
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
    fn orders_and_the_schedule_have_chances_of_their_own() {
        let draw = |order| chances(7, order).random::<u64>();
        let drawn: HashSet<u64> = (0..100).map(Some).chain([None]).map(draw).collect();
        assert_eq!(drawn.len(), 101);
        assert_eq!(draw(Some(3)), draw(Some(3)));
    }
}
