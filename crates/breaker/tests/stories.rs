//! The behaviour of a breaker as its callers see it, with a manual clock.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod calls;
mod clock;

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use breaker::{
    Breaker, BreakerEvent, Circuit, Config, Counts, Error, Forced, Memory, ProbeOutcome, Reason,
    Slot, SpendOutcome, State, Store, Transition, WriteOutcome,
};
use calls::{QUICK, assert_refused, permit};
use clock::Clock;
use jiff::Timestamp;

/// The breaker of one process of the fleet. Ten failures open its circuit, for 5 s.
fn process(store: &Memory, clock: &Clock) -> Breaker<Memory> {
    process_with(store, clock, Config::default())
}

fn process_with(store: &Memory, clock: &Clock, config: Config) -> Breaker<Memory> {
    Breaker::with_env(store.clone(), "payments", config, clock.env())
}

async fn record_failures(breaker: &Breaker<Memory>, times: usize) {
    for _ in 0..times {
        permit(breaker).await.record_failure(QUICK).await;
    }
}

async fn record_successes(breaker: &Breaker<Memory>, times: usize) {
    for _ in 0..times {
        permit(breaker).await.record_success(QUICK).await;
    }
}

async fn state(breaker: &Breaker<Memory>) -> State {
    breaker.status().await.unwrap().state
}

async fn probe(breaker: &Breaker<Memory>, result: Result<(), ()>) -> ProbeOutcome {
    breaker.probe(async || result).await.unwrap()
}

#[tokio::test]
async fn a_thousand_healthy_calls_write_nothing_and_read_once_a_second() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    for _ in 0..1_000 {
        record_successes(&breaker, 1).await;
        clock.advance(Duration::from_millis(10));
    }
    let tally = store.tally();
    assert_eq!((tally.writes, tally.reads), (0, 10));
}

#[tokio::test]
async fn an_open_circuit_admits_nothing_and_reads_nothing_until_it_is_due() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    let tally = store.tally();
    let retry_at = assert_refused(&breaker).await;
    assert_eq!(retry_at, clock.now() + Duration::from_secs(5));
    for _ in 0..499 {
        clock.advance(Duration::from_millis(10));
        assert_eq!(assert_refused(&breaker).await, retry_at);
    }
    assert_eq!(store.tally(), tally);
}

#[tokio::test]
async fn the_failures_of_one_process_open_the_circuit_for_all() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (process(&store, &clock), process(&store, &clock));
    record_successes(&other, 1).await;
    record_failures(&one, 10).await;
    clock.advance(Duration::from_secs(1));
    assert_refused(&other).await;
}

#[tokio::test]
async fn failures_of_all_processes_count_together_and_each_finds_out_at_its_next_failure() {
    let (store, clock) = (Memory::new(), Clock::default());
    let fleet: Vec<_> = (0..10).map(|_| process(&store, &clock)).collect();
    for process in &fleet {
        record_failures(process, 1).await;
    }
    assert_refused(&fleet[9]).await;
    // The first process finds out at its next failure, before its next read.
    record_failures(&fleet[0], 1).await;
    assert_refused(&fleet[0]).await;
    assert_eq!(fleet[0].history(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn successes_lower_the_failure_rate() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_successes(&breaker, 11).await;
    record_failures(&breaker, 10).await;
    assert_eq!(state(&breaker).await, State::Closed);
    let figures = breaker.status().await.unwrap().figures;
    assert_eq!((figures.calls, figures.failures), (21, 10));
    record_failures(&breaker, 1).await;
    let opened = &breaker.history(1).await.unwrap()[0];
    assert_eq!((opened.from, opened.to), (State::Closed, State::Open));
    assert_eq!(opened.reason, Reason::FailureRate);
    let figures = opened.figures.unwrap();
    assert_eq!((figures.calls, figures.failures), (22, 11));
    assert!((figures.failure_rate - 0.5).abs() < f64::EPSILON);
}

#[tokio::test]
async fn successes_before_the_window_do_not_count() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_successes(&breaker, 100).await;
    clock.advance(Duration::from_secs(31));
    record_failures(&breaker, 10).await;
    assert_refused(&breaker).await;
}

#[tokio::test]
async fn failures_are_summed_over_the_buckets_of_the_window() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    for _ in 0..6 {
        record_failures(&breaker, 1).await;
        clock.advance(Duration::from_secs(5));
    }
    // The first failure has left the window.
    record_failures(&breaker, 4).await;
    assert_eq!(breaker.status().await.unwrap().figures.failures, 9);
    assert_eq!(state(&breaker).await, State::Closed);
    record_failures(&breaker, 1).await;
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test]
async fn slow_calls_open_the_circuit_too() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    for _ in 0..10 {
        let slow = breaker.config().slow_call;
        permit(&breaker).await.record_success(slow).await;
    }
    let opened = &breaker.history(1).await.unwrap()[0];
    assert_eq!((opened.to, opened.reason), (State::Open, Reason::SlowRate));
}

