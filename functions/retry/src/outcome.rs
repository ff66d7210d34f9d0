//! How a step ended: values, not errors, so that the state machine can choose by them.

use std::time::Duration;

use orders::Provider;
use providers::CallError;
use serde::{Serialize, Serializer};

/// How long an order waits when the provider does not say.
const WAIT: Duration = Duration::from_secs(20);

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is done, now or by an earlier run.
    Done,
    /// It will never be done: undo what came before.
    Refused {
        /// Why.
        reason: String,
    },
    /// It cannot be done now.
    Wait(Wait),
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// Whom.
    pub provider: Provider,
    /// Why.
    pub reason: String,
    /// How long, at the least.
    #[serde(rename = "retry_after_seconds", serialize_with = "seconds")]
    pub retry_after: Duration,
}

impl Wait {
    /// The wait that follows a failed call. The reason is for the shopper; the logs say more.
    pub(crate) fn after(provider: Provider, error: &CallError) -> Self {
        let retry_after = match error {
            CallError::Busy { retry_after } => retry_after.unwrap_or(WAIT),
            _ => WAIT,
        };
        tracing::warn!(%provider, %error, "provider.failed");
        Self {
            provider,
            reason: format!("{provider} does not answer"),
            retry_after,
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs().max(1))
}

/// Whether a rejection is about this order, and not about our key or our configuration, which would
/// be the same for every order and can be put right while the order waits.
pub(crate) const fn is_about_the_order(status: u16) -> bool {
    matches!(status, 400 | 402 | 404 | 422)
}
