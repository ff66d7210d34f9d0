//! A model checker runs the worker's own steps on a small world: one order, both providers, and the
//! state machines as they are deployed. It tries every way in which a bounded number of faults,
//! crashes, cancels, webhooks, outages and delays can meet, and checks in every state that the
//! invariants of `docs/resilience.md` hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod conformance;
mod machine;
mod providers;
mod state;
mod steps;
mod world;

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use orders::{OrderId, OrderStatus, Provider};
use stateright::{Checker, HasDiscoveries, Model, Property};
use uuid::Uuid;

use self::{
    machine::Machine,
    state::State,
    steps::{Action, Collector},
    world::{World, all_runs},
};
use crate::{Limits, Outcome, Step, Steps};

/// The order's id, which contains the time at which it was placed.
const ORDER: OrderId = OrderId(Uuid::from_u128(0x018c_c251_f400_7000_8000_0000_0000_0001));

/// When the order was placed, in Unix seconds: 2024-01-01.
const PLACED_AT: i64 = 1_704_067_200;

/// The order's total, and how much of it is refunded, in cents.
const TOTAL: i64 = 2_000;
const REFUNDED: i64 = 500;

/// One unit of the model's time. The effect of a call shows after one unit.
const UNIT: SignedDuration = SignedDuration::from_hours(1);

/// Waits of up to this length end in the same unit, which allows a few attempts of a step.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(15);

/// How many units an order may wait, and how many while its payment is not authorized.
const MAX_WAIT: u8 = 3;
const MAX_UNAUTHORIZED_WAIT: u8 = 2;

/// How many units the hold on a card lasts.
const HOLD_LASTS: u8 = 4;

/// How many units the payment provider remembers a key. The worker relies on one less.
const KEYS_LAST: u8 = 3;

/// The unit from which on no provider is down.
const OUTAGES_END: u8 = 6;

/// The unit by which every order must have ended.
const END: u8 = 12;

fn at(units: u8) -> Timestamp {
    Timestamp::from_second(PLACED_AT).unwrap() + UNIT * i32::from(units)
}

/// The conditions that stay the same throughout a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rules {
    fate: Fate,
    /// The correction that the worker or its state machine lacks, if any.
    without: Option<Fix>,
}

/// How an order must end if it is not cancelled first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    /// It is shipped.
    Shipped,
    /// Its card is declined.
    Declined,
    /// The bank requires the shopper to authenticate.
    RequiresAction,
    /// No carrier delivers to its address.
    GoesNowhere,
}

/// A correction without which an invariant is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fix {
    /// A payment carries the order's round in its metadata.
    Rounds,
    /// The payment is voided before the label and does not wait for it.
    PaymentVoidedFirst,
    /// A cancellation resumes a waiting order.
    CancelResumes,
    /// After an error, another key is used only when a look-up must show the effect of the call.
    LookUpFirst,
}

impl Rules {
    fn lacks(self, fix: Fix) -> bool {
        self.without == Some(fix)
    }

    fn machine(self) -> &'static Machine {
        if self.lacks(Fix::PaymentVoidedFirst) {
            &LABEL_FIRST
        } else {
            &ORDERS
        }
    }
}

static ORDERS: LazyLock<Machine> =
    LazyLock::new(|| Machine::new(include_str!("../../../statemachines/order.asl.json")));

static REFUNDS: LazyLock<Machine> =
    LazyLock::new(|| Machine::new(include_str!("../../../statemachines/refund.asl.json")));

/// The state machine with the original order of undoing: the label first, then the payment, which
/// waits for the label.
static LABEL_FIRST: LazyLock<Machine> = LazyLock::new(|| {
    let machine = Machine::new(include_str!("../../../statemachines/order.asl.json"));
    machine.with_next(&[
        ("PaymentOutcome", "VoidLabel"),
        ("LabelOutcome", "VoidLabel"),
        ("CaptureOutcome", "VoidLabel"),
        ("UndoOutcome", "VoidPayment"),
        ("VoidPayment", "CloseOrder"),
    ])
});