#[tokio::test]
async fn a_call_without_a_result_is_not_counted() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    for _ in 0..100 {
        drop(permit(&breaker).await);
    }
    record_failures(&breaker, 1).await;
    assert_eq!(breaker.status().await.unwrap().figures.calls, 1);
}

#[tokio::test]
async fn probes_alone_close_the_circuit() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::NotDue { .. }
    ));
    record_failures(&breaker, 10).await;
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::NotDue {
            state: State::Open,
            retry_at: Some(_)
        }
    ));
    clock.advance(Duration::from_secs(5));
    for expected in [State::HalfOpen, State::HalfOpen, State::Closed] {
        let ProbeOutcome::Passed { state, .. } = probe(&breaker, Ok(())).await else {
            panic!("the probe should pass");
        };
        assert_eq!(state, expected);
    }
    let reasons = breaker.history(10).await.unwrap();
    let reasons: Vec<_> = reasons.iter().map(|it| it.reason).collect();
    assert_eq!(
        reasons,
        [
            Reason::TrialPassed,
            Reason::ProbePassed,
            Reason::FailureRate
        ]
    );
}

#[tokio::test]
async fn a_failed_probe_doubles_the_open_time() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    for seconds in [5, 10, 20, 40, 60, 60] {
        let retry_at = clock.now() + Duration::from_secs(seconds);
        assert_eq!(assert_refused(&breaker).await, retry_at);
        clock.set(retry_at);
        assert!(matches!(
            probe(&breaker, Err(())).await,
            ProbeOutcome::Failed { .. }
        ));
    }
}

#[tokio::test]
async fn one_probe_runs_at_a_time_and_a_killed_one_is_replaced() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (process(&store, &clock), process(&store, &clock));
    record_failures(&one, 10).await;
    clock.advance(Duration::from_secs(5));
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let killed = tokio::spawn(async move {
        one.probe(async || {
            begun.send(()).unwrap();
            pending::<Result<(), ()>>().await
        })
        .await
    });
    has_begun.await.unwrap();
    assert_eq!(probe(&other, Ok(())).await, ProbeOutcome::LeaseHeld);
    assert_refused(&other).await;
    killed.abort();
    clock.advance(Duration::from_secs(30));
    assert!(matches!(
        probe(&other, Ok(())).await,
        ProbeOutcome::Passed { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_fails() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_secs(5));
    let slow = async || {
        tokio::time::sleep(breaker.config().slow_call).await;
        Ok::<_, ()>(())
    };
    let probe = breaker.probe(slow).await.unwrap();
    assert!(matches!(probe, ProbeOutcome::Failed { .. }));
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_fails_before_another_may_begin() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_secs(5));
    let begun = tokio::time::Instant::now();
    let probe = breaker.probe(async || pending::<Result<(), ()>>().await);
    assert!(matches!(probe.await.unwrap(), ProbeOutcome::Failed { .. }));
    assert!(begun.elapsed() <= breaker.config().lease_for + Duration::from_millis(1));
}

#[tokio::test]
async fn live_calls_close_the_circuit_a_few_at_a_time() {
    let (store, clock) = (Memory::new(), Clock::default());
    let fleet: Vec<_> = (0..5).map(|_| process(&store, &clock)).collect();
    record_failures(&fleet[0], 10).await;
    clock.advance(Duration::from_secs(5));
    // The first call is the probe.
    let first = permit(&fleet[0]).await;
    assert_refused(&fleet[1]).await;
    first.record_success(QUICK).await;
    assert_eq!(state(&fleet[1]).await, State::HalfOpen);
    let mut permits = Vec::new();
    for process in &fleet[..3] {
        permits.push(permit(process).await);
    }
    assert_refused(&fleet[3]).await;
    assert_refused(&fleet[4]).await;
    for permit in permits {
        permit.record_success(QUICK).await;
    }
    assert_eq!(state(&fleet[0]).await, State::Closed);
    record_failures(&fleet[0], 9).await;
    assert_eq!(state(&fleet[0]).await, State::Closed);
}

