//! The guarded call. It passes the circuit breaker, makes a few tries with full jitter before a
//! deadline, and spends each retry from the fleet's retry budget.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use breaker::{Admission, Breaker, BreakerEvent, DynamoDb, State, Store, Transition};
use circuits::Circuits;
use jiff::Timestamp;
use orders::Provider;
use providers::CallError;
use store::{Command, ProbeCommand, Queue};
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// The most tries of one guarded call.
const MAX_ATTEMPTS: u32 = 3;

/// The longest random pause before the second try. It doubles with each further try.
const BASE_PAUSE: Duration = Duration::from_millis(200);

/// The delay of the next probe of a half-open circuit. Live calls may close the circuit first.
const TRIAL: Duration = Duration::from_secs(1);

/// The time after the start of a guarded call in which a retry may begin.
const DEADLINE: Duration = Duration::from_secs(15);

/// The circuit breaker and the retries of all calls to one provider.
#[derive(Clone)]
pub struct Guard<S = DynamoDb> {
    /// The provider.
    pub provider: Provider,
    /// The provider's circuit, which the whole fleet shares.
    pub breaker: Breaker<S>,
    commands: Commands,
    /// The last transition that this environment caused, until its follow-up command is sent.
    moved: Arc<Mutex<Option<Transition>>>,
}

/// The queues of the commands that a guard sends after a transition of its circuit.
#[derive(Clone)]
pub struct Commands {
    /// Carries commands to probe a circuit.
    pub probes: Queue<ProbeCommand>,
    /// Carries commands to release parked executions.
    pub releases: Queue<Command>,
}

/// Why a guarded call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The call failed. Holds the error of the last try, or of an earlier try whose outcome is
    /// still unknown.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The circuit is open, and nothing was sent.
    #[error("the circuit is open")]
    Open,
    /// The provider does not show the outcome of an earlier call yet.
    #[error("the outcome of an earlier call is not known yet")]
    OutcomePending,
}

impl Failure {
    /// Whether only a look-up, some time after the call, can find its outcome.
    pub(crate) const fn leaves_to_look_up(&self) -> bool {
        matches!(
            self,
            Self::OutcomePending | Self::Call(CallError::Replayed { .. })
        )
    }
}

impl Guard {
    /// Creates the guard of a provider, with its circuit.
    pub fn new(circuits: &Circuits, provider: Provider, commands: Commands) -> Self {
        let moved = Arc::new(Mutex::new(None));
        let noted = moved.clone();
        let listener = move |event: &BreakerEvent| {
            if let BreakerEvent::Transition(transition) = event {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                *noted = Some(transition.clone());
            }
        };
        Self {
            provider,
            breaker: circuits.breaker(provider).with_listener(listener),
            commands,
            moved,
        }
    }
}

impl<S: Store> Guard<S> {
    /// Tries a call until it succeeds, fails for good, or runs out of tries, time or retry budget.
    /// `attempt` gets the number of earlier tries.
    pub(crate) async fn call<T, F>(&self, mut attempt: impl FnMut(u32) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut worst = None;
        let mut tried = 0;
        loop {
            let error = match self.try_once(|| attempt(tried)).await {
                Ok(value) => return Ok(value),
                Err(Failure::Call(error)) if error.is_transient() => error,
                // Once a try was made, its outcome matters more than the circuit.
                Err(Failure::Open) => return Err(worst.map_or(Failure::Open, Failure::Call)),
                // A refusal does not reveal what an earlier try without an answer has done.
                Err(Failure::Call(CallError::Rejected { .. } | CallError::AccountError { .. }))
                    if matches!(worst, Some(CallError::Unknown { .. })) =>
                {
                    return Err(worst.map_or(Failure::Open, Failure::Call));
                }
                Err(failure) => return Err(failure),
            };
            tried += 1;
            tracing::warn!(provider = %self.provider, %error, attempt = tried, "call.failed");
            let pause = pause(tried, &error, rand::random());
            let error = worse(worst.take(), error);
            worst = Some(error.clone());
            let may_go_on = tried < MAX_ATTEMPTS
                && Instant::now() + pause <= deadline
                && self.breaker.spend_retry().await;
            if !may_go_on {
                return Err(error.into());
            }
            sleep(pause).await;
        }
    }

    /// Makes one try, if the circuit admits it, and records the result in the circuit.
    async fn try_once<T, F>(&self, attempt: impl FnOnce() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let permit = match self.breaker.admit().await {
            Admission::Admitted(permit) => permit,
            Admission::Refused { .. } => return Err(Failure::Open),
        };
        let begun = Instant::now();
        let result = attempt().await;
        let elapsed = begun.elapsed();
        match &result {
            Err(error) if error.counts_against_provider() => permit.record_failure(elapsed).await,
            _ => permit.record_success(elapsed).await,
        }
        self.follow().await;
        Ok(result?)
    }

