//! What holds of a circuit after any events in any order.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::time::Duration;

use breaker::{
    Answer, Circuit, Config, Counts, Forced, Input, Override, Reason, Standing, State, Step,
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select};

/// How many are calling and probing.
const HOLDERS: u8 = 6;

/// What happens next, and how long after what was before.
#[derive(Debug, Clone)]
struct Happening {
    after: Duration,
    chance: f64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Counted { current: bool, counts: Counts },
    AskPermit(u8),
    AskLease(u8),
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

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let counts = (0..30_u64, 0..30_u64).prop_map(|(failures, successes)| Counts {
        calls: failures + successes,
        failures,
        ..Counts::default()
    });
    let kind = prop_oneof![
        4 => (any::<bool>(), counts).prop_map(|(current, counts)| Kind::Counted { current, counts }),
        6 => (0..HOLDERS).prop_map(Kind::AskPermit),
        6 => (0..HOLDERS).prop_map(Kind::AskLease),
        6 => (0..HOLDERS).prop_map(Kind::Passed),
        3 => (0..HOLDERS).prop_map(Kind::Failed),
        1 => select(vec![Forced::Open, Forced::Closed, Forced::Disabled]).prop_map(Kind::Force),
        2 => Just(Kind::Release),
    ];
    let after = prop_oneof![Just(0), 0..12_000_u64];
    let happening = (after, 0.0..=1.0_f64, kind).prop_map(|(after, chance, kind)| Happening {
        after: Duration::from_millis(after),
        chance,
        kind,
    });
    prop::collection::vec(happening, 1..120)
}

fn input(kind: &Kind, circuit: &Circuit, now: Timestamp) -> Input {
    let name = |holder: &u8| holder.to_string();
    match kind {
        Kind::Counted { current, counts } => Input::Counted {
            generation: circuit.generation + u64::from(!current),
            counts: *counts,
        },
        Kind::AskPermit(holder) => Input::AskPermit {
            holder: name(holder),
        },
        Kind::AskLease(holder) => Input::AskLease {
            holder: name(holder),
        },
        Kind::Passed(holder) => Input::Passed {
            holder: name(holder),
        },
        Kind::Failed(holder) => Input::Failed {
            holder: name(holder),
        },
        Kind::Force(forced) => Input::Force(Override {
            forced: *forced,
            by: "somebody".to_owned(),
            why: "a reason".to_owned(),
            at: now,
        }),
        Kind::Release => Input::Release {
            by: "somebody".to_owned(),
            why: "a reason".to_owned(),
        },
    }
}

/// Lets everything happen, and looks at each step: the circuit before, what it was told, when, and
/// what followed.
fn play(
    config: &Config,
    happenings: &[Happening],
    mut look: impl FnMut(&Circuit, &Input, Timestamp, &Step) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut circuit = Circuit::default();
    for happening in happenings {
        now += happening.after;
        let input = input(&happening.kind, &circuit, now);
        let step = circuit.step(input.clone(), now, happening.chance, config);
        look(&circuit, &input, now, &step)?;
        circuit = step.circuit;
    }
    Ok(())
}

fn live_permits(circuit: &Circuit, now: Timestamp) -> usize {
    circuit.permits.iter().filter(|it| it.until > now).count()
}

/// Who holds the lease.
fn prober(circuit: &Circuit, now: Timestamp) -> Option<&str> {
    let lease = circuit.lease.as_ref().filter(|lease| lease.until > now);
    lease.map(|lease| lease.holder.as_str())
}

