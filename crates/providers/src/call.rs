//! What all calls have in common: the client, its deadlines, and how a failure is read.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one call may take in all.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP client for both services.
pub fn client() -> Result<Client, CallError> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .build()
        .map_err(|error| CallError::Unavailable(error.to_string()))
}

/// Why a call did not do what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The card was declined: final, and the provider at work.
    #[error("declined ({code}): {message}")]
    Declined {
        /// The provider's code for the reason.
        code: String,
        /// The provider's words, fit for the shopper.
        message: String,
    },
    /// The provider will not do it, now or later: the request is at fault.
    #[error("rejected with {status} ({code}): {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The provider's code for the reason.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The provider did nothing, and asks to be called later.
    #[error("the provider asks to be called later")]
    Busy {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider cannot be reached; nothing was sent.
    #[error("the provider cannot be reached: {0}")]
    Unavailable(String),
    /// The call went out and no useful answer came back: it may have done its work.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

impl CallError {
    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. } | Self::Unavailable(_) | Self::Unknown(_)
        )
    }
}

/// Makes the call and reads its answer; `refused` reads the provider's own form of a 4xx.
pub(crate) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
    refused: fn(StatusCode, &[u8]) -> CallError,
) -> Result<T, CallError> {
    let response = request.send().await.map_err(failure)?;
    let status = response.status();
    if status.is_server_error() {
        return Err(CallError::Unknown(format!("answered {status}")));
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT) {
        return Err(CallError::Busy {
            retry_after: retry_after(&response),
        });
    }
    let body = response.bytes().await.map_err(failure)?;
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    serde_json::from_slice(&body)
        .map_err(|error| CallError::Unknown(format!("answered what cannot be read: {error}")))
}

/// `Retry-After` in seconds; both services use no other form.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn failure(error: reqwest::Error) -> CallError {
    // The address is configuration, and an address can hold a secret.
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        CallError::Unavailable(error.to_string())
    } else {
        CallError::Unknown(error.to_string())
    }
}
