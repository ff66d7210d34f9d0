//! Invariants of a circuit under random events.

use std::time::Duration;

use jiff::Timestamp;
use proptest::{prelude::*, sample::select};

use super::{AdmissionRule, Circuit, CircuitInput, Decision, Forced, Override, State, Step};
use crate::{config::Config, counts::Counts, history::Reason};

/// The number of concurrent callers.
const HOLDERS: u8 = 6;

/// A random input, and the time since the previous one.
#[derive(Debug, Clone)]
struct TestEvent {
    after: Duration,
    jitter: f64,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Counted { current: bool, counts: Counts },
    RequestPermit(u8),
    RequestLease(u8),
    Passed(u8),
    Failed(u8),
    Force(Forced),
    Release,
}

fn config() -> impl Strategy<Value = Config> {
    (1..5_u32, 1..4_u32, 1..20_u64, any::<bool>()).prop_map(
        |(half_open_permits, successes_to_close, minimum_calls, live_calls_probe)| Config {
            half_open_permits,
            successes_to_close,
            minimum_calls,
            live_calls_probe,
            lease_for: Duration::from_secs(8),
            ..Config::default()
        },
    )
}

fn events() -> impl Strategy<Value = Vec<TestEvent>> {
    let counts = (0..30_u64, 0..30_u64).prop_map(|(failures, successes)| Counts {
        calls: failures + successes,
        failures,
        ..Counts::default()
    });
    let action = prop_oneof![
        4 => (any::<bool>(), counts)
            .prop_map(|(current, counts)| Action::Counted { current, counts }),
        6 => (0..HOLDERS).prop_map(Action::RequestPermit),
        6 => (0..HOLDERS).prop_map(Action::RequestLease),
        6 => (0..HOLDERS).prop_map(Action::Passed),
        3 => (0..HOLDERS).prop_map(Action::Failed),
        1 => select(vec![Forced::Open, Forced::Closed, Forced::Disabled]).prop_map(Action::Force),
        2 => Just(Action::Release),
    ];
    let after = prop_oneof![Just(0), 0..12_000_u64];
    let event = (after, 0.0..=1.0_f64, action).prop_map(|(after, jitter, action)| TestEvent {
        after: Duration::from_millis(after),
        jitter,
        action,
    });
    prop::collection::vec(event, 1..120)
}

fn input(action: &Action, circuit: &Circuit, now: Timestamp) -> CircuitInput {
    let name = |holder: &u8| holder.to_string();
    match action {
        Action::Counted { current, counts } => CircuitInput::Counted {
            generation: circuit.generation + u64::from(!current),
            counts: *counts,
        },
        Action::RequestPermit(holder) => CircuitInput::RequestPermit {
            holder: name(holder),
        },
        Action::RequestLease(holder) => CircuitInput::RequestLease {
            holder: name(holder),
        },
        Action::Passed(holder) => CircuitInput::Passed {
            holder: name(holder),
        },
        Action::Failed(holder) => CircuitInput::Failed {
            holder: name(holder),
        },
        Action::Force(forced) => CircuitInput::Force(Override {
            forced: *forced,
            by: "ada".to_owned(),
            why: "a reason".to_owned(),
            at: now,
        }),
        Action::Release => CircuitInput::Release {
            by: "ada".to_owned(),
            why: "a reason".to_owned(),
        },
    }
}

/// Applies all events. Calls `check` for each step with the circuit before it, the input, the time
/// and the outcome.
fn run(
    config: &Config,
    events: &[TestEvent],
    mut check: impl FnMut(&Circuit, &CircuitInput, Timestamp, &Step) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut circuit = Circuit::default();
    for event in events {
        now += event.after;
        let input = input(&event.action, &circuit, now);
        let step = circuit.step(input.clone(), now, event.jitter, config);
        check(&circuit, &input, now, &step)?;
        circuit = step.circuit;
    }
    Ok(())
}

fn live_permits(circuit: &Circuit, now: Timestamp) -> usize {
    circuit.permits.iter().filter(|it| it.until > now).count()
}

/// The holder of the probe's lease.
fn lease_holder(circuit: &Circuit, now: Timestamp) -> Option<&str> {
    let lease = circuit.lease.as_ref().filter(|lease| lease.until > now);
    lease.map(|lease| lease.holder.as_str())
}