fn is_waiting(circuit: &Circuit, now: Timestamp) -> bool {
    circuit.forced.is_none()
        && circuit.state == State::Open
        && circuit.retry_at.is_some_and(|retry_at| retry_at > now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn versions_grow_by_one_with_each_change_and_stay_without(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, _, _, step| {
            let grown = step.circuit.version - before.version;
            prop_assert_eq!(grown, u64::from(step.circuit != *before));
            if let Some(transition) = &step.effects.transition {
                prop_assert_eq!((grown, transition.version), (1, step.circuit.version));
                prop_assert_eq!((transition.from, transition.to), (before.state, step.circuit.state));
            } else {
                prop_assert_eq!(before.state, step.circuit.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn two_never_hold_the_lease(config in config(), happenings in happenings()) {
        play(&config, &happenings, |before, input, now, step| {
            if let (Some(before), Some(after)) = (prober(before, now), prober(&step.circuit, now)) {
                prop_assert_eq!(before, after);
            }
            if prober(before, now).is_some() && matches!(input, Input::AskLease { .. }) {
                prop_assert_ne!(step.effects.answer, Answer::Granted);
            }
            Ok(())
        })?;
    }

    #[test]
    fn nothing_is_let_through_before_an_open_circuit_is_due(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, input, now, step| {
            if !is_waiting(before, now) {
                return Ok(());
            }
            let retry_at = before.retry_at.unwrap();
            match input {
                Input::AskPermit { .. } => {
                    prop_assert_eq!(step.effects.answer, Answer::Refused { retry_at });
                }
                Input::AskLease { .. } => prop_assert_eq!(step.effects.answer, Answer::NotDue),
                _ => return Ok(()),
            }
            prop_assert_eq!(before, &step.circuit);
            Ok(())
        })?;
    }

    #[test]
    fn nothing_is_probed_that_is_closed_or_forced_or_tried_by_live_calls(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, input, now, step| {
            let settled = before.state == State::Closed
                || before.forced.is_some()
                || live_permits(before, now) > 0;
            if settled && matches!(input, Input::AskLease { .. }) {
                prop_assert_eq!(step.effects.answer, Answer::NotDue);
            }
            Ok(())
        })?;
    }

    #[test]
    fn half_open_calls_are_bounded(config in config(), happenings in happenings()) {
        play(&config, &happenings, |_, _, now, step| {
            let limit = usize::try_from(config.half_open_permits).unwrap();
            prop_assert!(live_permits(&step.circuit, now) <= limit);
            if step.circuit.state != State::HalfOpen {
                prop_assert!(step.circuit.permits.is_empty());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_call_is_answered_as_the_circuit_stands(config in config(), happenings in happenings()) {
        play(&config, &happenings, |before, input, now, step| {
            if matches!(input, Input::AskPermit { .. }) {
                let expected = match before.standing(now, &config) {
                    Standing::Free => Answer::Free,
                    Standing::Narrow => Answer::Granted,
                    Standing::Shut { retry_at } => {
                        prop_assert!(retry_at > now);
                        Answer::Refused { retry_at }
                    }
                };
                prop_assert_eq!(step.effects.answer, expected);
            }
            Ok(())
        })?;
    }

    #[test]
    fn it_stays_open_longer_each_time_in_a_row_within_bounds(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, _, now, step| {
            let after = &step.circuit;
            let opened = step.effects.transition.as_ref().is_some_and(|it| matches!(
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
    fn what_is_forced_ignores_calls_and_probes(config in config(), happenings in happenings()) {
        play(&config, &happenings, |before, input, now, step| {
            let Some(forced) = before.forced() else {
                return Ok(());
            };
            if !matches!(input, Input::Force(_) | Input::Release { .. }) {
                prop_assert_eq!(before, &step.circuit);
            }
            let shut = matches!(before.standing(now, &config), Standing::Shut { .. });
            prop_assert_eq!(shut, forced == Forced::Open);
            Ok(())
        })?;
    }

    #[test]
    fn only_who_was_let_through_moves_a_circuit_that_is_not_closed(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, input, now, step| {
            let (Input::Passed { holder } | Input::Failed { holder }) = input else {
                return Ok(());
            };
            let permitted = before.permits.iter().any(|it| it.until > now && it.holder == *holder);
            let entitled = permitted || prober(before, now) == Some(holder.as_str());
            prop_assert_eq!(
                step.circuit != *before,
                entitled && before.forced.is_none()
            );
            Ok(())
        })?;
    }

    #[test]
    fn it_opens_by_enough_failures_of_its_own_generation_alone(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, input, _, step| {
            let Input::Counted { generation, counts } = input else {
                return Ok(());
            };
            let enough = counts.calls >= config.minimum_calls && 2 * counts.failures >= counts.calls;
            let opens = enough
                && *generation == before.generation
                && before.state == State::Closed
                && before.forced.is_none();
            prop_assert_eq!(step.circuit != *before, opens);
            Ok(())
        })?;
    }

    #[test]
    fn it_closes_after_enough_successes_and_then_counts_afresh(
        config in config(), happenings in happenings()
    ) {
        play(&config, &happenings, |before, _, _, step| {
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
    fn it_reads_as_it_was_written(config in config(), happenings in happenings()) {
        play(&config, &happenings, |_, _, _, step| {
            let text = serde_json::to_string(&step.circuit).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Circuit>(&text).unwrap(), &step.circuit);
            Ok(())
        })?;
    }
}
