//! The probe: asks the external service behind an open circuit, by its cheapest safe read, whether it
//! answers, and moves the circuit on; publishes how both circuits stand.

use std::time::Duration;

use breaker::{Breaker, DynamoDb, ProbeOutcome, State, Status};
use jiff::Timestamp;
use orders::Provider;
use providers::{CallError, Payments, Shipping};
use store::{Command, ProbeCommand, Queue, StoreError};
use telemetry::{Metrics, Unit, count};
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long one run stays with a circuit that is about to be due: well below the function's limit.
const RUN: Duration = Duration::from_secs(30);

/// Between two probes of a circuit that is half-open.
const PAUSE: Duration = Duration::from_secs(1);

/// Probes both circuits.
#[derive(Clone)]
pub struct Probe {
    /// Takes the money.
    pub payments: Payments,
    /// Its circuit.
    pub payments_breaker: Breaker<DynamoDb>,
    /// Takes the parcels.
    pub shipping: Shipping,
    /// Its circuit.
    pub shipping_breaker: Breaker<DynamoDb>,
    /// Brings the command to probe later.
    pub probes: Queue<ProbeCommand>,
    /// Brings the command to release what is parked.
    pub releases: Queue<Command>,
}

/// Why a circuit was not probed to an end.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The circuits' table did not answer.
    #[error(transparent)]
    Circuit(#[from] breaker::Error),
    /// A queue did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What comes after a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing: the circuit is closed, or somebody else is at it.
    Nothing,
    /// The circuit has just closed.
    Closed,
    /// Another probe, at that time.
    At(Timestamp),
}

impl Probe {
    /// Probes what is due, both circuits at once, and publishes how they stand.
    pub async fn run(&self) -> Result<(), ProbeError> {
        let (payments, shipping) = tokio::join!(
            self.look_after(Provider::Payments, &self.payments_breaker),
            self.look_after(Provider::Shipping, &self.shipping_breaker),
        );
        payments.and(shipping)
    }

    async fn look_after(
        &self,
        provider: Provider,
        breaker: &Breaker<DynamoDb>,
    ) -> Result<(), ProbeError> {
        let end = Instant::now() + RUN;
        loop {
            let probed = breaker.probe(|| self.ask(provider)).await?;
            tracing::info!(%provider, ?probed, "circuit.probed");
            match next(&probed, Timestamp::now()) {
                Next::Nothing => break,
                Next::Closed => {
                    self.releases.release_all().await?;
                    break;
                }
                Next::At(at) => {
                    let pause = at.duration_since(Timestamp::now());
                    let pause = Duration::try_from(pause).unwrap_or_default();
                    if Instant::now() + pause > end {
                        self.probes
                            .send(&ProbeCommand { probe: provider }, pause)
                            .await?;
                        break;
                    }
                    sleep(pause).await;
                }
            }
        }
        publish(provider, &breaker.status().await?, Timestamp::now());
        Ok(())
    }

    async fn ask(&self, provider: Provider) -> Result<(), CallError> {
        answered(match provider {
            Provider::Payments => self.payments.ping().await,
            Provider::Shipping => self.shipping.ping().await,
        })
    }
}

/// A refusal is an answer: the service is at work.
fn answered(answer: Result<(), CallError>) -> Result<(), CallError> {
    match answer {
        Err(error) if error.counts_against_provider() => Err(error),
        _ => Ok(()),
    }
}

fn next(probed: &ProbeOutcome, now: Timestamp) -> Next {
    match probed {
        ProbeOutcome::Passed {
            state: State::Closed,
            ..
        } => Next::Closed,
        ProbeOutcome::Passed { .. }
        | ProbeOutcome::NotDue {
            state: State::HalfOpen,
            ..
        } => Next::At(now + PAUSE),
        ProbeOutcome::NotDue { retry_at, .. } | ProbeOutcome::Failed { retry_at, .. } => {
            retry_at.map_or(Next::Nothing, Next::At)
        }
        ProbeOutcome::LeaseHeld => Next::Nothing,
    }
}

/// The state as a number, so that an alarm can be set above 0.
const fn level(state: State) -> f64 {
    match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    }
}

fn publish(provider: Provider, status: &Status, now: Timestamp) {
    let figures = &status.figures;
    Metrics::of("Provider", provider.to_string())
        .with("CircuitState", Unit::Count, level(status.state))
        .with(
            "CircuitForced",
            Unit::Count,
            f64::from(u8::from(status.forced.is_some())),
        )
        .with("CallsInWindow", Unit::Count, count(figures.calls))
        .with("FailureRate", Unit::Percent, figures.failure_rate * 100.0)
        .with("SlowCallRate", Unit::Percent, figures.slow_rate * 100.0)
        .with("RetriesInWindow", Unit::Count, count(figures.retries))
        .emit(now.as_millisecond());
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn a_refusal_is_an_answer_and_silence_is_not() {
        let refused = CallError::AccountError {
            status: 401,
            code: "unauthorized".to_owned(),
            message: "This key is not known.".to_owned(),
        };
        assert!(answered(Err(refused)).is_ok());
        let silence = CallError::Unavailable("connection refused".to_owned());
        assert!(answered(Err(silence)).is_err());
    }

    #[test]
    fn a_circuit_is_probed_until_it_is_closed() {
        let now = Timestamp::UNIX_EPOCH;
        let elapsed = Duration::ZERO;
        let passed = |state| ProbeOutcome::Passed { state, elapsed };
        assert_eq!(next(&passed(State::Closed), now), Next::Closed);
        assert_eq!(next(&passed(State::HalfOpen), now), Next::At(now + PAUSE));
        let later = now + 1.minute();
        let failed = ProbeOutcome::Failed {
            retry_at: Some(later),
            elapsed,
        };
        assert_eq!(next(&failed, now), Next::At(later));
        let healthy = ProbeOutcome::NotDue {
            state: State::Closed,
            retry_at: None,
        };
        assert_eq!(next(&healthy, now), Next::Nothing);
    }
}
