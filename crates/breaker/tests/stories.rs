//! The behaviour of a breaker for its callers, on a clock that only the test moves.

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
use calls::{QUICK, permit, refused};
use clock::Clock;
use jiff::Timestamp;

/// One process of the fleet. Ten failures open its circuit, for 5 s.
fn environment(store: &Memory, clock: &Clock) -> Breaker<Memory> {
    with(store, clock, Config::default())
}

fn with(store: &Memory, clock: &Clock, config: Config) -> Breaker<Memory> {
    Breaker::with_env(store.clone(), "payments", config, clock.env())
}

async fn fails(breaker: &Breaker<Memory>, times: usize) {
    for _ in 0..times {
        permit(breaker).await.record_failure(QUICK).await;
    }
}

async fn succeeds(breaker: &Breaker<Memory>, times: usize) {
    for _ in 0..times {
        permit(breaker).await.record_success(QUICK).await;
    }
}

async fn state(breaker: &Breaker<Memory>) -> State {
    breaker.status().await.unwrap().state
}

async fn probe(breaker: &Breaker<Memory>, answer: Result<(), ()>) -> ProbeOutcome {
    breaker.probe(async || answer).await.unwrap()
}

#[tokio::test]
async fn a_thousand_healthy_calls_write_nothing_and_read_once_a_second() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    for _ in 0..1_000 {
        succeeds(&breaker, 1).await;
        clock.forward(Duration::from_millis(10));
    }
    let tally = store.tally();
    assert_eq!((tally.writes, tally.reads), (0, 10));
}

#[tokio::test]
async fn an_open_circuit_admits_nothing_and_reads_nothing_until_it_is_due() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    let tally = store.tally();
    let retry_at = refused(&breaker).await;
    assert_eq!(retry_at, clock.now() + Duration::from_secs(5));
    for _ in 0..499 {
        clock.forward(Duration::from_millis(10));
        assert_eq!(refused(&breaker).await, retry_at);
    }
    assert_eq!(store.tally(), tally);
}

#[tokio::test]
async fn one_process_s_failures_stop_all() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (environment(&store, &clock), environment(&store, &clock));
    succeeds(&other, 1).await;
    fails(&one, 10).await;
    clock.forward(Duration::from_secs(1));
    refused(&other).await;
}

#[tokio::test]
async fn failures_of_all_processes_count_together_and_each_learns_by_its_next_failure() {
    let (store, clock) = (Memory::new(), Clock::default());
    let fleet: Vec<_> = (0..10).map(|_| environment(&store, &clock)).collect();
    for environment in &fleet {
        fails(environment, 1).await;
    }
    refused(&fleet[9]).await;
    // The first learns it by its next failure, before its next read.
    fails(&fleet[0], 1).await;
    refused(&fleet[0]).await;
    assert_eq!(fleet[0].history(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn successes_count_against_opening() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    succeeds(&breaker, 11).await;
    fails(&breaker, 10).await;
    assert_eq!(state(&breaker).await, State::Closed);
    let figures = breaker.status().await.unwrap().figures;
    assert_eq!((figures.calls, figures.failures), (21, 10));
    fails(&breaker, 1).await;
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
    let breaker = environment(&store, &clock);
    succeeds(&breaker, 100).await;
    clock.forward(Duration::from_secs(31));
    fails(&breaker, 10).await;
    refused(&breaker).await;
}

#[tokio::test]
async fn failures_are_summed_over_the_buckets_of_the_window() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    for _ in 0..6 {
        fails(&breaker, 1).await;
        clock.forward(Duration::from_secs(5));
    }
    // The first failure has left the window.
    fails(&breaker, 4).await;
    assert_eq!(breaker.status().await.unwrap().figures.failures, 9);
    assert_eq!(state(&breaker).await, State::Closed);
    fails(&breaker, 1).await;
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test]
async fn slow_answers_open_it_too() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
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
    let breaker = environment(&store, &clock);
    for _ in 0..100 {
        drop(permit(&breaker).await);
    }
    fails(&breaker, 1).await;
    assert_eq!(breaker.status().await.unwrap().figures.calls, 1);
}