#[tokio::test]
async fn one_failed_trial_reopens_the_circuit_for_longer() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_secs(5));
    record_successes(&breaker, 1).await;
    let (one, other) = (permit(&breaker).await, permit(&breaker).await);
    one.record_failure(QUICK).await;
    assert_eq!(
        assert_refused(&breaker).await,
        clock.now() + Duration::from_secs(10)
    );
    // The result of the other trial is ignored.
    other.record_success(QUICK).await;
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test]
async fn the_lease_of_a_killed_half_open_call_expires() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_secs(5));
    record_successes(&breaker, 1).await;
    for _ in 0..3 {
        drop(permit(&breaker).await);
    }
    assert_refused(&breaker).await;
    clock.advance(Duration::from_secs(30));
    record_successes(&breaker, 2).await;
    assert_eq!(state(&breaker).await, State::Closed);
}

#[tokio::test]
async fn failures_of_an_earlier_generation_do_not_open_the_circuit() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    let late: Vec<_> = [permit(&breaker).await, permit(&breaker).await].into();
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_secs(5));
    record_successes(&breaker, 3).await;
    assert_eq!(state(&breaker).await, State::Closed);
    for permit in late {
        permit.record_failure(QUICK).await;
    }
    record_failures(&breaker, 9).await;
    let status = breaker.status().await.unwrap();
    assert_eq!((status.state, status.figures.failures), (State::Closed, 9));
}

#[tokio::test]
async fn successes_of_an_earlier_generation_do_not_count() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (process(&store, &clock), process(&store, &clock));
    record_successes(&other, 50).await;
    record_failures(&one, 10).await;
    clock.advance(Duration::from_secs(5));
    record_successes(&one, 3).await;
    record_failures(&other, 1).await;
    assert_eq!(other.status().await.unwrap().figures.calls, 1);
}

#[tokio::test]
async fn failures_reported_late_to_the_previous_bucket_are_counted() {
    let (store, clock, behind) = (Memory::new(), Clock::default(), Clock::default());
    behind.set(clock.now() - Duration::from_millis(100));
    let (one, other) = (process(&store, &clock), process(&store, &behind));
    record_failures(&one, 1).await;
    record_failures(&other, 9).await;
    assert_eq!(state(&one).await, State::Closed);
    record_failures(&one, 1).await;
    assert_eq!(state(&one).await, State::Open);
}

#[tokio::test]
async fn live_calls_do_not_probe_if_the_configuration_forbids_it() {
    let (store, clock) = (Memory::new(), Clock::default());
    let mut config = Config::default();
    config.live_calls_probe = false;
    let breaker = process_with(&store, &clock, config);
    record_failures(&breaker, 10).await;
    clock.advance(Duration::from_mins(10));
    assert_refused(&breaker).await;
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::Passed { .. }
    ));
    record_successes(&breaker, 2).await;
    assert_eq!(state(&breaker).await, State::Closed);
}

#[tokio::test]
async fn an_override_applies_to_the_fleet_until_it_is_released() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (process(&store, &clock), process(&store, &clock));
    record_successes(&other, 1).await;
    let status = one.force(Forced::Open, "ada", "maintenance").await.unwrap();
    assert_eq!(status.forced.unwrap().forced, Forced::Open);
    clock.advance(Duration::from_secs(1));
    assert_refused(&other).await;
    other.release("ada", "maintenance has ended").await.unwrap();
    clock.advance(Duration::from_secs(1));
    record_successes(&one, 1).await;

    one.force(Forced::Closed, "bob", "false alarm")
        .await
        .unwrap();
    record_failures(&one, 20).await;
    let status = one.status().await.unwrap();
    assert_eq!((status.state, status.figures.failures), (State::Closed, 20));

    one.force(Forced::Disabled, "bob", "load test")
        .await
        .unwrap();
    let tally = store.tally();
    record_failures(&one, 20).await;
    assert!(one.spend_retry().await);
    assert_eq!(store.tally(), tally);

    let history: Vec<_> = one.history(10).await.unwrap();
    let overrides: Vec<_> = history
        .iter()
        .map(|it| {
            (
                it.by.as_deref().unwrap(),
                it.why.as_deref().unwrap(),
                it.forced,
            )
        })
        .collect();
    assert_eq!(
        overrides,
        [
            ("bob", "load test", Some(Forced::Disabled)),
            ("bob", "false alarm", Some(Forced::Closed)),
            ("ada", "maintenance has ended", None),
            ("ada", "maintenance", Some(Forced::Open)),
        ]
    );
}

