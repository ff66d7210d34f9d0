//! The sweep: looks after what is not finished, and compares the providers' records with ours.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use orders::Provider;
use store::{Backlog, Started, UnfinishedWork};
use telemetry::{Metrics, Unit, count};
use tokio::time::{Duration, Instant};

use crate::{Worker, steps::StepError};

/// The most pieces of work that one sweep looks after.
const MAX_WORK: i64 = 500;

/// How long after its beginning a sweep begins to compare another record, of the 60 s that its
/// function has: a call that hangs takes 25 s.
const COMPARES_FOR: Duration = Duration::from_secs(30);

/// How many at once.
const AT_ONCE: usize = 16;

/// What the sweep found of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// An execution is at it.
    Running,
    /// None had been started; one is now.
    Started,
    /// The execution was gone or had failed; another one has taken its place.
    Restarted,
}

impl Worker {
    /// Looks after everything once.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<(), StepError> {
        let until = Instant::now() + COMPARES_FOR;
        self.publish_waiting(now).await?;
        self.publish_last_minute(now).await?;
        self.look_after_unfinished(now).await?;
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
        // Last, because a provider that hangs may take all the time that is left.
        self.reconcile(now, until).await
    }

    async fn look_after_unfinished(&self, now: Timestamp) -> Result<(), StepError> {
        let unfinished = self
            .steps
            .services
            .database
            .outbox()
            .claim_due(now, MAX_WORK)
            .await?;
        let looked_at: Vec<_> = stream::iter(unfinished)
            .map(|work| self.look_after(work))
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

    /// Sees to it that an execution is at the work. Every step is safe to run again, so another
    /// execution begins at the beginning.
    async fn look_after(&self, unfinished: UnfinishedWork) -> Result<Found, StepError> {
        match self.steps.services.executions.ensure(unfinished).await? {
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
            self.steps.services.executions.ensure(next).await?;
        }
        Ok(Found::Restarted)
    }

    /// Publishes what became of orders in the last whole minute.
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

    /// Publishes how many orders wait for each provider, how many refunds are not done, for how long
    /// the first of them, and how much waits for a person.
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