    /// Sends the follow-up command of a transition that this environment caused: to probe the
    /// circuit when the next probe is due, or to release parked executions. If the command is lost,
    /// the schedules do the same later.
    async fn follow(&self) {
        let moved = self
            .moved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(transition) = moved else {
            return;
        };
        let until = |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now()));
        let asked = match transition.to {
            State::Closed => self.commands.releases.release_all().await,
            State::Open | State::HalfOpen => {
                let command = ProbeCommand {
                    probe: self.provider,
                };
                let delay = transition.retry_at.map_or(Ok(TRIAL), until);
                let delay = delay.unwrap_or_default();
                self.commands.probes.send(&command, delay).await
            }
        };
        if let Err(error) = asked {
            tracing::warn!(provider = %self.provider, %error, "command.lost");
        }
    }
}

/// Returns the error that says more about what two failed tries may have done. An unknown outcome
/// stays unknown, even if a later try had no effect.
pub(crate) fn worse(before: Option<CallError>, now: CallError) -> CallError {
    match before {
        Some(before @ CallError::Unknown { .. }) => before,
        _ => now,
    }
}

/// Returns `first` after one try, and twice as much after each further try.
pub(crate) fn doubled(first: Duration, tried: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)))
}

/// Returns how long to wait after `tried` tries: a random part of a growing span, so that callers
/// spread out, added to the wait that the provider asks for.
fn pause(tried: u32, error: &CallError, chance: f64) -> Duration {
    let jittered = doubled(BASE_PAUSE, tried).mul_f64(chance.clamp(0.0, 1.0));
    error
        .retry_after()
        .map_or(jittered, |asked| asked + jittered)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use aws_config::{BehaviorVersion, SdkConfig};
    use breaker::{Config, Memory};
    use store::lazy;

    use super::*;

    /// A guard with a circuit in memory and with queues that do not exist.
    fn guard(config: Config) -> Guard<Memory> {
        let aws = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
        let sqs = lazy(&aws.build(), aws_sdk_sqs::Client::new);
        Guard {
            provider: Provider::Payments,
            breaker: Breaker::new(Memory::default(), "payments", config),
            commands: Commands {
                probes: Queue::new(sqs.clone(), "nowhere"),
                releases: Queue::new(sqs, "nowhere"),
            },
            moved: Arc::default(),
        }
    }

    /// The configuration of a circuit that opens after one failure.
    fn opened_by_one_failure() -> Config {
        let mut config = Config::default();
        config.minimum_calls = 1;
        config
    }

    /// Makes a guarded call to a provider that gives these answers in turn. Returns the result, and
    /// how often the provider was called.
    async fn call(
        guard: &Guard<Memory>,
        answers: impl IntoIterator<Item = Result<(), CallError>>,
    ) -> (Result<(), Failure>, u32) {
        let answers = RefCell::new(answers.into_iter());
        let mut calls = 0;
        let result = guard.call(|tried| {
            calls = tried + 1;
            std::future::ready(answers.borrow_mut().next().unwrap())
        });
        (result.await, calls)
    }

    fn unknown() -> Result<(), CallError> {
        Err(CallError::unknown("no answer"))
    }

    fn busy(seconds: u64) -> Result<(), CallError> {
        let retry_after = Some(Duration::from_secs(seconds));
        Err(CallError::RateLimited { retry_after })
    }

    fn rejected() -> Result<(), CallError> {
        Err(CallError::Rejected {
            status: 400,
            code: "amount_too_small".to_owned(),
            message: String::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_tried_three_times_and_an_unknown_outcome_is_reported() {
        let guard = guard(Config::default());
        let not_sent = || Err(CallError::Unavailable("refused".to_owned()));
        let (result, calls) = call(&guard, [not_sent(), unknown(), not_sent()]).await;
        assert_eq!((result, calls), (Err(unknown().unwrap_err().into()), 3));
        let (result, calls) = call(&guard, [unknown(), Ok(())]).await;
        assert_eq!((result, calls), (Ok(()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final_but_an_earlier_unknown_outcome_stays_unknown() {
        let guard = guard(Config::default());
        let (result, calls) = call(&guard, [rejected()]).await;
        assert_eq!((result, calls), (Err(rejected().unwrap_err().into()), 1));
        let (result, calls) = call(&guard, [unknown(), rejected()]).await;
        assert_eq!((result, calls), (Err(unknown().unwrap_err().into()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_waits_for_retry_after_but_not_past_the_deadline() {
        let guard = guard(Config::default());
        let begun = Instant::now();
        let (result, calls) = call(&guard, [busy(2), Ok(())]).await;
        assert_eq!((result, calls), (Ok(()), 2));
        assert!(begun.elapsed() >= Duration::from_secs(2));
        let (result, calls) = call(&guard, [busy(60)]).await;
        assert_eq!((result, calls), (Err(busy(60).unwrap_err().into()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_circuit_sends_nothing_and_hides_no_earlier_error() {
        let guard = guard(opened_by_one_failure());
        let (result, calls) = call(&guard, [unknown()]).await;
        assert_eq!((result, calls), (Err(unknown().unwrap_err().into()), 1));
        let (result, calls) = call(&guard, []).await;
        assert_eq!((result, calls), (Err(Failure::Open), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_open_the_circuit() {
        let guard = guard(opened_by_one_failure());
        for _ in 0..5 {
            call(&guard, [rejected()]).await.0.unwrap_err();
        }
        assert_eq!(call(&guard, [Ok(())]).await, (Ok(()), 1));
    }
}