fn worker(rules: Rules, services: World) -> Steps<World> {
    let units = |units: u8| UNIT * i32::from(units);
    Steps {
        shop: "shop".parse().unwrap(),
        services,
        limits: Limits {
            max_wait: units(MAX_WAIT),
            max_unauthorized_wait: units(MAX_UNAUTHORIZED_WAIT),
            look_up_after: units(u8::from(!rules.lacks(Fix::LookUpFirst))),
            key_life: units(KEYS_LAST - 1),
            reconcile_after: units(1),
            released_calls_per_second: 1,
        },
    }
}

/// How many of each may happen in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Budget {
    faults: u8,
    cancels: u8,
    /// Webhooks, and comparisons of a record in the middle of a task.
    interruptions: u8,
    outages: u8,
    refunds: u8,
    /// Hours in which nothing runs although something could.
    delays: u8,
}

/// The model: its initial states, each with its rules and its budget.
struct Saga {
    start: Vec<State>,
}

impl Saga {
    fn of(rules: impl IntoIterator<Item = Rules>, budget: Budget) -> Self {
        let start = rules.into_iter().map(|rules| State::new(rules, budget));
        Self {
            start: start.collect(),
        }
    }
}

impl Model for Saga {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.start.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        Collector::collect(state, actions);
    }

    fn next_state(&self, _: &State, action: Action) -> Option<State> {
        Some(*action.next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is done too early", |_, state: &State| {
                state.wrongs.is_empty()
            }),
            Property::always("money is captured once", |_, state: &State| {
                state.payments.count("succeeded") <= 1
            }),
            Property::always("money is held once", |_, state: &State| {
                state.payments.count("requires_capture") + state.payments.count("succeeded") <= 1
            }),
            Property::always("an order is cancelled for a reason", |_, state: &State| {
                state.is_cancelled_for_a_reason()
            }),
            Property::always(
                "a cancelled order that waits for shipping holds no money",
                |_, state: &State| {
                    state.order.status != OrderStatus::Cancelled
                        || state.undo_is_asked
                        || !state.is_parked_for(Provider::Shipping)
                        || state.payments.count("requires_capture") == 0
                },
            ),
            Property::always("a refund is made once", |_, state: &State| {
                state.payments.refunds.len() <= 1
            }),
            Property::always("all that is begun ends", |_, state: &State| {
                state.now < END || state.is_over()
            }),
            Property::always("what is over is clean", |_, state: &State| {
                !state.is_over() || state.compared().is_clean()
            }),
            Property::sometimes("an order is shipped", |_, state: &State| {
                state.order.status == OrderStatus::Completed
            }),
        ]
    }
}

/// Runs the model checker. Returns the names of the properties that do not hold, and prints a
/// counterexample for each.
fn broken(saga: Saga, name: &str) -> Vec<String> {
    let begun = std::time::Instant::now();
    let checker = saga
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} of them different, {} deep, in {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    let found = checker.discoveries();
    let broken = found.into_iter().filter(|(property, _)| {
        checker.discovery_classification(property).to_string() == "counterexample"
    });
    broken
        .map(|(property, path)| {
            println!("{property}, but:");
            for action in path.clone().into_actions() {
                println!("  {action:?}");
            }
            println!("{:#?}", path.last_state());
            property.to_owned()
        })
        .collect()
}

/// The order can be shipped, and the worker lacks no correction.
const RULES: Rules = Rules {
    fate: Fate::Shipped,
    without: None,
};

const CALM: Budget = Budget {
    faults: 0,
    cancels: 0,
    interruptions: 0,
    outages: 0,
    refunds: 0,
    delays: 0,
};

