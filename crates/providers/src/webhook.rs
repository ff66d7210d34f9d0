//! The providers' webhook events. The signature is verified before an event is parsed.
//!
//! Events arrive late, more than once and out of order. So their handler looks up the present
//! state, and stores an event's id for as long as processing it again would matter.

pub mod payments;
pub mod shipping;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{payments::PaymentEvent, shipping::TrackingEvent};
use crate::{CallError, keys::KeyError};

/// The greatest difference between a signature's time and now, in both directions. Both providers
/// recommend it.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A verified event of either provider, as it is sent through a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", content = "event", rename_all = "snake_case")]
pub enum ProviderEvent {
    /// An event of a payment.
    Payments(PaymentEvent),
    /// An event of a parcel.
    Shipping(TrackingEvent),
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// It is not signed.
    #[error("the signature is missing")]
    Missing,
    /// It was not signed by the provider, or was changed in transit.
    #[error("the signature is invalid")]
    Forged,
    /// Its signature is too old or in the future: it may be a replay.
    #[error("the signature's time is too far from now")]
    Stale,
    /// The signature is valid, but the body is not an event.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
    /// The provider's keys cannot be fetched now, so the signature cannot be verified.
    #[error("the provider's keys cannot be fetched: {0}")]
    NoKeys(CallError),
}

impl From<KeyError> for WebhookError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::Forged,
            KeyError::Unavailable(error) => Self::NoKeys(error),
        }
    }
}

fn required_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, WebhookError> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .ok_or(WebhookError::Missing)
}

fn check_age(signed: Timestamp, now: Timestamp) -> Result<(), WebhookError> {
    if now.duration_since(signed).abs() > TOLERANCE {
        return Err(WebhookError::Stale);
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, WebhookError> {
    serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))
}

/// Returns the signed bytes: the timestamp as it was sent, a dot, and the body.
fn signed_payload(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", body].concat()
}