#[tokio::test]
async fn probes_alone_close_it() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::NotDue { .. }
    ));
    fails(&breaker, 10).await;
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::NotDue {
            state: State::Open,
            retry_at: Some(_)
        }
    ));
    clock.forward(Duration::from_secs(5));
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
async fn a_failed_probe_doubles_the_wait() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    for seconds in [5, 10, 20, 40, 60, 60] {
        let retry_at = clock.now() + Duration::from_secs(seconds);
        assert_eq!(refused(&breaker).await, retry_at);
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
    let (one, other) = (environment(&store, &clock), environment(&store, &clock));
    fails(&one, 10).await;
    clock.forward(Duration::from_secs(5));
    let (begun, is_begun) = tokio::sync::oneshot::channel();
    let killed = tokio::spawn(async move {
        one.probe(async || {
            begun.send(()).unwrap();
            pending::<Result<(), ()>>().await
        })
        .await
    });
    is_begun.await.unwrap();
    assert_eq!(probe(&other, Ok(())).await, ProbeOutcome::LeaseHeld);
    refused(&other).await;
    killed.abort();
    clock.forward(Duration::from_secs(30));
    assert!(matches!(
        probe(&other, Ok(())).await,
        ProbeOutcome::Passed { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_has_failed() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    clock.forward(Duration::from_secs(5));
    let slow = async || {
        tokio::time::sleep(breaker.config().slow_call).await;
        Ok::<_, ()>(())
    };
    let probe = breaker.probe(slow).await.unwrap();
    assert!(matches!(probe, ProbeOutcome::Failed { .. }));
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_has_failed_before_another_may_begin() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    clock.forward(Duration::from_secs(5));
    let begun = tokio::time::Instant::now();
    let probe = breaker.probe(async || pending::<Result<(), ()>>().await);
    assert!(matches!(probe.await.unwrap(), ProbeOutcome::Failed { .. }));
    assert!(begun.elapsed() <= breaker.config().lease_for + Duration::from_millis(1));
}

#[tokio::test]
async fn live_calls_close_it_a_few_at_a_time() {
    let (store, clock) = (Memory::new(), Clock::default());
    let fleet: Vec<_> = (0..5).map(|_| environment(&store, &clock)).collect();
    fails(&fleet[0], 10).await;
    clock.forward(Duration::from_secs(5));
    // The first is the probe.
    let first = permit(&fleet[0]).await;
    refused(&fleet[1]).await;
    first.record_success(QUICK).await;
    assert_eq!(state(&fleet[1]).await, State::HalfOpen);
    let mut under_way = Vec::new();
    for environment in &fleet[..3] {
        under_way.push(permit(environment).await);
    }
    refused(&fleet[3]).await;
    refused(&fleet[4]).await;
    for permit in under_way {
        permit.record_success(QUICK).await;
    }
    assert_eq!(state(&fleet[0]).await, State::Closed);
    fails(&fleet[0], 9).await;
    assert_eq!(state(&fleet[0]).await, State::Closed);
}

#[tokio::test]
async fn one_failure_reopens_it_for_longer() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    clock.forward(Duration::from_secs(5));
    succeeds(&breaker, 1).await;
    let (one, other) = (permit(&breaker).await, permit(&breaker).await);
    one.record_failure(QUICK).await;
    assert_eq!(
        refused(&breaker).await,
        clock.now() + Duration::from_secs(10)
    );
    // The result of the other is ignored.
    other.record_success(QUICK).await;
    assert_eq!(state(&breaker).await, State::Open);
}

#[tokio::test]
async fn the_lease_of_a_killed_half_open_call_expires() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    clock.forward(Duration::from_secs(5));
    succeeds(&breaker, 1).await;
    for _ in 0..3 {
        drop(permit(&breaker).await);
    }
    refused(&breaker).await;
    clock.forward(Duration::from_secs(30));
    succeeds(&breaker, 2).await;
    assert_eq!(state(&breaker).await, State::Closed);
}

#[tokio::test]
async fn failures_of_an_earlier_generation_do_not_open_it() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    let late: Vec<_> = [permit(&breaker).await, permit(&breaker).await].into();
    fails(&breaker, 10).await;
    clock.forward(Duration::from_secs(5));
    succeeds(&breaker, 3).await;
    assert_eq!(state(&breaker).await, State::Closed);
    for permit in late {
        permit.record_failure(QUICK).await;
    }
    fails(&breaker, 9).await;
    let status = breaker.status().await.unwrap();
    assert_eq!((status.state, status.figures.failures), (State::Closed, 9));
}

#[tokio::test]
async fn successes_of_an_earlier_generation_do_not_count() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (environment(&store, &clock), environment(&store, &clock));
    succeeds(&other, 50).await;
    fails(&one, 10).await;
    clock.forward(Duration::from_secs(5));
    succeeds(&one, 3).await;
    fails(&other, 1).await;
    assert_eq!(other.status().await.unwrap().figures.calls, 1);
}