#[test]
fn orders_end_as_they_should_after_any_two_faults() {
    let budget = Budget {
        faults: 2,
        cancels: 1,
        ..CALM
    };
    let fates = [
        Fate::Shipped,
        Fate::Declined,
        Fate::RequiresAction,
        Fate::GoesNowhere,
    ];
    let rules = fates.map(|fate| Rules { fate, ..RULES });
    assert!(broken(Saga::of(rules, budget), "faults").is_empty());
}

#[test]
fn orders_end_as_they_should_when_a_step_is_interrupted() {
    let budget = Budget {
        faults: 2,
        cancels: 1,
        interruptions: 1,
        ..CALM
    };
    assert!(broken(Saga::of([RULES], budget), "interruptions").is_empty());
}

#[test]
fn orders_end_as_they_should_in_an_outage() {
    let budget = Budget {
        faults: 1,
        cancels: 1,
        outages: 1,
        delays: 1,
        ..CALM
    };
    assert!(broken(Saga::of([RULES], budget), "outages").is_empty());
}

#[test]
fn orders_end_as_they_should_at_their_deadlines() {
    let budget = Budget {
        faults: 1,
        interruptions: 1,
        delays: MAX_WAIT,
        ..CALM
    };
    assert!(broken(Saga::of([RULES], budget), "deadlines").is_empty());
}

#[test]
fn refunds_are_made_once() {
    let budget = Budget {
        faults: 2,
        outages: 1,
        refunds: 1,
        ..CALM
    };
    assert!(broken(Saga::of([RULES], budget), "refunds").is_empty());
}

/// Step Functions runs a step again if Lambda throttles it or its environment dies. Repeating the
/// call returns what an earlier run did, without a search.
#[test]
fn a_step_that_runs_again_makes_no_search() {
    let authorize =
        |worker: Steps<World>| async move { worker.run(ORDER, Step::AuthorizePayment).await };
    let start = State::new(RULES, Budget { faults: 1, ..CALM });
    let runs = all_runs(&start, authorize);
    let died: Vec<_> = runs.iter().filter(|run| run.result.is_none()).collect();
    assert!(
        died.iter()
            .any(|run| run.state.payments.count("requires_capture") == 1)
    );
    for run in died {
        for again in all_runs(&run.state, authorize) {
            assert!(matches!(again.result, Some(Ok(Outcome::Done))));
            assert_eq!(again.searches, 0);
        }
    }
}

/// Asserts that the property does not hold without the correction.
#[track_caller]
fn breaks(without: Fix, budget: Budget, property: &str) {
    let rules = Rules {
        without: Some(without),
        ..RULES
    };
    let broken = broken(Saga::of([rules], budget), property);
    assert!(broken.iter().any(|it| it == property), "{broken:?}");
}

#[test]
fn without_rounds_a_good_order_is_cancelled_as_declined() {
    let budget = Budget { faults: 2, ..CALM };
    breaks(Fix::Rounds, budget, "an order is cancelled for a reason");
}

#[test]
fn undoing_in_the_wrong_order_leaves_a_hold_while_shipping_is_down() {
    let budget = Budget {
        cancels: 1,
        outages: 1,
        ..CALM
    };
    for fix in [Fix::PaymentVoidedFirst, Fix::CancelResumes] {
        let property = "a cancelled order that waits for shipping holds no money";
        breaks(fix, budget, property);
    }
}

#[test]
fn an_immediate_new_key_makes_a_refund_twice() {
    let budget = Budget {
        faults: 1,
        refunds: 1,
        ..CALM
    };
    breaks(Fix::LookUpFirst, budget, "a refund is made once");
}

#[test]
#[ignore = "it takes many minutes"]
fn orders_end_as_they_should_whatever_happens() {
    let budget = Budget {
        faults: 2,
        cancels: 1,
        interruptions: 1,
        outages: 1,
        refunds: 1,
        delays: 1,
    };
    assert!(broken(Saga::of([RULES], budget), "everything").is_empty());
}
