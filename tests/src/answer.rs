//! What the API answered, and what an answer must look like.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Request, RequestBuilder, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::patience::DEADLINE;

/// How far the stories of this process have seen the database write: what one of them has done, all shall see.
static SEEN: Mutex<String> = Mutex::new(String::new());

/// The header that says so.
const TOKEN: &str = "consistency-token";

/// A request of somebody who has seen what the stories have seen.
pub(crate) fn having_seen(request: RequestBuilder) -> RequestBuilder {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.is_empty() {
        return request;
    }
    request.header(TOKEN, seen.as_str())
}

/// An HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Sends the request and reads the answer, as a correct client does: on 503 with `Retry-After`, or after a
    /// time limit, it waits and sends the same request again, if that is safe. So a lock or a connection that is
    /// not had in time, as on a machine under load, ends no story.
    pub async fn of(mut request: RequestBuilder) -> Self {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let again = request.try_clone().filter(is_safe_to_repeat);
            let answer = Self::once(request).await;
            match (again, answer.retry_after()) {
                (Some(again), Some(pause)) if Instant::now() + pause < deadline => {
                    sleep(pause).await;
                    request = again;
                }
                _ => return answer,
            }
        }
    }

    /// Sends the request once and reads the answer, a refusal too.
    pub async fn once(request: RequestBuilder) -> Self {
        let answer = Self::try_of(request).await;
        answer.expect("the stack should answer, with an answer that is whole")
    }

    /// Sends the request and reads the answer, if there is one.
    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        if let Some(token) = response
            .headers()
            .get(TOKEN)
            .and_then(|it| it.to_str().ok())
        {
            let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            // They sort as text.
            if seen.as_str() < token {
                token.clone_into(&mut seen);
            }
        }
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    /// The answer, which must have this status.
    pub fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// After what pause to send the request again: one that was refused for the moment, or one whose answer was
    /// lost, because the function did not finish in time.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = match self.status {
            503 => self.header("retry-after").parse().ok()?,
            502 if self.body.contains("Task timed out") => 1,
            _ => return None,
        };
        Some(Duration::from_secs(seconds))
    }

    /// The body as JSON of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the answer {}", self.body))
    }

    /// Fails unless this is a problem of that kind, about that part of the request.
    pub fn is_problem(&self, status: u16, kind: &str, field: Option<&str>) {
        let said = format!("answered {} {}", self.status, self.body);
        assert_eq!(self.status, status, "{said}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{said}"
        );
        let problem: Value = self.json();
        assert_eq!(
            problem["type"],
            format!("https://cauce.example/problems/{kind}"),
            "{said}"
        );
        assert_eq!(problem["status"], status, "{said}");
        assert_eq!(problem["field"].as_str(), field, "{said}");
        for text in ["title", "detail", "trace_id"] {
            assert!(
                problem[text].as_str().is_some_and(|it| !it.is_empty()),
                "{text}: {said}"
            );
        }
    }
}

/// Whether a request changes nothing more when it is sent twice: by its method, or by its idempotency key.
fn is_safe_to_repeat(request: &RequestBuilder) -> bool {
    let request: Option<Request> = request.try_clone().and_then(|it| it.build().ok());
    request.is_some_and(|it| {
        it.method().is_idempotent() || it.headers().contains_key("idempotency-key")
    })
}
