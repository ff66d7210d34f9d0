//! HTTP responses, and what a response must look like.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Request, RequestBuilder, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::eventually::DEADLINE;

/// The newest consistency token that a test of this process has received. All tests send it, so
/// that each sees what the others have written.
static NEWEST_TOKEN: Mutex<String> = Mutex::new(String::new());

const TOKEN_HEADER: &str = "consistency-token";

/// The calls of Cognito that invoke a trigger.
const TRIGGERING: [&str; 2] = [
    "AWSCognitoIdentityProviderService.SignUp",
    "AWSCognitoIdentityProviderService.InitiateAuth",
];

/// Adds the newest consistency token to a request.
pub(crate) fn with_consistency_token(request: RequestBuilder) -> RequestBuilder {
    let token = NEWEST_TOKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if token.is_empty() {
        return request;
    }
    request.header(TOKEN_HEADER, token.as_str())
}

/// An HTTP response with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Response {
    /// Sends the request and reads the response as a correct client does: after a 503 with
    /// `Retry-After` or a timeout of the function, it waits and repeats the request, if that is
    /// safe. So no test fails because a machine under load gets a lock or a connection too late.
    pub async fn of(mut request: RequestBuilder) -> Self {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let again = request.try_clone().filter(is_safe_to_repeat);
            let response = Self::once(request).await;
            match (again, response.retry_after()) {
                (Some(again), Some(pause)) if Instant::now() + pause < deadline => {
                    sleep(pause).await;
                    request = again;
                }
                _ => return response,
            }
        }
    }

    /// Sends the request once and reads the response, whatever its status.
    pub async fn once(request: RequestBuilder) -> Self {
        let response = Self::try_of(request).await;
        response.expect("the stack should send a complete response")
    }

    /// Sends the request once, or returns why there is no response.
    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        if let Some(token) = response
            .headers()
            .get(TOKEN_HEADER)
            .and_then(|it| it.to_str().ok())
        {
            let mut newest = NEWEST_TOKEN.lock().unwrap_or_else(PoisonError::into_inner);
            // Tokens sort as text.
            if newest.as_str() < token {
                token.clone_into(&mut newest);
            }
        }
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    /// Returns the response, which must have this status.
    pub fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The value of a header, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// How long to wait before the request is repeated: the API was unavailable, or the function or
    /// Cognito's trigger did not finish in time. None for any other response.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = match self.status {
            503 => self.header("retry-after").parse().ok()?,
            400 | 500 | 502 if self.body.contains("Task timed out") => 1,
            _ => return None,
        };
        Some(Duration::from_secs(seconds))
    }

    /// The body, parsed as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the response {}", self.body))
    }

    /// Fails unless this is a problem of this type, about this field of the request.
    pub fn assert_problem(&self, status: u16, kind: &str, field: Option<&str>) {
        let response = format!("response {} {}", self.status, self.body);
        assert_eq!(self.status, status, "{response}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{response}"
        );
        let problem: Value = self.json();
        assert_eq!(
            problem["type"],
            format!("https://cauce.example/problems/{kind}"),
            "{response}"
        );
        assert_eq!(problem["status"], status, "{response}");
        assert_eq!(problem["field"].as_str(), field, "{response}");
        for text in ["title", "detail", "trace_id"] {
            assert!(
                problem[text].as_str().is_some_and(|it| !it.is_empty()),
                "{text}: {response}"
            );
        }
    }
}

/// Whether a request has no further effect when it is repeated: by its method, by its idempotency
/// key, or because Cognito refuses to create a user twice.
fn is_safe_to_repeat(request: &RequestBuilder) -> bool {
    let request: Option<Request> = request.try_clone().and_then(|it| it.build().ok());
    request.is_some_and(|it| {
        let target = it.headers().get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        it.method().is_idempotent()
            || it.headers().contains_key("idempotency-key")
            || target.is_some_and(|target| TRIGGERING.contains(&target))
    })
}
