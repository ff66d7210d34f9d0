//! Fault injection: which fault strikes which call, and when. [`crate::injection`] applies it.

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

/// What goes wrong with a call. "Processes" means that the call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "mode", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Fault {
    /// Answers with this status and does not process the call. `kept`: fails after processing has
    /// begun, so Stripe stores the answer under the idempotency key, and ShipEngine keeps the
    /// shipment without a label.
    Error {
        status: u16,
        #[serde(default)]
        kept: bool,
    },
    /// Answers with a final refusal in the provider's form, after processing has begun.
    Refuse,
    /// Answers with an error of the caller's account and does not process the call. `kept`: as with
    /// [`Fault::Error`].
    #[serde(rename = "not_served")]
    #[strum(serialize = "not_served")]
    AccountError {
        #[serde(default)]
        kept: bool,
    },
    /// Answers 500, stores that under the idempotency key, and processes the call after `ms`.
    LateEffect { ms: u64 },
    /// Answers with a label that the carrier failed to create.
    LabelError,
    /// Answers with a label that stays `processing` for `ms`.
    LabelProcessing { ms: u64 },
    /// Answers 429 and does not process the call. `retry_after`: in seconds.
    RateLimited { retry_after: u16 },
    /// Processes the call after `ms`, unless the caller has disconnected by then.
    Slow { ms: u64 },
    /// Adds a delay that falls linearly from `ms` to zero within `over_ms`.
    SlowRecovery { ms: u64, over_ms: u64 },
    /// Does not process the call and answers only after `ms`: by default, later than any caller
    /// waits.
    Hang { ms: Option<u64> },
    /// Processes the call, then hangs as [`Fault::Hang`].
    HangAfter { ms: Option<u64> },
    /// Resets the connection and does not process the call.
    ResetBefore,
    /// Processes the call and resets the connection.
    ResetAfter,
    /// Processes the call and closes the connection without an answer.
    LoseAnswer,
    /// Processes the call twice, as if the network had delivered it twice, and sends the second
    /// answer. Strikes only calls that the provider deduplicates.
    Duplicate,
    /// Processes the call and sends half of the body as a complete answer.
    Truncated,
    /// Processes the call and answers invalid JSON as `application/json`.
    Malformed,
    /// Processes the call and answers an HTML page.
    WrongContentType,
    /// Forgets the idempotency keys that are older than this, then processes the call.
    ForgetKeys { older_than_ms: u64 },
    /// Processes the call, but a search does not find objects of the last `ms`.
    SearchLag { ms: u64 },
}

/// A fault, and the calls that it strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultRule {
    #[serde(flatten)]
    fault: Fault,
    /// How many more calls it strikes; without a limit by default.
    next: Option<u32>,
    /// Only calls whose `METHOD /path` contains this.
    operation: Option<String>,
    /// Only calls that concern this order.
    order_id: Option<String>,
    /// The share of the matching calls that it strikes, from 0 to 1.
    #[serde(default = "always")]
    probability: f64,
    /// When it begins, after it was set.
    #[serde(default)]
    after_ms: u64,
    /// How long it lasts from then on; until it is cleared by default.
    for_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

/// The faults that are set together. The first rule that matches a call and is drawn strikes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) enum Plan {
    /// A single fault.
    One(FaultRule),
    /// Several, drawn with a seed.
    Many { seed: u64, faults: Vec<FaultRule> },
}

#[derive(Serialize, Deserialize)]
struct Many {
    seed: u64,
    faults: Vec<FaultRule>,
}

/// Why a plan is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the probability {0} is not between 0 and 1")]
    Probability(f64),
    #[error("the status {0} is not an error: it must be between 400 and 599")]
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
        plan.rules().iter().try_for_each(FaultRule::check)?;
        Ok(plan)
    }
}

impl From<Plan> for Value {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::One(rule) => json!(rule),
            Plan::Many { seed, faults } => json!(Many { seed, faults }),
        }
    }
}

impl Plan {
    fn rules(&self) -> &[FaultRule] {
        match self {
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many { faults, .. } => faults,
        }
    }