#[tokio::test]
async fn failures_reported_late_to_the_previous_bucket_are_counted() {
    let (store, clock, behind) = (Memory::new(), Clock::default(), Clock::default());
    behind.set(clock.now() - Duration::from_millis(100));
    let (one, other) = (environment(&store, &clock), environment(&store, &behind));
    fails(&one, 1).await;
    fails(&other, 9).await;
    assert_eq!(state(&one).await, State::Closed);
    fails(&one, 1).await;
    assert_eq!(state(&one).await, State::Open);
}

#[tokio::test]
async fn live_calls_do_not_probe_if_so_configured() {
    let (store, clock) = (Memory::new(), Clock::default());
    let mut config = Config::default();
    config.live_calls_probe = false;
    let breaker = with(&store, &clock, config);
    fails(&breaker, 10).await;
    clock.forward(Duration::from_mins(10));
    refused(&breaker).await;
    assert!(matches!(
        probe(&breaker, Ok(())).await,
        ProbeOutcome::Passed { .. }
    ));
    succeeds(&breaker, 2).await;
    assert_eq!(state(&breaker).await, State::Closed);
}

#[tokio::test]
async fn an_override_holds_for_the_fleet_until_it_is_released() {
    let (store, clock) = (Memory::new(), Clock::default());
    let (one, other) = (environment(&store, &clock), environment(&store, &clock));
    succeeds(&other, 1).await;
    let status = one.force(Forced::Open, "ada", "maintenance").await.unwrap();
    assert_eq!(status.forced.unwrap().forced, Forced::Open);
    clock.forward(Duration::from_secs(1));
    refused(&other).await;
    other.release("ada", "it is over").await.unwrap();
    clock.forward(Duration::from_secs(1));
    succeeds(&one, 1).await;

    one.force(Forced::Closed, "bob", "we know better")
        .await
        .unwrap();
    fails(&one, 20).await;
    let status = one.status().await.unwrap();
    assert_eq!((status.state, status.figures.failures), (State::Closed, 20));

    one.force(Forced::Disabled, "bob", "away with it")
        .await
        .unwrap();
    let tally = store.tally();
    fails(&one, 20).await;
    assert!(one.spend_retry().await);
    assert_eq!(store.tally(), tally);

    let who: Vec<_> = one.history(10).await.unwrap();
    let who: Vec<_> = who
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
        who,
        [
            ("bob", "away with it", Some(Forced::Disabled)),
            ("bob", "we know better", Some(Forced::Closed)),
            ("ada", "it is over", None),
            ("ada", "maintenance", Some(Forced::Open)),
        ]
    );
}

#[tokio::test]
async fn a_released_circuit_continues_in_its_state() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    breaker
        .force(Forced::Closed, "ada", "try it")
        .await
        .unwrap();
    fails(&breaker, 1).await;
    breaker.release("ada", "it failed").await.unwrap();
    refused(&breaker).await;
}

#[tokio::test]
async fn forcing_twice_changes_nothing() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    for _ in 0..2 {
        breaker.force(Forced::Open, "ada", "to see").await.unwrap();
    }
    assert_eq!(breaker.history(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn releasing_without_an_override_changes_nothing() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    let status = breaker.release("ada", "just so").await.unwrap();
    assert_eq!((status.version, store.tally().writes), (0, 0));
}

#[tokio::test]
async fn forcing_needs_a_name_and_a_reason() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
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
    let (one, other) = (environment(&store, &clock), environment(&store, &clock));
    let mut allowed = 0;
    for _ in 0..10 {
        allowed += usize::from(one.spend_retry().await) + usize::from(other.spend_retry().await);
    }
    assert_eq!(allowed, 10);

    // A tenth of the calls that the fleet has reported.
    succeeds(&one, 149).await;
    fails(&one, 1).await;
    let mut allowed = 0;
    while other.spend_retry().await {
        allowed += 1;
    }
    assert_eq!(allowed, 5);
    let status = one.status().await.unwrap();
    assert_eq!((status.figures.retries, status.retries_allowed), (15, 15));

    // The retries count until the window has passed.
    clock.forward(Duration::from_secs(6));
    assert!(!other.spend_retry().await);
    clock.forward(Duration::from_secs(30));
    assert!(other.spend_retry().await);
}

