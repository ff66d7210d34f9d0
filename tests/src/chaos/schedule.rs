//! What goes wrong and when: all of it from one seed, so that a run that failed can be run again.

use std::{fmt, time::Duration};

use orders::Provider;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::victim::Victim;

/// Nothing fails before this, so that the first orders are under way.
const CALM_BEGINNING: Duration = Duration::from_secs(5);

/// How long one trouble of a provider lasts, and the calm after it, in milliseconds.
const TROUBLE_MS: std::ops::Range<u64> = 3_000..9_000;
const CALM_MS: std::ops::Range<u64> = 300..3_000;

/// The time between two kills, in milliseconds.
const KILL_EVERY_MS: std::ops::Range<u64> = 1_500..6_000;

/// Which stream of the seed's chances the schedule draws from. Each order draws from one above it.
const SCHEDULE_STREAM: u64 = 0;

/// Something that happens to the stack.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// A provider fails in some way for some time.
    Fault(Provider, Value),
    /// A program is killed, or told to end; whoever keeps it starts it again.
    End(Victim),
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
        let mut deck = Deck::new(ways_to_fail(provider));
        let mut at = CALM_BEGINNING;
        while at < length {
            let lasts = chances.random_range(TROUBLE_MS);
            let mut faults = vec![deck.deal(&mut chances).over(lasts, provider, &mut chances)];
            // What is looked up after a fault does not show at once, either.
            if provider == Provider::Payments && chances.random_bool(0.5) {
                faults.push(search_lag(lasts));
            }
            let plan = json!({ "seed": chances.random::<u32>(), "faults": faults });
            let trouble = Trouble::Fault(provider, plan);
            steps.push(Step { at, trouble });
            at += Duration::from_millis(lasts + chances.random_range(CALM_MS));
        }
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

/// The one trouble of a run in which the standby is to take over, when a third of it is over.
pub(super) fn failover(length: Duration) -> Vec<Step> {
    vec![Step {
        at: length / 3,
        trouble: Trouble::End(Victim::PrimaryDatabase),
    }]
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
        // Seldom: what is refused is over, and there is no more to go wrong with it.
        way(json!({ "mode": "refuse" }), 0.05, 0.2),
    ];
    ways.push(way(
        json!({ "mode": "error", "status": 500, "kept": true }),
        0.2,
        0.6,
    ));
    if provider == Provider::Payments {
        ways.extend([
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
    fn orders_and_the_schedule_have_chances_of_their_own() {
        let draw = |order| chances(7, order).random::<u64>();
        let drawn: HashSet<u64> = (0..100).map(Some).chain([None]).map(draw).collect();
        assert_eq!(drawn.len(), 101);
        assert_eq!(draw(Some(3)), draw(Some(3)));
    }
}
