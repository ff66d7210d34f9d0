//! Faults to order: what the service does instead of, or besides, its work. This is when which fault
//! strikes; [`crate::injection`] is what it then does.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Json, extract::State, http::StatusCode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::IntoStaticStr;
use tokio::time::Instant;

use crate::serve::Shared;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "mode", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Fault {
    /// Answers with this status, and does nothing. `kept`: once work has begun, so that Stripe keeps
    /// the answer under the call's idempotency key, and ShipEngine the shipment without its label.
    Error {
        status: u16,
        #[serde(default)]
        kept: bool,
    },
    /// Refuses for good in the provider's own form, once work has begun.
    Refuse,
    /// Refuses for what is wrong with the caller's account, and does nothing. `kept`: once work has
    /// begun, as with [`Fault::Error`].
    NotServed {
        #[serde(default)]
        kept: bool,
    },
    /// Answers 500, keeps that under the call's idempotency key, and does its work all the same after
    /// this many milliseconds.
    LateEffect { ms: u64 },
    /// Answers with a label that the carrier could not make.
    LabelError,
    /// Answers with a label that the carrier is still making, for this many milliseconds.
    LabelProcessing { ms: u64 },
    /// Answers 429, and does nothing.
    RateLimited { retry_after: u16 },
    /// Does its work after this many milliseconds, unless the caller has left by then.
    Slow { ms: u64 },
    /// Is slow by `ms` at first, and less and less so until it is as fast as ever after `over_ms`.
    SlowRecovery { ms: u64, over_ms: u64 },
    /// Never answers, and does nothing.
    Hang { ms: Option<u64> },
    /// Does its work, and never answers.
    HangAfter { ms: Option<u64> },
    /// Resets the connection, and does nothing.
    ResetBefore,
    /// Does its work and resets the connection.
    ResetAfter,
    /// Does its work and breaks the connection off.
    LoseAnswer,
    /// Does its work twice, as if the network had sent the call twice, and gives the second answer.
    /// Only where the provider knows a repeated call for what it is.
    Duplicate,
    /// Does its work and answers half of the body, as if that were all of it.
    Truncated,
    /// Does its work and answers what is no JSON, but says that it is.
    Malformed,
    /// Does its work and answers a web page.
    WrongContentType,
    /// Forgets the idempotency keys that are older than this, and then does its work.
    ForgetKeys { older_than_ms: u64 },
    /// Does its work, but a search does not find what was made in these last milliseconds.
    SearchLag { ms: u64 },
}

/// A fault, where it strikes, when, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultOrder {
    #[serde(flatten)]
    fault: Fault,
    /// How many calls it strikes; all of them, if not given.
    next: Option<u32>,
    /// Only calls whose `METHOD /path` contains this.
    operation: Option<String>,
    /// Only calls that concern this order.
    order_id: Option<String>,
    /// Which share of those calls it strikes.
    #[serde(default = "always")]
    probability: f64,
    /// How long after it was ordered it begins.
    #[serde(default)]
    after_ms: u64,
    /// How long it lasts from then on; until it is ended, if not given.
    for_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

/// The faults that are ordered together. The first one that matches a call, and is drawn, strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) enum Plan {
    /// A fault by itself.
    One(FaultOrder),
    /// Several, drawn by a seed.
    Many { seed: u64, faults: Vec<FaultOrder> },
}

#[derive(Serialize, Deserialize)]
struct Many {
    seed: u64,
    faults: Vec<FaultOrder>,
}

/// What a plan can be refused for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("a probability lies between 0 and 1, and {0} does not")]
    Probability(f64),
    #[error("{0} is no status of an error: those lie between 400 and 599")]
    Status(u16),
}

impl TryFrom<Value> for Plan {
    type Error = PlanError;

    fn try_from(value: Value) -> Result<Self, PlanError> {
        let plan = if value.get("faults").is_some() {
            let Many { seed, faults } = serde_json::from_value(value)?;
            Self::Many { seed, faults }
        } else {
            Self::One(serde_json::from_value(value)?)
        };
        plan.orders().iter().try_for_each(FaultOrder::check)?;
        Ok(plan)
    }
}

impl From<Plan> for Value {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::One(order) => json!(order),
            Plan::Many { seed, faults } => json!(Many { seed, faults }),
        }
    }
}

