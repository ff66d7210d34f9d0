//! What the providers tell us unasked: events, each with a signature that is checked before a word
//! of it is believed.
//!
//! Events come late, twice and out of order. Their handler looks up the present state,
//! and remembers an event's id for as long as handling it again would matter.

pub mod payments;
pub mod shipping;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{payments::PaymentEvent, shipping::TrackingEvent};
use crate::{CallError, keys::KeyError};

/// How far a signature's time may be from ours, either way: what both providers advise.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// An event of either provider, as it travels through a queue once it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", content = "event", rename_all = "snake_case")]
pub enum ProviderEvent {
    /// Something happened to a payment.
    Payments(PaymentEvent),
    /// A parcel has moved.
    Shipping(TrackingEvent),
}

/// Why an event is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// It is not signed.
    #[error("the signature is missing")]
    Missing,
    /// It was not signed by the provider, or was changed on its way.
    #[error("the signature does not fit")]
    Forged,
    /// It was signed too long ago, or in the future: it may be a replay.
    #[error("the signature's time is too far from now")]
    Stale,
    /// The provider signed what is no event.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
    /// The provider's keys cannot be had now, so that nothing can be said of the event.
    #[error("the provider's keys cannot be had: {0}")]
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

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, WebhookError> {
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

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, WebhookError> {
    serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))
}

/// What is signed: the time as it was written, a dot, and the body.
fn signed(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", body].concat()
}
