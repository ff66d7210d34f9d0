//! The common part of all calls: the HTTP client, its timeouts and the classification of errors.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{self, HeaderMap},
    redirect,
};
use serde::de::DeserializeOwned;
use telemetry::RemoteCall;
use thiserror::Error;

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The timeout of a whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body that is read, in bytes. A full page of a list has about an eighth of that.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The longest `Retry-After` that is respected. A longer one is shortened to this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The header that Stripe sets on a response that it replays for a repeated idempotency key.
const REPLAYED: &str = "idempotent-replayed";

/// Returns the HTTP client for both providers.
pub fn client() -> Result<Client, CallError> {
    Client::builder()
        .tls_backend_preconfigured(tls::client_config())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        // Neither provider redirects, and a redirect would send our key to another host.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| CallError::Unavailable(error.to_string()))
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The card was declined. This is final, and the provider is healthy.
    #[error("declined ({code}): {message}")]
    Declined {
        /// The provider's code for the reason.
        code: String,
        /// The provider's message, which may be shown to the shopper.
        message: String,
    },
    /// The provider refuses this request now and later, because of its content, such as an address
    /// or an amount.
    #[error("rejected with {status} ({code}): {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The provider's code for the reason.
        code: String,
        /// The provider's message.
        message: String,
    },
    /// The provider refuses all such requests, because of our key, our account or the form of our
    /// requests. The same request may succeed after a person has corrected that.
    #[error("refused with {status} ({code}): {message}")]
    AccountError {
        /// The HTTP status.
        status: u16,
        /// The provider's code for the reason.
        code: String,
        /// The provider's message.
        message: String,
    },
    /// The provider limits the rate of calls. The call had no effect.
    #[error("the provider limits the rate of calls")]
    RateLimited {
        /// How long to wait before the next call, by the provider's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The same call was made before or is in flight, or the provider has not completed this one:
    /// look up its outcome.
    #[error("the same call was made before, or is not completed yet")]
    InFlight,
    /// The call's idempotency key cannot be used any more: the provider replays the error of an
    /// earlier call until it forgets the key, or refuses the key because that call had other
    /// parameters. Look up the outcome of the earlier call.
    #[error("the idempotency key cannot be used any more: the provider replays {status}")]
    Replayed {
        /// The HTTP status.
        status: u16,
    },
    /// The provider cannot be reached. Nothing was sent.
    #[error("the provider cannot be reached: {0}")]
    Unavailable(String),
    /// The request was sent and no usable response was received: it may have taken effect.
    #[error("the outcome is unknown: {reason}")]
    Unknown {
        /// The unusable response, or the error.
        reason: String,
        /// How long to wait before the next call, by the provider's `Retry-After`.
        retry_after: Option<Duration>,
    },
}

impl CallError {
    /// Returns an unknown outcome without a `Retry-After`.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Returns the meaning of this error if the provider has replayed it. A final error stays
    /// final. Any other says nothing about the provider's present state, and is replayed until the
    /// provider forgets the key.
    fn replayed(self, status: StatusCode) -> Self {
        match self {
            Self::Declined { .. } | Self::Rejected { .. } => self,
            _ => Self::Replayed {
                status: status.as_u16(),
            },
        }
    }

    /// Whether the same call may succeed soon.
    pub const fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Declined { .. }
                | Self::Rejected { .. }
                | Self::AccountError { .. }
                | Self::Replayed { .. }
        )
    }

    /// Whether the error means that the provider is unhealthy. A refusal does not, nor does an
    /// error about another call.
    pub const fn counts_against_provider(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Unknown { .. }
        )
    }

    /// How long to wait before the next call, by the provider's `Retry-After`; at most an hour.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unknown { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Makes the call and reads its response. `parse_error` reads the provider's form of a 4xx.
pub(crate) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
    parse_error: fn(StatusCode, &[u8]) -> Option<CallError>,
) -> Result<T, CallError> {
    let response = execute(request).await.map_err(transport_error)?;
    let status = response.status();
    if let Some(error) = error_from_head(status, response.headers(), Timestamp::now()) {
        return Err(error);
    }
    let is_replayed = is_replayed(response.headers());
    let body = read_body(response).await?;
    if status.is_client_error() {
        let error = parse_error(status, &body)
            .unwrap_or_else(|| CallError::unknown(format!("answered {status} in no known form")));
        return Err(if is_replayed {
            error.replayed(status)
        } else {
            error
        });
    }
    serde_json::from_slice(&body)
        .map_err(|error| CallError::unknown(format!("the response cannot be read: {error}")))
}