impl Plan {
    fn orders(&self) -> &[FaultOrder] {
        match self {
            Self::One(order) => std::slice::from_ref(order),
            Self::Many { faults, .. } => faults,
        }
    }

    fn orders_mut(&mut self) -> &mut [FaultOrder] {
        match self {
            Self::One(order) => std::slice::from_mut(order),
            Self::Many { faults, .. } => faults,
        }
    }

    fn seed(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Many { seed, .. } => *seed,
        }
    }
}

/// What is known of a call before it is handled.
pub(crate) struct Incoming<'a> {
    /// `METHOD /path`.
    pub(crate) operation: &'a str,
    /// The order that it concerns.
    pub(crate) order_id: Option<&'a str>,
    /// Whether the provider would know it again if it came twice.
    pub(crate) is_repeatable: bool,
}

impl FaultOrder {
    fn check(&self) -> Result<(), PlanError> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(PlanError::Probability(self.probability));
        }
        match self.fault {
            Fault::Error { status, .. } if !(400..=599).contains(&status) => {
                Err(PlanError::Status(status))
            }
            _ => Ok(()),
        }
    }

    /// How long it has been active, if it is.
    fn active_for(&self, since_ordered: Duration) -> Option<Duration> {
        let active = since_ordered.checked_sub(Duration::from_millis(self.after_ms))?;
        self.for_ms
            .is_none_or(|ms| active < Duration::from_millis(ms))
            .then_some(active)
    }

    fn matches(&self, call: &Incoming<'_>) -> bool {
        let is_asked = |asked: &String| call.operation.contains(asked.as_str());
        self.next != Some(0)
            && self.operation.as_ref().is_none_or(is_asked)
            && self
                .order_id
                .as_ref()
                .is_none_or(|id| call.order_id == Some(id))
            && (self.fault != Fault::Duplicate || call.is_repeatable)
    }
}

impl Fault {
    /// The fault as it is once it has been active for so long.
    fn after(self, active: Duration) -> Self {
        let Self::SlowRecovery { ms, over_ms } = self else {
            return self;
        };
        let active = u64::try_from(active.as_millis()).unwrap_or(u64::MAX);
        let left = over_ms.saturating_sub(active);
        Self::Slow {
            ms: ms.saturating_mul(left) / over_ms.max(1),
        }
    }
}

/// A plan under way.
struct Ordered {
    plan: Plan,
    since: Instant,
    chance: ChaCha8Rng,
}

impl Ordered {
    fn new(plan: Plan, now: Instant) -> Self {
        let chance = ChaCha8Rng::seed_from_u64(plan.seed());
        Self {
            plan,
            since: now,
            chance,
        }
    }

    /// The fault that strikes a call, counted down, with the name it was ordered by.
    fn strike(&mut self, call: &Incoming<'_>, now: Instant) -> Option<(&'static str, Fault)> {
        let since_ordered = now.duration_since(self.since);
        for order in self.plan.orders_mut() {
            let Some(active) = order.active_for(since_ordered) else {
                continue;
            };
            if !order.matches(call) || !self.chance.random_bool(order.probability) {
                continue;
            }
            if let Some(left) = &mut order.next {
                *left -= 1;
            }
            return Some((order.fault.into(), order.fault.after(active)));
        }
        None
    }
}

/// The faults that are ordered now, and the calls that each kind has struck.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Record>);

#[derive(Default)]
struct Record {
    ordered: Option<Ordered>,
    struck: BTreeMap<Struck, u64>,
}

/// Calls that a fault has struck.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Struck {
    mode: &'static str,
    /// `METHOD /path`.
    operation: String,
    order_id: Option<String>,
}

impl Record {
    /// How many calls each kind has struck.
    fn struck_by_mode(&self) -> BTreeMap<&'static str, u64> {
        let mut by_mode = BTreeMap::new();
        for (struck, calls) in &self.struck {
            *by_mode.entry(struck.mode).or_default() += calls;
        }
        by_mode
    }
}

impl Faults {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any is ordered.
    pub(crate) fn are_ordered(&self) -> bool {
        self.record().ordered.is_some()
    }

    /// The fault that strikes this call.
    pub(crate) fn strike(&self, call: &Incoming<'_>) -> Option<Fault> {
        let mut record = self.record();
        let (mode, fault) = record.ordered.as_mut()?.strike(call, Instant::now())?;
        let struck = Struck {
            mode,
            operation: call.operation.to_owned(),
            order_id: call.order_id.map(str::to_owned),
        };
        *record.struck.entry(struck).or_default() += 1;
        Some(fault)
    }
}

