//! What all calls have in common: the client, its deadlines, and how a failure is read.

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

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one call may take in all.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a full page of a list is about an eighth of it.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The longest pause that is granted. A provider that asks for more is asked again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Set by Stripe on an answer that it gave before, under the same idempotency key.
const REPLAYED: &str = "idempotent-replayed";

/// The HTTP client for both services.
pub fn client() -> Result<Client, CallError> {
    Client::builder()
        .tls_backend_preconfigured(tls::client_config())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        // Neither provider redirects. A redirect would send our key elsewhere.
        .redirect(redirect::Policy::none())
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
    /// The provider will not do it, now or later: what is asked for is at fault, such as an address or
    /// an amount.
    #[error("rejected with {status} ({code}): {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The provider's code for the reason.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The provider refuses every request like it: our key, our account or the form of our requests
    /// is at fault. It may serve it once a person has corrected that.
    #[error("refused with {status} ({code}): {message}")]
    AccountError {
        /// The HTTP status.
        status: u16,
        /// The provider's code for the reason.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The provider did nothing, and asks to be called later.
    #[error("the provider asks to be called later")]
    RateLimited {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Another call for the same thing is under way, or was made, or this one has not come to its end:
    /// look what has become of it.
    #[error("the same call was made already")]
    InFlight,
    /// The call's idempotency key is used up: the provider replays the error of an earlier call for
    /// as long as it remembers the key, or refuses the key because that call had other parameters.
    /// What the earlier call did has to be looked up.
    #[error("the idempotency key is used up: the provider replays {status}")]
    Replayed {
        /// The HTTP status.
        status: u16,
    },
    /// The provider cannot be reached; nothing was sent.
    #[error("the provider cannot be reached: {0}")]
    Unavailable(String),
    /// The call went out and no useful answer came back: it may have done its work.
    #[error("the outcome is unknown: {reason}")]
    Unknown {
        /// What came instead of an answer.
        reason: String,
        /// How long the provider asks to be left alone.
        retry_after: Option<Duration>,
    },
}

impl CallError {
    /// An unknown outcome, with no word of when to call again.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// The error as it reads when the provider has only replayed it: a final answer stays final; any
    /// other says nothing of now, and stays the same for as long as the key is remembered.
    fn replayed(self, status: StatusCode) -> Self {
        match self {
            Self::Declined { .. } | Self::Rejected { .. } => self,
            _ => Self::Replayed {
                status: status.as_u16(),
            },
        }
    }

    /// Whether the same call may succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Declined { .. }
                | Self::Rejected { .. }
                | Self::AccountError { .. }
                | Self::Replayed { .. }
        )
    }

    /// Whether it tells that the provider is not at work. A refusal is the provider working, and so
    /// is what it says of another call.
    pub const fn counts_against_provider(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Unknown { .. }
        )
    }

    /// How long the provider asks to be left alone; never more than an hour.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unknown { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Makes the call and reads its answer; `refused` reads the provider's own form of a 4xx.
pub(crate) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
    refused: fn(StatusCode, &[u8]) -> Option<CallError>,
) -> Result<T, CallError> {
    let response = exchange(request).await.map_err(failure)?;
    let status = response.status();
    if let Some(error) = broken(status, response.headers(), Timestamp::now()) {
        return Err(error);
    }
    let is_replayed = is_replayed(response.headers());
    let body = read(response).await?;
    if status.is_client_error() {
        let error = refused(status, &body)
            .unwrap_or_else(|| CallError::unknown(format!("answered {status} in no known form")));
        return Err(if is_replayed {
            error.replayed(status)
        } else {
            error
        });
    }
    serde_json::from_slice(&body)
        .map_err(|error| CallError::unknown(format!("answered what cannot be read: {error}")))
}

/// Sends the request and awaits the head of its answer, as a part of the trace.
async fn exchange(request: RequestBuilder) -> Result<Response, reqwest::Error> {
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

/// What an answer tells by its head alone, if it is neither the work's result nor a refusal.
fn broken(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<CallError> {
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

/// Whether a status tells of the provider's own trouble. A timeout and a failure of a service behind
/// the provider are a 4xx by their number only.
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

/// `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        let left = until.duration_since(now).max(SignedDuration::ZERO);
        left.unsigned_abs()
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

async fn read(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::unknown("answered more than can be read"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failure(error: reqwest::Error) -> CallError {
    // The address is configuration, and an address can hold a secret.
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

    fn told_by(status: u16, pairs: &[(&'static str, &'static str)]) -> Option<CallError> {
        broken(StatusCode::from_u16(status).unwrap(), &headers(pairs), NOW)
    }

    #[test]
    fn a_replayed_error_is_not_the_provider_failing_now() {
        for status in [408, 424, 500, 503] {
            let replayed = told_by(status, &[("idempotent-replayed", "true")]).unwrap();
            assert_eq!(replayed, CallError::Replayed { status });
            assert!(!replayed.is_transient() && !replayed.counts_against_provider());
            let fresh = told_by(status, &[]).unwrap();
            assert!(matches!(fresh, CallError::Unknown { .. }), "{status}");
            assert!(fresh.is_transient() && fresh.counts_against_provider());
        }
    }

    #[test]
    fn a_replayed_refusal_is_final_only_if_the_refusal_was() {
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
    fn a_key_in_use_is_waited_for_and_counts_against_nobody() {
        let in_flight = told_by(409, &[]).unwrap();
        assert_eq!(in_flight, CallError::InFlight);
        assert!(in_flight.is_transient() && !in_flight.counts_against_provider());
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let asked = |status, value| told_by(status, &[("retry-after", value)])?.retry_after();
        assert_eq!(asked(429, "3"), Some(Duration::from_secs(3)));
        assert_eq!(asked(503, "120"), Some(Duration::from_mins(2)));
        let date = "Thu, 01 Jan 1970 00:00:30 GMT";
        assert_eq!(asked(503, date), Some(Duration::from_secs(30)));
        let past = "Wed, 31 Dec 1969 23:59:00 GMT";
        assert_eq!(asked(429, past), Some(Duration::ZERO));
        assert_eq!(asked(429, "99999999"), Some(MAX_RETRY_AFTER));
        for unreadable in ["", "soon", "-1", "1.5"] {
            assert_eq!(asked(429, unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn only_json_is_the_provider_speaking() {
        for status in [200, 400, 403, 404] {
            let page = told_by(status, &[("content-type", "text/html; charset=utf-8")]);
            assert!(matches!(page, Some(CallError::Unknown { .. })), "{status}");
            let json = told_by(
                status,
                &[("content-type", "application/json; charset=utf-8")],
            );
            assert_eq!(json, None, "{status}");
        }
        for status in [302, 408] {
            let elsewhere = told_by(status, &[("content-type", "application/json")]);
            assert!(
                matches!(elsewhere, Some(CallError::Unknown { .. })),
                "{status}"
            );
        }
    }
}