    fn rules_mut(&mut self) -> &mut [FaultRule] {
        match self {
            Self::One(rule) => std::slice::from_mut(rule),
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

/// A call before it is processed.
pub(crate) struct IncomingCall<'a> {
    /// `METHOD /path`.
    pub(crate) operation: &'a str,
    /// The order that it concerns.
    pub(crate) order_id: Option<&'a str>,
    /// Whether the provider would deduplicate it.
    pub(crate) is_repeatable: bool,
}

impl FaultRule {
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

    /// How long it has been active; `None` before it begins and after it ends.
    fn active_for(&self, since_start: Duration) -> Option<Duration> {
        let active = since_start.checked_sub(Duration::from_millis(self.after_ms))?;
        self.for_ms
            .is_none_or(|ms| active < Duration::from_millis(ms))
            .then_some(active)
    }

    fn matches(&self, call: &IncomingCall<'_>) -> bool {
        let is_in_operation = |part: &String| call.operation.contains(part.as_str());
        self.next != Some(0)
            && self.operation.as_ref().is_none_or(is_in_operation)
            && self
                .order_id
                .as_ref()
                .is_none_or(|id| call.order_id == Some(id))
            && (self.fault != Fault::Duplicate || call.is_repeatable)
    }
}

impl Fault {
    /// The fault after it has been active for this long: a slow recovery is less slow.
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

/// The plan that is set, since when, and its random numbers.
struct ActivePlan {
    plan: Plan,
    since: Instant,
    chance: ChaCha8Rng,
}

impl ActivePlan {
    fn new(plan: Plan, now: Instant) -> Self {
        let chance = ChaCha8Rng::seed_from_u64(plan.seed());
        Self {
            plan,
            since: now,
            chance,
        }
    }

    /// The fault that strikes the call, with its mode; counts its rule down.
    fn strike(&mut self, call: &IncomingCall<'_>, now: Instant) -> Option<(&'static str, Fault)> {
        let since_start = now.duration_since(self.since);
        for rule in self.plan.rules_mut() {
            let Some(active) = rule.active_for(since_start) else {
                continue;
            };
            if !rule.matches(call) || !self.chance.random_bool(rule.probability) {
                continue;
            }
            if let Some(left) = &mut rule.next {
                *left -= 1;
            }
            return Some((rule.fault.into(), rule.fault.after(active)));
        }
        None
    }
}

/// The active plan, and the calls that were struck.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Record>);

#[derive(Default)]
struct Record {
    active: Option<ActivePlan>,
    struck: BTreeMap<StruckCall, u64>,
}

/// Calls that a fault struck, grouped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct StruckCall {
    mode: &'static str,
    /// `METHOD /path`.
    operation: String,
    order_id: Option<String>,
}

impl Record {
    /// The number of struck calls by mode.
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

    /// Whether any fault is set.
    pub(crate) fn is_active(&self) -> bool {
        self.record().active.is_some()
    }

    /// The fault that strikes the call, if any; counts the call as struck.
    pub(crate) fn strike(&self, call: &IncomingCall<'_>) -> Option<Fault> {
        let mut record = self.record();
        let (mode, fault) = record.active.as_mut()?.strike(call, Instant::now())?;
        let struck = StruckCall {
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
    let active = record.active.as_ref();
    let mut shown = active.map_or_else(|| json!({}), |active| json!(active.plan));
    shown["struck"] = json!(record.struck_by_mode());
    Json(shown)
}

/// The struck calls: provider, mode, operation, order and number of each.
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

pub(crate) async fn set(State(shared): State<Shared>, Json(plan): Json<Plan>) -> StatusCode {
    tracing::info!(?plan, "faults.set");
    shared.faults.record().active = Some(ActivePlan::new(plan, Instant::now()));
    StatusCode::NO_CONTENT
}

pub(crate) async fn clear(State(shared): State<Shared>) -> StatusCode {
    shared.faults.record().active = None;
    StatusCode::NO_CONTENT
}

pub(crate) async fn reset_struck(State(shared): State<Shared>) -> StatusCode {
    shared.faults.record().struck.clear();
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_CALL: IncomingCall<'_> = IncomingCall {
        operation: "POST /v1/labels",
        order_id: Some("7"),
        is_repeatable: false,
    };

    fn active(plan: Value) -> ActivePlan {
        ActivePlan::new(plan.try_into().unwrap(), Instant::now())
    }

    impl ActivePlan {
        fn strike_after(&mut self, ms: u64, call: &IncomingCall<'_>) -> Option<Fault> {
            let now = self.since + Duration::from_millis(ms);
            self.strike(call, now).map(|(_, fault)| fault)
        }
    }

    #[test]
    fn a_fault_strikes_only_within_its_window() {
        let mut outage = active(json!({ "mode": "refuse", "after_ms": 100, "for_ms": 50 }));
        let struck = [0, 99, 100, 149, 150].map(|ms| outage.strike_after(ms, &A_CALL).is_some());
        assert_eq!(struck, [false, false, true, true, false]);
    }

    #[test]
    fn the_first_matching_rule_strikes_until_it_is_used_up() {
        let mut plan = active(json!({ "seed": 1, "faults": [
            { "mode": "reset_before", "order_id": "8" },
            { "mode": "hang", "operation": "GET /" },
            { "mode": "duplicate" },
            { "mode": "malformed", "order_id": "7", "next": 1 },
            { "mode": "truncated" },
        ]}));
        let struck = [(); 2].map(|()| plan.strike_after(0, &A_CALL));
        assert_eq!(struck, [Some(Fault::Malformed), Some(Fault::Truncated)]);
    }

    #[test]
    fn the_same_seed_strikes_the_same_calls() {
        let draw = |seed: u64| {
            let fault = json!({ "mode": "refuse", "probability": 0.3 });
            let mut plan = active(json!({ "seed": seed, "faults": [fault] }));
            [(); 200].map(|()| plan.strike_after(0, &A_CALL).is_some())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let struck = draw(7).into_iter().filter(|struck| *struck).count();
        assert!((30..90).contains(&struck), "{struck} of 200");
    }

    #[test]
    fn the_delay_of_a_slow_recovery_falls_to_zero() {
        let mut plan = active(json!({
            "mode": "slow_recovery", "ms": 1000, "over_ms": 200, "after_ms": 50,
        }));
        let delays = [50, 100, 250, 900].map(|ms| plan.strike_after(ms, &A_CALL));
        assert_eq!(delays, [1000, 750, 0, 0].map(|ms| Some(Fault::Slow { ms })));
    }

    #[test]
    fn an_invalid_plan_is_refused() {
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