pub(crate) async fn show(State(shared): State<Shared>) -> Json<Value> {
    let record = shared.faults.record();
    let ordered = record.ordered.as_ref();
    let mut shown = ordered.map_or_else(|| json!({}), |ordered| json!(ordered.plan));
    shown["struck"] = json!(record.struck_by_mode());
    Json(shown)
}

/// Which calls were struck: of which provider, by what, for which order, and how many.
pub(crate) async fn show_struck(State(shared): State<Shared>) -> Json<Vec<Value>> {
    let record = shared.faults.record();
    let shown = record.struck.iter().map(|(struck, calls)| {
        let mut shown = json!(struck);
        shown["provider"] = shared.service.name.into();
        shown["calls"] = (*calls).into();
        shown
    });
    Json(shown.collect())
}

pub(crate) async fn order(State(shared): State<Shared>, Json(plan): Json<Plan>) -> StatusCode {
    tracing::info!(?plan, "fault.ordered");
    shared.faults.record().ordered = Some(Ordered::new(plan, Instant::now()));
    StatusCode::NO_CONTENT
}

pub(crate) async fn clear(State(shared): State<Shared>) -> StatusCode {
    shared.faults.record().ordered = None;
    StatusCode::NO_CONTENT
}

pub(crate) async fn forget_struck(State(shared): State<Shared>) -> StatusCode {
    shared.faults.record().struck.clear();
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_CALL: Incoming<'_> = Incoming {
        operation: "POST /v1/labels",
        order_id: Some("7"),
        is_repeatable: false,
    };

    fn ordered(plan: Value) -> Ordered {
        Ordered::new(plan.try_into().unwrap(), Instant::now())
    }

    impl Ordered {
        fn strikes_after(&mut self, ms: u64, call: &Incoming<'_>) -> Option<Fault> {
            let now = self.since + Duration::from_millis(ms);
            self.strike(call, now).map(|(_, fault)| fault)
        }
    }

    #[test]
    fn a_fault_strikes_only_within_its_window() {
        let mut outage = ordered(json!({ "mode": "refuse", "after_ms": 100, "for_ms": 50 }));
        let struck = [0, 99, 100, 149, 150].map(|ms| outage.strikes_after(ms, &A_CALL).is_some());
        assert_eq!(struck, [false, false, true, true, false]);
    }

    #[test]
    fn the_first_order_that_matches_strikes_until_it_is_used_up() {
        let mut plan = ordered(json!({ "seed": 1, "faults": [
            { "mode": "reset_before", "order_id": "8" },
            { "mode": "hang", "operation": "GET /" },
            { "mode": "duplicate" },
            { "mode": "malformed", "order_id": "7", "next": 1 },
            { "mode": "truncated" },
        ]}));
        let struck = [(); 2].map(|()| plan.strikes_after(0, &A_CALL));
        assert_eq!(struck, [Some(Fault::Malformed), Some(Fault::Truncated)]);
    }

    #[test]
    fn a_seed_draws_the_same_calls_again() {
        let draw = |seed: u64| {
            let fault = json!({ "mode": "refuse", "probability": 0.3 });
            let mut plan = ordered(json!({ "seed": seed, "faults": [fault] }));
            [(); 200].map(|()| plan.strikes_after(0, &A_CALL).is_some())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let struck = draw(7).into_iter().filter(|struck| *struck).count();
        assert!((30..90).contains(&struck), "{struck} of 200");
    }

    #[test]
    fn slowness_falls_to_nothing() {
        let mut plan = ordered(json!({
            "mode": "slow_recovery", "ms": 1000, "over_ms": 200, "after_ms": 50,
        }));
        let slowness = [50, 100, 250, 900].map(|ms| plan.strikes_after(ms, &A_CALL));
        assert_eq!(
            slowness,
            [1000, 750, 0, 0].map(|ms| Some(Fault::Slow { ms }))
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for plan in [
            json!({ "mode": "explode" }),
            json!({ "mode": "error", "status": 200 }),
            json!({ "mode": "refuse", "probability": 1.5 }),
            json!({ "seed": 1, "faults": [{ "mode": "slow" }] }),
            json!({ "faults": [] }),
        ] {
            assert!(Plan::try_from(plan.clone()).is_err(), "{plan}");
        }
    }
}
