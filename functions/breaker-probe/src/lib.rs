//! Probes the providers behind open circuits with their cheapest safe read, records the result in
//! the circuit breaker, and publishes metrics about both circuits.

use std::time::Duration;

use breaker::{Breaker, DynamoDb, ProbeOutcome, State, Status};
use jiff::Timestamp;
use orders::Provider;
use providers::{CallError, Payments, Shipping};
use store::{Command, ProbeCommand, Queue, StoreError};
use telemetry::{Metrics, Unit, count};
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long one run waits for probes that are due soon. Well below the function's timeout.
const RUN: Duration = Duration::from_secs(30);

/// The time between two probes of a half-open circuit.
const PAUSE: Duration = Duration::from_secs(1);

/// Probes both circuits.
#[derive(Clone)]
pub struct Probe {
    /// The payment provider's client.
    pub payments: Payments,
    /// The payment provider's circuit breaker.
    pub payments_breaker: Breaker<DynamoDb>,
    /// The shipping provider's client.
    pub shipping: Shipping,
    /// The shipping provider's circuit breaker.
    pub shipping_breaker: Breaker<DynamoDb>,
    /// Carries commands to probe later.
    pub probes: Queue<ProbeCommand>,
    /// Carries commands to resume parked work.
    pub releases: Queue<Command>,
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The circuit breaker's table did not answer.
    #[error(transparent)]
    Circuit(#[from] breaker::Error),
    /// A queue did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The step after a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextStep {
    /// Stop: the circuit is closed, or another run has the lease.
    Stop,
    /// Resume the parked work: the circuit has just closed.
    ResumeParked,
    /// Probe again at this time.
    ProbeAt(Timestamp),
}

impl Probe {
    /// Probes both circuits concurrently if they are due, and publishes their metrics.
    pub async fn run(&self) -> Result<(), ProbeError> {
        let (payments, shipping) = tokio::join!(
            self.probe_circuit(Provider::Payments, &self.payments_breaker),
            self.probe_circuit(Provider::Shipping, &self.shipping_breaker),
        );
        payments.and(shipping)
    }

    async fn probe_circuit(
        &self,
        provider: Provider,
        breaker: &Breaker<DynamoDb>,
    ) -> Result<(), ProbeError> {
        let end = Instant::now() + RUN;
        loop {
            let probed = breaker.probe(|| self.ping(provider)).await?;
            tracing::info!(%provider, ?probed, "circuit.probed");
            match next_step(&probed, Timestamp::now()) {
                NextStep::Stop => break,
                NextStep::ResumeParked => {
                    self.releases.release_all().await?;
                    break;
                }
                NextStep::ProbeAt(at) => {
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
        publish_metrics(provider, &breaker.status().await?, Timestamp::now());
        Ok(())
    }

    async fn ping(&self, provider: Provider) -> Result<(), CallError> {
        ignore_refusal(match provider {
            Provider::Payments => self.payments.ping().await,
            Provider::Shipping => self.shipping.ping().await,
        })
    }
}

/// A probe passes even if the provider refuses the call: it has answered.
fn ignore_refusal(pinged: Result<(), CallError>) -> Result<(), CallError> {
    match pinged {
        Err(error) if error.counts_against_provider() => Err(error),
        _ => Ok(()),
    }
}

fn next_step(probed: &ProbeOutcome, now: Timestamp) -> NextStep {
    match probed {
        ProbeOutcome::Passed {
            state: State::Closed,
            ..
        } => NextStep::ResumeParked,
        ProbeOutcome::Passed { .. }
        | ProbeOutcome::NotDue {
            state: State::HalfOpen,
            ..
        } => NextStep::ProbeAt(now + PAUSE),
        ProbeOutcome::NotDue { retry_at, .. } | ProbeOutcome::Failed { retry_at, .. } => {
            retry_at.map_or(NextStep::Stop, NextStep::ProbeAt)
        }
        ProbeOutcome::LeaseHeld => NextStep::Stop,
    }
}

/// The state as a number, so that an alarm can compare it with 0.
const fn state_value(state: State) -> f64 {
    match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    }
}

fn publish_metrics(provider: Provider, status: &Status, now: Timestamp) {
    let figures = &status.figures;
    Metrics::of("Provider", provider.to_string())
        .with("CircuitState", Unit::Count, state_value(status.state))
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
    fn a_refused_call_passes_and_an_unreachable_provider_fails() {
        let refused = CallError::AccountError {
            status: 401,
            code: "unauthorized".to_owned(),
            message: "This key is not known.".to_owned(),
        };
        assert!(ignore_refusal(Err(refused)).is_ok());
        let unreachable = CallError::Unavailable("connection refused".to_owned());
        assert!(ignore_refusal(Err(unreachable)).is_err());
    }

    #[test]
    fn a_circuit_is_probed_until_it_is_closed() {
        let now = Timestamp::UNIX_EPOCH;
        let elapsed = Duration::ZERO;
        let passed = |state| ProbeOutcome::Passed { state, elapsed };
        let closed = next_step(&passed(State::Closed), now);
        assert_eq!(closed, NextStep::ResumeParked);
        let half_open = next_step(&passed(State::HalfOpen), now);
        assert_eq!(half_open, NextStep::ProbeAt(now + PAUSE));
        let later = now + 1.minute();
        let failed = ProbeOutcome::Failed {
            retry_at: Some(later),
            elapsed,
        };
        assert_eq!(next_step(&failed, now), NextStep::ProbeAt(later));
        let healthy = ProbeOutcome::NotDue {
            state: State::Closed,
            retry_at: None,
        };
        assert_eq!(next_step(&healthy, now), NextStep::Stop);
    }
}