#[tokio::test]
async fn it_fails_open_without_its_store_and_notifies_the_listener() {
    let (store, clock) = (Memory::new(), Clock::default());
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let breaker = environment(&store, &clock).with_listener(move |event| {
        sink.lock().unwrap().push(event.clone());
    });
    store.set_reachable(false);
    fails(&breaker, 50).await;
    succeeds(&breaker, 50).await;
    assert!(breaker.spend_retry().await);
    assert!(breaker.status().await.is_err());
    assert!(breaker.probe(async || Ok::<_, ()>(())).await.is_err());
    // One attempt a second.
    assert_eq!((store.tally().reads, store.tally().writes), (1, 0));
    let error = "the breaker's store did not answer: made unreachable".to_owned();
    assert_eq!(
        events.lock().unwrap().drain(..).collect::<Vec<_>>(),
        [BreakerEvent::StoreUnreachable { error }]
    );

    store.set_reachable(true);
    clock.forward(Duration::from_secs(1));
    fails(&breaker, 10).await;
    refused(&breaker).await;
    let events = events.lock().unwrap();
    let [BreakerEvent::Transition(opened)] = &events[..] else {
        panic!("it should have opened, not {events:?}");
    };
    assert_eq!(opened.to, State::Open);
}

#[tokio::test]
async fn without_its_store_a_known_open_circuit_stays_open_until_it_is_due() {
    let (store, clock) = (Memory::new(), Clock::default());
    let breaker = environment(&store, &clock);
    fails(&breaker, 10).await;
    store.set_reachable(false);
    clock.forward(Duration::from_secs(4));
    refused(&breaker).await;
    clock.forward(Duration::from_secs(1));
    succeeds(&breaker, 100).await;
}

#[tokio::test]
async fn all_futures_are_send() {
    let breaker = environment(&Memory::new(), &Clock::default());
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

/// A store that stops answering.
#[derive(Clone, Default)]
struct Stopping {
    memory: Memory,
    silent: Arc<AtomicBool>,
}

impl Stopping {
    fn stop(&self) {
        self.silent.store(true, SeqCst);
    }

    async fn answers(&self) -> &Memory {
        // Lets other calls run meanwhile, as a table does.
        tokio::task::yield_now().await;
        if self.silent.load(SeqCst) {
            pending::<()>().await;
        }
        &self.memory
    }
}

impl Store for Stopping {
    async fn read_circuit(&self, name: &str) -> Result<Circuit, Error> {
        self.answers().await.read_circuit(name).await
    }

    async fn write_circuit(
        &self,
        name: &str,
        circuit: &Circuit,
        expected: u64,
        transition: Option<(&Transition, Timestamp)>,
    ) -> Result<WriteOutcome, Error> {
        let memory = self.answers().await;
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
        let memory = self.answers().await;
        memory.add_counts(name, slot, counts, keep_until).await
    }

    async fn spend_retry(
        &self,
        name: &str,
        slot: Slot,
        limit: u64,
        keep_until: Timestamp,
    ) -> Result<SpendOutcome, Error> {
        let memory = self.answers().await;
        memory.spend_retry(name, slot, limit, keep_until).await
    }

    async fn sum_counts(&self, name: &str, first: Slot, end: Slot) -> Result<Counts, Error> {
        self.answers().await.sum_counts(name, first, end).await
    }

    async fn history(&self, name: &str, limit: usize) -> Result<Vec<Transition>, Error> {
        self.answers().await.history(name, limit).await
    }
}

fn stopping(store: &Stopping, clock: &Clock) -> Breaker<Stopping> {
    let config = Config::default();
    Breaker::with_env(store.clone(), "payments", config, clock.env())
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_delays_one_call_by_the_timeout() {
    let store = Stopping::default();
    store.stop();
    let breaker = stopping(&store, &Clock::default());
    let begun = tokio::time::Instant::now();
    for _ in 0..1_000 {
        permit(&breaker).await.record_failure(QUICK).await;
    }
    assert_eq!(begun.elapsed(), breaker.config().store_timeout);
}

#[tokio::test(start_paused = true)]
async fn while_one_call_reads_the_others_use_the_last_known_circuit() {
    let (store, clock) = (Stopping::default(), Clock::default());
    let breaker = stopping(&store, &clock);
    permit(&breaker).await.record_success(QUICK).await;
    clock.forward(Duration::from_secs(1));
    store.stop();
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
    let store = Stopping::default();
    let breaker = stopping(&store, &Clock::default());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let breaker = breaker.clone();
        calls.spawn(async move { permit(&breaker).await.record_success(QUICK).await });
    }
    calls.join_all().await;
    let tally = store.memory.tally();
    assert_eq!((tally.writes, tally.reads), (0, 1));
}