#[tokio::test]
async fn a_released_circuit_continues_in_its_state() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    breaker
        .force(Forced::Closed, "ada", "try it")
        .await
        .unwrap();
    record_failures(&breaker, 1).await;
    breaker.release("ada", "it failed").await.unwrap();
    assert_refused(&breaker).await;
}

#[tokio::test]
async fn forcing_twice_changes_nothing() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    for _ in 0..2 {
        breaker.force(Forced::Open, "ada", "to see").await.unwrap();
    }
    assert_eq!(breaker.history(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn releasing_without_an_override_changes_nothing() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    let status = breaker.release("ada", "a reason").await.unwrap();
    assert_eq!((status.version, store.tally().writes), (0, 0));
}

#[tokio::test]
async fn forcing_needs_a_name_and_a_reason() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    let long = "x".repeat(Error::MAX_TEXT + 1);
    for (by, why) in [("", "a reason"), ("ada", "  \n"), ("ada", &long)] {
        let forced = breaker.force(Forced::Open, by, why).await;
        assert!(matches!(forced, Err(Error::InvalidExplanation)));
        let released = breaker.release(by, why).await;
        assert!(matches!(released, Err(Error::InvalidExplanation)));
    }
    assert_eq!(store.tally().writes, 0);
}

#[tokio::test]
async fn the_fleet_has_one_retry_budget() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (process(&store, &clock), process(&store, &clock));
    let mut allowed = 0;
    for _ in 0..10 {
        allowed += usize::from(one.spend_retry().await) + usize::from(other.spend_retry().await);
    }
    assert_eq!(allowed, 10);

    // The budget is a tenth of the calls that the fleet has reported.
    record_successes(&one, 149).await;
    record_failures(&one, 1).await;
    let mut allowed = 0;
    while other.spend_retry().await {
        allowed += 1;
    }
    assert_eq!(allowed, 5);
    let status = one.status().await.unwrap();
    assert_eq!((status.figures.retries, status.retries_allowed), (15, 15));

    // The retries count until the window has passed.
    clock.advance(Duration::from_secs(6));
    assert!(!other.spend_retry().await);
    clock.advance(Duration::from_secs(30));
    assert!(other.spend_retry().await);
}

#[tokio::test]
async fn without_its_store_a_breaker_fails_open_and_notifies_the_listener() {
    let (store, clock) = (Memory::new(), Clock::default());
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let breaker = process(&store, &clock).with_listener(move |event| {
        sink.lock().unwrap().push(event.clone());
    });
    store.set_reachable(false);
    record_failures(&breaker, 50).await;
    record_successes(&breaker, 50).await;
    assert!(breaker.spend_retry().await);
    assert!(breaker.status().await.is_err());
    assert!(breaker.probe(async || Ok::<_, ()>(())).await.is_err());
    // One attempt per second.
    assert_eq!((store.tally().reads, store.tally().writes), (1, 0));
    let error = "the breaker's store did not answer: set to unreachable".to_owned();
    assert_eq!(
        events.lock().unwrap().drain(..).collect::<Vec<_>>(),
        [BreakerEvent::StoreUnreachable { error }]
    );

    store.set_reachable(true);
    clock.advance(Duration::from_secs(1));
    record_failures(&breaker, 10).await;
    assert_refused(&breaker).await;
    let events = events.lock().unwrap();
    let [BreakerEvent::Transition(opened)] = &events[..] else {
        panic!("the circuit should have opened, not {events:?}");
    };
    assert_eq!(opened.to, State::Open);
}