fn is_open_and_not_due(circuit: &Circuit, now: Timestamp) -> bool {
    circuit.forced.is_none()
        && circuit.state == State::Open
        && circuit.retry_at.is_some_and(|retry_at| retry_at > now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_version_grows_by_one_with_each_change(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, _, _, step| {
            let grown = step.circuit.version - before.version;
            prop_assert_eq!(grown, u64::from(step.circuit != *before));
            if let Some(transition) = &step.transition {
                prop_assert_eq!((grown, transition.version), (1, step.circuit.version));
                let (from, to) = (transition.from, transition.to);
                prop_assert_eq!((from, to), (before.state, step.circuit.state));
            } else {
                prop_assert_eq!(before.state, step.circuit.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_lease_has_at_most_one_holder(config in config(), events in events()) {
        run(&config, &events, |before, input, now, step| {
            let holders = (lease_holder(before, now), lease_holder(&step.circuit, now));
            if let (Some(before), Some(after)) = holders {
                prop_assert_eq!(before, after);
            }
            let is_request = matches!(input, CircuitInput::RequestLease { .. });
            if lease_holder(before, now).is_some() && is_request {
                prop_assert_ne!(step.decision, Decision::Granted);
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_open_circuit_admits_nothing_before_it_is_due(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, input, now, step| {
            if !is_open_and_not_due(before, now) {
                return Ok(());
            }
            let retry_at = before.retry_at.unwrap();
            match input {
                CircuitInput::RequestPermit { .. } => {
                    prop_assert_eq!(step.decision, Decision::Refused { retry_at });
                }
                CircuitInput::RequestLease { .. } => {
                    prop_assert_eq!(step.decision, Decision::NotDue);
                }
                _ => return Ok(()),
            }
            prop_assert_eq!(before, &step.circuit);
            Ok(())
        })?;
    }

    #[test]
    fn a_closed_or_forced_circuit_or_one_with_half_open_calls_is_not_probed(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, input, now, step| {
            let needs_no_probe = before.state == State::Closed
                || before.forced.is_some()
                || live_permits(before, now) > 0;
            if needs_no_probe && matches!(input, CircuitInput::RequestLease { .. }) {
                prop_assert_eq!(step.decision, Decision::NotDue);
            }
            Ok(())
        })?;
    }

    #[test]
    fn half_open_calls_are_bounded(config in config(), events in events()) {
        run(&config, &events, |_, _, now, step| {
            let limit = usize::try_from(config.half_open_permits).unwrap();
            prop_assert!(live_permits(&step.circuit, now) <= limit);
            if step.circuit.state != State::HalfOpen {
                prop_assert!(step.circuit.permits.is_empty());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_permit_is_granted_as_the_admission_rule_says(config in config(), events in events()) {
        run(&config, &events, |before, input, now, step| {
            if matches!(input, CircuitInput::RequestPermit { .. }) {
                let expected = match before.admission_rule(now, &config) {
                    AdmissionRule::Admit => Decision::Admitted,
                    AdmissionRule::Trial => Decision::Granted,
                    AdmissionRule::Refuse { retry_at } => {
                        prop_assert!(retry_at > now);
                        Decision::Refused { retry_at }
                    }
                };
                prop_assert_eq!(step.decision, expected);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_open_time_doubles_within_bounds(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, _, now, step| {
            let after = &step.circuit;
            let opened = step.transition.as_ref().is_some_and(|it| matches!(
                it.reason,
                Reason::FailureRate | Reason::SlowRate | Reason::ProbeFailed | Reason::TrialFailed
            ));
            if opened {
                prop_assert_eq!(after.state, State::Open);
                prop_assert_eq!(after.consecutive_opens, before.consecutive_opens + 1);
                let doublings = before.consecutive_opens.min(20);
                let span = (config.open_for * 2_u32.pow(doublings)).min(config.max_open_for);
                let retry_at = after.retry_at.unwrap();
                prop_assert!(now + span / 2 <= retry_at && retry_at <= now + span);
            }
            if after.state == State::Closed {
                prop_assert_eq!(after.consecutive_opens, 0);
                prop_assert!(after.retry_at.is_none() && after.opened_at.is_none());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_forced_circuit_ignores_calls_and_probes(config in config(), events in events()) {
        run(&config, &events, |before, input, now, step| {
            let Some(forced) = before.forced() else {
                return Ok(());
            };
            if !matches!(input, CircuitInput::Force(_) | CircuitInput::Release { .. }) {
                prop_assert_eq!(before, &step.circuit);
            }
            let rule = before.admission_rule(now, &config);
            let refused = matches!(rule, AdmissionRule::Refuse { .. });
            prop_assert_eq!(refused, forced == Forced::Open);
            Ok(())
        })?;
    }

    #[test]
    fn only_a_holder_s_result_moves_a_circuit_that_is_not_closed(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, input, now, step| {
            let (CircuitInput::Passed { holder } | CircuitInput::Failed { holder }) = input else {
                return Ok(());
            };
            let permitted = before.permits.iter().any(|it| it.until > now && it.holder == *holder);
            let entitled = permitted || lease_holder(before, now) == Some(holder.as_str());
            prop_assert_eq!(
                step.circuit != *before,
                entitled && before.forced.is_none()
            );
            Ok(())
        })?;
    }

    #[test]
    fn it_opens_only_after_enough_failures_of_its_generation(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, input, _, step| {
            let CircuitInput::Counted { generation, counts } = input else {
                return Ok(());
            };
            let enough =
                counts.calls >= config.minimum_calls && 2 * counts.failures >= counts.calls;
            let opens = enough
                && *generation == before.generation
                && before.state == State::Closed
                && before.forced.is_none();
            prop_assert_eq!(step.circuit != *before, opens);
            Ok(())
        })?;
    }

    #[test]
    fn it_closes_after_enough_successes_and_begins_a_new_generation(
        config in config(), events in events()
    ) {
        run(&config, &events, |before, _, _, step| {
            let after = &step.circuit;
            let closed = before.state != State::Closed && after.state == State::Closed;
            prop_assert_eq!(after.generation - before.generation, u64::from(closed));
            if closed {
                prop_assert_eq!(before.successes + 1, config.successes_to_close);
            }
            prop_assert!(after.successes < config.successes_to_close);
            Ok(())
        })?;
    }

    #[test]
    fn it_survives_serialization(config in config(), events in events()) {
        run(&config, &events, |_, _, _, step| {
            let text = serde_json::to_string(&step.circuit).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Circuit>(&text).unwrap(), &step.circuit);
            Ok(())
        })?;
    }
}
