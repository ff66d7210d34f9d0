//! Work that is completed even if the client disconnects: the HTTP server then drops the future of
//! the request.

use std::{
    future::{Future, pending},
    panic,
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument;

/// The number of permits. It is never reached: [`crate::Capacity`] limits the requests to far
/// fewer.
const PERMITS: u16 = u16::MAX;

/// Detached work holds one permit each while it runs.
static RUNNING: Semaphore = Semaphore::const_new(PERMITS as usize);

/// How long the process waits for detached work at its end. No database statement takes longer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs `work` to completion, even if this future is dropped. It keeps the current trace and span.
pub async fn run_to_end<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let work = async {
        let _permit = RUNNING.acquire().await;
        work.await
    };
    match tokio::spawn(telemetry::in_current_trace(work).in_current_span()).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            // The task is cancelled only when the runtime ends, and this future with it.
            Err(_) => pending().await,
        },
    }
}

/// Waits until all detached work is completed, at most for the shutdown timeout.
pub(crate) async fn wait_for_all() {
    let all = RUNNING.acquire_many(PERMITS.into());
    if timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
        let left = usize::from(PERMITS) - RUNNING.available_permits();
        tracing::error!(left, "server.work_abandoned");
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use telemetry::TraceContext;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_completed_after_its_caller_was_dropped() {
        let (resume, resumed) = oneshot::channel();
        let (complete, completed) = oneshot::channel();
        let mut call = Box::pin(run_to_end(async {
            resumed.await.unwrap();
            complete.send("done").unwrap();
        }));
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        resume.send(()).unwrap();
        assert_eq!(completed.await, Ok("done"));
    }

    #[tokio::test]
    async fn work_keeps_its_trace() {
        let place = "Root=1-581cf771-a006649127e371903a2de979;Sampled=1";
        let work = run_to_end(async { TraceContext::current() });
        let here = telemetry::in_trace(Some(place), work).await.unwrap();
        assert_eq!(here.to_string(), place);
    }

    #[tokio::test]
    #[should_panic(expected = "a bug")]
    async fn a_panic_is_passed_on_to_the_caller() {
        run_to_end(async { panic!("a bug") }).await;
    }
}
