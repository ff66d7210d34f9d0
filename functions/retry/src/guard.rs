//! The guarded call: a few tries with full jitter, inside a deadline.

use std::time::Duration;

use providers::CallError;
use tokio::time::{Instant, sleep};

/// How often a call is tried within one step.
const MAX_ATTEMPTS: u32 = 3;

/// The longest pause before the second try; it doubles with each.
const BASE_PAUSE: Duration = Duration::from_millis(200);

/// How long all tries of one step may take before the last is begun.
const DEADLINE: Duration = Duration::from_secs(15);

/// Calls until it succeeds, fails for good, or is out of tries or time.
pub(crate) async fn call<T, F>(mut attempt: impl FnMut(u32) -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let deadline = Instant::now() + DEADLINE;
    let mut tried = 0;
    loop {
        let error = match attempt(tried).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tried += 1;
        let pause = pause(tried, &error, rand::random());
        if !error.is_transient() || tried == MAX_ATTEMPTS || Instant::now() + pause > deadline {
            return Err(error);
        }
        tracing::info!(%error, attempt = tried, "call.retried");
        sleep(pause).await;
    }
}

/// How long to wait after `tried` tries: any part of a growing span, so that callers spread out; and
/// never less than the provider asks for.
fn pause(tried: u32, error: &CallError, chance: f64) -> Duration {
    let span = BASE_PAUSE * 2_u32.saturating_pow(tried.saturating_sub(1));
    let jittered = span.mul_f64(chance.clamp(0.0, 1.0));
    match error {
        CallError::Busy {
            retry_after: Some(asked),
        } => *asked + jittered,
        _ => jittered,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn unknown() -> CallError {
        CallError::unknown("timed out")
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again() {
        let calls = Cell::new(0);
        let answer = call(|attempt| {
            calls.set(calls.get() + 1);
            async move {
                if attempt < 2 {
                    Err(unknown())
                } else {
                    Ok(attempt)
                }
            }
        });
        assert_eq!((answer.await, calls.get()), (Ok(2), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_bounded_and_a_refusal_is_final() {
        let calls = Cell::new(0);
        let counted = |error: CallError| {
            calls.set(calls.get() + 1);
            async move { Err::<(), _>(error) }
        };
        assert_eq!(call(|_| counted(unknown())).await, Err(unknown()));
        assert_eq!(calls.replace(0), MAX_ATTEMPTS);
        let declined = CallError::Declined {
            code: String::new(),
            message: String::new(),
        };
        assert_eq!(
            call(|_| counted(declined.clone())).await,
            Err(declined.clone())
        );
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_retry_after_is_left_to_the_state_machine() {
        let asked = Some(Duration::from_mins(1));
        let busy = CallError::Busy { retry_after: asked };
        let begun = Instant::now();
        let answer = call(|_| {
            let busy = busy.clone();
            async move { Err::<(), _>(busy) }
        })
        .await;
        assert_eq!(answer, Err(busy));
        assert!(begun.elapsed() < DEADLINE);
    }

    #[test]
    fn a_pause_is_any_part_of_a_doubling_span() {
        assert_eq!(pause(1, &unknown(), 1.0), BASE_PAUSE);
        assert_eq!(pause(3, &unknown(), 1.0), BASE_PAUSE * 4);
        assert_eq!(pause(3, &unknown(), 0.0), Duration::ZERO);
    }
}
