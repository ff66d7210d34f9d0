//! The probe: asks both external services, by their cheapest safe read, whether they answer, and
//! publishes what it saw as metrics. It changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use orders::Provider;
use providers::{CallError, Payments, Shipping};
use telemetry::{Metrics, Unit};
use tokio::time::Instant;

/// Probes both services.
#[derive(Clone)]
pub struct Probe {
    /// Takes the money.
    pub payments: Payments,
    /// Takes the parcels.
    pub shipping: Shipping,
}

/// What one probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of which service.
    pub provider: Provider,
    /// Whether the service is at work. A refusal of our key is, too.
    pub up: bool,
    /// How long the answer took.
    pub elapsed: Duration,
}

impl Probe {
    /// Asks both services at once.
    pub async fn run(&self) -> [Finding; 2] {
        let (payments, shipping) = tokio::join!(
            ask(Provider::Payments, self.payments.ping()),
            ask(Provider::Shipping, self.shipping.ping()),
        );
        [payments, shipping]
    }
}

impl Finding {
    /// Publishes the finding, as of `now`.
    pub fn publish(&self, now: Timestamp) {
        let up = if self.up { 1.0 } else { 0.0 };
        Metrics::of("Provider", self.provider.to_string())
            .with("ProviderUp", Unit::Count, up)
            .with(
                "ProbeLatency",
                Unit::Milliseconds,
                self.elapsed.as_secs_f64() * 1_000.0,
            )
            .emit(now.as_millisecond());
    }
}

async fn ask(provider: Provider, ping: impl Future<Output = Result<(), CallError>>) -> Finding {
    let begun = Instant::now();
    let answer = ping.await;
    if let Err(error) = &answer {
        tracing::warn!(%provider, %error, "probe.failed");
    }
    Finding {
        provider,
        up: answer
            .as_ref()
            .err()
            .is_none_or(|error| !error.is_transient()),
        elapsed: begun.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_silence_is_not() {
        let refused = CallError::Rejected {
            status: 401,
            code: "unauthorized".to_owned(),
            message: "This key is not known.".to_owned(),
        };
        assert!(ask(Provider::Payments, async { Err(refused) }).await.up);
        let silence = CallError::Unavailable("connection refused".to_owned());
        assert!(!ask(Provider::Payments, async { Err(silence) }).await.up);
        assert!(ask(Provider::Shipping, async { Ok(()) }).await.up);
    }
}
