//! The sweep: what was accepted but never started, because Step Functions did not answer then.

use jiff::{Timestamp, ToSpan};

use crate::{StepError, Worker};

/// How old an outbox row must be before its execution counts as not started.
const GRACE_SECONDS: i32 = 30;

/// The most executions that one sweep starts.
const MAX_STARTS: i64 = 500;

impl Worker {
    /// Starts what the outbox still holds. A row goes when its execution has begun to run.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<(), StepError> {
        let before = now - GRACE_SECONDS.seconds();
        let waiting = self.database.not_started(before, MAX_STARTS).await?;
        for id in &waiting {
            self.executions.start(*id).await?;
        }
        tracing::info!(started = waiting.len(), "sweep.ended");
        Ok(())
    }
}