/// Sends the request and waits for the head of the response. Reports the call to the trace.
async fn execute(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let (client, request) = request.build_split();
    let request = request?;
    let mut call = RemoteCall::begin(
        request.method(),
        request.url().host_str().unwrap_or_default(),
    );
    let response = client.execute(request).await?;
    call.answered(response.status().as_u16());
    Ok(response)
}

/// Returns the error that follows from the head of a response, without its body.
fn error_from_head(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<CallError> {
    let retry_after = retry_after(headers, now);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(CallError::RateLimited { retry_after }),
        StatusCode::CONFLICT => Some(CallError::InFlight),
        _ if is_outage(status) && is_replayed(headers) => Some(CallError::Replayed {
            status: status.as_u16(),
        }),
        _ if is_outage(status) => Some(CallError::Unknown {
            reason: format!("answered {status}"),
            retry_after,
        }),
        _ if !is_json(headers) => Some(CallError::unknown(format!(
            "answered {status}, and not in JSON"
        ))),
        _ => None,
    }
}

/// Whether a status means a failure of the provider. 408 and 424, a failed dependency of the
/// provider, do so too, although they are 4xx.
fn is_outage(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::FAILED_DEPENDENCY
    ) || !(status.is_success() || status.is_client_error())
}

fn is_replayed(headers: &HeaderMap) -> bool {
    headers.get(REPLAYED).is_some_and(|value| value == "true")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads `Retry-After`, which is a number of seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        let left = until.duration_since(now).max(SignedDuration::ZERO);
        left.unsigned_abs()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(CallError::unknown("the response is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn transport_error(error: reqwest::Error) -> CallError {
    // The URL comes from the configuration, and may contain a secret.
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        CallError::Unavailable(error.to_string())
    } else {
        CallError::unknown(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |&(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(header).collect()
    }

    fn error_of(status: u16, pairs: &[(&'static str, &'static str)]) -> Option<CallError> {
        error_from_head(StatusCode::from_u16(status).unwrap(), &headers(pairs), NOW)
    }

    #[test]
    fn a_replayed_error_does_not_count_against_the_provider() {
        for status in [408, 424, 500, 503] {
            let replayed = error_of(status, &[("idempotent-replayed", "true")]).unwrap();
            assert_eq!(replayed, CallError::Replayed { status });
            assert!(!replayed.is_transient() && !replayed.counts_against_provider());
            let fresh = error_of(status, &[]).unwrap();
            assert!(matches!(fresh, CallError::Unknown { .. }), "{status}");
            assert!(fresh.is_transient() && fresh.counts_against_provider());
        }
    }

    #[test]
    fn a_replayed_refusal_is_final_only_if_the_original_was() {
        let (code, message) = (String::new(), String::new());
        let rejected = CallError::Rejected {
            status: 400,
            code: code.clone(),
            message: message.clone(),
        };
        assert_eq!(rejected.clone().replayed(StatusCode::BAD_REQUEST), rejected);
        let account_error = CallError::AccountError {
            status: 403,
            code,
            message,
        };
        for error in [account_error, CallError::unknown("answered 400")] {
            let replayed = error.replayed(StatusCode::FORBIDDEN);
            assert_eq!(replayed, CallError::Replayed { status: 403 });
        }
    }

    #[test]
    fn a_key_in_use_is_transient_and_does_not_count_against_the_provider() {
        let in_flight = error_of(409, &[]).unwrap();
        assert_eq!(in_flight, CallError::InFlight);
        assert!(in_flight.is_transient() && !in_flight.counts_against_provider());
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        let read = |status, value| error_of(status, &[("retry-after", value)])?.retry_after();
        assert_eq!(read(429, "3"), Some(Duration::from_secs(3)));
        assert_eq!(read(503, "120"), Some(Duration::from_mins(2)));
        let date = "Thu, 01 Jan 1970 00:00:30 GMT";
        assert_eq!(read(503, date), Some(Duration::from_secs(30)));
        let past = "Wed, 31 Dec 1969 23:59:00 GMT";
        assert_eq!(read(429, past), Some(Duration::ZERO));
        assert_eq!(read(429, "99999999"), Some(MAX_RETRY_AFTER));
        for unreadable in ["", "soon", "-1", "1.5"] {
            assert_eq!(read(429, unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn only_a_json_response_is_the_provider_s() {
        for status in [200, 400, 403, 404] {
            let page = error_of(status, &[("content-type", "text/html; charset=utf-8")]);
            assert!(matches!(page, Some(CallError::Unknown { .. })), "{status}");
            let json = error_of(
                status,
                &[("content-type", "application/json; charset=utf-8")],
            );
            assert_eq!(json, None, "{status}");
        }
        for status in [302, 408] {
            let error = error_of(status, &[("content-type", "application/json")]);
            assert!(matches!(error, Some(CallError::Unknown { .. })), "{status}");
        }
    }
}