#[tokio::test]
async fn without_its_store_a_known_open_circuit_stays_open_until_it_is_due() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = process(&store, &clock);
    record_failures(&breaker, 10).await;
    store.set_reachable(false);
    clock.advance(Duration::from_secs(4));
    assert_refused(&breaker).await;
    clock.advance(Duration::from_secs(1));
    record_successes(&breaker, 100).await;
}

#[tokio::test]
async fn all_futures_are_send() {
    let breaker = process(&Memory::new(), &Clock::default());
    let spawned = tokio::spawn(async move {
        permit(&breaker).await.record_failure(QUICK).await;
        assert!(breaker.spend_retry().await);
        breaker.probe(async || Ok::<_, ()>(())).await?;
        breaker.force(Forced::Open, "ada", "to see").await?;
        breaker.release("ada", "seen").await?;
        breaker.history(10).await
    });
    assert_eq!(spawned.await.unwrap().unwrap().len(), 2);
}

/// A store that can be made to never answer.
#[derive(Clone, Default)]
struct StallingStore {
    memory: Memory,
    stalled: Arc<AtomicBool>,
}

impl StallingStore {
    fn stall(&self) {
        self.stalled.store(true, SeqCst);
    }

    /// Returns the store, or never if it is stalled.
    async fn answering(&self) -> &Memory {
        // Other calls run meanwhile, as with a table.
        tokio::task::yield_now().await;
        if self.stalled.load(SeqCst) {
            pending::<()>().await;
        }
        &self.memory
    }
}

impl Store for StallingStore {
    async fn read_circuit(&self, name: &str) -> Result<Circuit, Error> {
        self.answering().await.read_circuit(name).await
    }

    async fn write_circuit(
        &self,
        name: &str,
        circuit: &Circuit,
        expected: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<WriteOutcome, Error> {
        let memory = self.answering().await;
        memory
            .write_circuit(name, circuit, expected, transition)
            .await
    }

    async fn add_counts(
        &self,
        name: &str,
        slot: Slot,
        counts: Counts,
        keep_until: Timestamp,
    ) -> Result<Counts, Error> {
        let memory = self.answering().await;
        memory.add_counts(name, slot, counts, keep_until).await
    }

    async fn spend_retry(
        &self,
        name: &str,
        slot: Slot,
        limit: u64,
        keep_until: Timestamp,
    ) -> Result<SpendOutcome, Error> {
        let memory = self.answering().await;
        memory.spend_retry(name, slot, limit, keep_until).await
    }

    async fn sum_counts(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        self.answering().await.sum_counts(name, first, end).await
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.answering().await.history(name, limit).await
    }
}

fn process_of(store: &StallingStore, clock: &Clock) -> Breaker<StallingStore> {
    let config = Config::default();
    Breaker::with_env(store.clone(), "payments", config, clock.env())
}

#[tokio::test(start_paused = true)]
async fn a_stalled_store_delays_one_call_by_the_timeout() {
    let store = StallingStore::default();
    store.stall();
    let breaker = process_of(&store, &Clock::default());
    let begun = tokio::time::Instant::now();
    for _ in 0..1_000 {
        permit(&breaker).await.record_failure(QUICK).await;
    }
    assert_eq!(begun.elapsed(), breaker.config().store_timeout);
}

#[tokio::test(start_paused = true)]
async fn while_one_call_reads_the_others_use_the_last_known_circuit() {
    let (store, clock) = (StallingStore::default(), Clock::default());
    let breaker = process_of(&store, &clock);
    permit(&breaker).await.record_success(QUICK).await;
    clock.advance(Duration::from_secs(1));
    store.stall();
    let begun = tokio::time::Instant::now();
    let reading = tokio::spawn({
        let breaker = breaker.clone();
        async move { drop(permit(&breaker).await) }
    });
    tokio::task::yield_now().await;
    permit(&breaker).await.record_success(QUICK).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    reading.await.unwrap();
    assert_eq!(begun.elapsed(), breaker.config().store_timeout);
}

#[tokio::test]
async fn concurrent_calls_read_once() {
    let store = StallingStore::default();
    let breaker = process_of(&store, &Clock::default());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let breaker = breaker.clone();
        calls.spawn(async move { permit(&breaker).await.record_success(QUICK).await });
    }
    calls.join_all().await;
    let tally = store.memory.tally();
    assert_eq!((tally.writes, tally.reads), (0, 1));
}
