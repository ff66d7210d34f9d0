//! The sweep: restarts unfinished work whose execution is gone, publishes metrics, deletes old rows
//! and reconciles with the providers' records.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use orders::Provider;
use store::{Backlog, Started, UnfinishedWork};
use telemetry::{Metrics, Unit, count};
use tokio::time::{Duration, Instant};

use crate::{Worker, steps::StepError};

/// The most pieces of work that one sweep checks.
const MAX_WORK: i64 = 500;

/// How long after its start a sweep may begin to compare another record. The function's timeout is
/// 60 s, and a call that hangs takes 25 s.
const COMPARES_FOR: Duration = Duration::from_secs(30);

/// How many pieces of work are checked concurrently.
const AT_ONCE: usize = 16;

/// The result of checking a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// An execution is running.
    Running,
    /// No execution had been started. One is started now.
    Started,
    /// The execution was gone or had failed. Another one has replaced it.
    Restarted,
}

impl Worker {
    /// Runs the sweep once.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<(), StepError> {
        let until = Instant::now() + COMPARES_FOR;
        self.publish_waiting(now).await?;
        self.publish_last_minute(now).await?;
        self.ensure_executions(now).await?;
        self.steps
            .services
            .database
            .provider_events()
            .delete_old(now)
            .await?;
        self.steps
            .services
            .database
            .imports()
            .delete_old(now)
            .await?;
        // Last, because a provider that hangs may use up the remaining time.
        self.reconcile(now, until).await
    }

    async fn ensure_executions(&self, now: Timestamp) -> Result<(), StepError> {
        let unfinished = self
            .steps
            .services
            .database
            .outbox()
            .claim_due(now, MAX_WORK)
            .await?;
        let looked_at: Vec<_> = stream::iter(unfinished)
            .map(|work| self.ensure_execution(work))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let found = looked_at.into_iter().collect::<Result<Vec<_>, _>>()?;
        let how_many = |what| found.iter().filter(|found| **found == what).count();
        let (started, restarted) = (how_many(Found::Started), how_many(Found::Restarted));
        tracing::info!(looked_at = found.len(), started, restarted, "sweep.ended");
        Metrics::of("Service", "sweep")
            .with("ExecutionsStarted", Unit::Count, count(started))
            .with("ExecutionsRestarted", Unit::Count, count(restarted))
            .emit(now.as_millisecond());
        Ok(())
    }

    /// Starts an execution of the work unless one is running, and replaces one that has ended.
    /// Every step is safe to run again, so a new execution starts from the beginning.
    async fn ensure_execution(&self, unfinished: UnfinishedWork) -> Result<Found, StepError> {
        match self
            .steps
            .services
            .executions
            .ensure_running(unfinished)
            .await?
        {
            Started::Now => return Ok(Found::Started),
            Started::Before => return Ok(Found::Running),
            Started::Ended => {}
        }
        tracing::warn!(work = %unfinished.work, "execution.gone");
        if self
            .steps
            .services
            .database
            .outbox()
            .advance_execution(unfinished)
            .await?
        {
            let execution = unfinished.execution + 1;
            let next = UnfinishedWork {
                execution,
                ..unfinished
            };
            self.steps.services.executions.ensure_running(next).await?;
        }
        Ok(Found::Restarted)
    }

    /// Publishes how many orders were accepted, shipped and cancelled in the last whole minute.
    async fn publish_last_minute(&self, now: Timestamp) -> Result<(), StepError> {
        let minutes = self
            .steps
            .services
            .database
            .activity()
            .list_minutes(now, 2)
            .await?;
        if let Some(minute) = minutes.first() {
            Metrics::of("Service", "sweep")
                .with("OrdersAccepted", Unit::Count, count(minute.accepted))
                .with("OrdersShipped", Unit::Count, count(minute.shipped))
                .with("OrdersCancelled", Unit::Count, count(minute.cancelled))
                .emit(minute.at.as_millisecond());
        }
        Ok(())
    }

    /// Publishes how many orders wait for each provider, how many refunds are unfinished, the age
    /// of the oldest of each, and how many items wait for a person.
    async fn publish_waiting(&self, now: Timestamp) -> Result<(), StepError> {
        let age = |backlog: Backlog| {
            let since = backlog.since;
            count(since.map_or(0, |since| now.duration_since(since).as_secs()))
        };
        let backlogs = self.steps.services.database.activity().backlogs().await?;
        for (provider, waiting) in [
            (Provider::Payments, backlogs.payments),
            (Provider::Shipping, backlogs.shipping),
        ] {
            Metrics::of("Provider", provider.to_string())
                .with("OrdersWaiting", Unit::Count, count(waiting.count))
                .with("OldestWait", Unit::Seconds, age(waiting))
                .emit(now.as_millisecond());
        }
        Metrics::of("Service", "sweep")
            .with("RefundsWaiting", Unit::Count, count(backlogs.refunds.count))
            .with("OldestRefund", Unit::Seconds, age(backlogs.refunds))
            .with(
                "NeedsAttention",
                Unit::Count,
                count(backlogs.attention.count),
            )
            .emit(now.as_millisecond());
        Ok(())
    }
}
