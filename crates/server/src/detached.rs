//! Work that runs to its end although its caller hangs up: the HTTP server drops the future of such a
//! request.

use std::{
    future::{Future, pending},
    panic,
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument;

/// More than there ever is of such work at once: requests are limited by [`crate::Capacity`].
const AT_ONCE: u16 = u16::MAX;

/// Such work has a permit each while it is under way.
static UNDER_WAY: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// How long it may take once no request is under way any more. No statement takes longer.
const WITHIN: Duration = Duration::from_secs(10);

/// Does some work to its end, even if this future is dropped. It keeps its place in a trace and in the
/// logs.
pub async fn run_to_end<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let work = async {
        let _permit = UNDER_WAY.acquire().await;
        work.await
    };
    match tokio::spawn(telemetry::here(work).in_current_span()).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            // Only the end of the runtime cancels it, which ends this, too.
            Err(_) => pending().await,
        },
    }
}

/// Waits for all such work, for a while.
pub(crate) async fn wait() {
    let all = UNDER_WAY.acquire_many(AT_ONCE.into());
    if timeout(WITHIN, all).await.is_err() {
        let left = usize::from(AT_ONCE) - UNDER_WAY.available_permits();
        tracing::error!(left, "server.work_abandoned");
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use telemetry::TracePlace;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_its_caller_is_gone() {
        let (hang_up, gone) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let mut call = Box::pin(run_to_end(async {
            gone.await.unwrap();
            tell.send("done").unwrap();
        }));
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        hang_up.send(()).unwrap();
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn work_keeps_its_place_in_the_trace() {
        let place = "Root=1-581cf771-a006649127e371903a2de979;Sampled=1";
        let work = run_to_end(async { TracePlace::current() });
        let here = telemetry::at(Some(place), work).await.unwrap();
        assert_eq!(here.to_string(), place);
    }

    #[tokio::test]
    #[should_panic(expected = "a fault of ours")]
    async fn a_panic_is_the_callers() {
        run_to_end(async { panic!("a fault of ours") }).await;
    }
}
