//! Resumes parked executions: the oldest order first, at a rate that rises while calls succeed.
//! Each provider has one releaser at a time.

use std::time::Duration;

use breaker::{Forced, State, Status};
use jiff::{SignedDuration, Timestamp};
use orders::{Provider, Wait};
use store::{AttentionKind, NewAttention, ParkedCursor, ParkedWork, Resumed};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::{Worker, guard::Guard, services::Books, steps::StepError};

/// How long one run releases before another run continues. Well below the function's timeout.
const RUN: Duration = Duration::from_secs(20);

/// How long a releaser's lease lasts after its last renewal, if the releaser dies.
const LEASE: SignedDuration = SignedDuration::from_secs(10);

/// How long a releaser keeps one rate before it adjusts the rate.
const TICK: Duration = Duration::from_secs(1);

/// How many executions a releaser resumes in its first tick.
const FIRST_RATE: u32 = 2;

/// The most calls that a resumed order makes to one provider. Its payment is looked up, authorized,
/// and captured once there is a label.
const CALLS_EACH: u32 = 3;

/// How many parked executions are read as one page.
const PAGE: u16 = 200;

/// The most pages that one search for due executions reads. The next search continues there.
const MAX_PAGES: usize = 20;

/// How many executions are resumed in one tick. The rate rises by half after a tick without a
/// failed call, and falls by half after a tick with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    rate: u32,
    max: u32,
}

impl Pace {
    fn new(max: u32) -> Self {
        let max = max.max(1);
        Self {
            rate: FIRST_RATE.min(max),
            max,
        }
    }

    fn after(self, a_call_failed: bool) -> Self {
        let rate = if a_call_failed {
            (self.rate / 2).max(1)
        } else {
            (self.rate + self.rate.div_ceil(2)).min(self.max)
        };
        Self { rate, ..self }
    }
}

/// Which of the executions that wait for a circuit may resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Those whose next attempt is due, or whose deadline has passed.
    Open,
    /// Only those whose deadline has passed. Their orders are then undone.
    Closed,
}

impl Worker {
    /// Resumes the executions that wait for either provider and may resume.
    pub(crate) async fn release(&self) -> Result<(), StepError> {
        let (payments, shipping) = tokio::join!(
            self.release_for(&self.steps.services.payments_guard),
            self.release_for(&self.steps.services.shipping_guard),
        );
        payments.and(shipping)
    }

    async fn release_for(&self, guard: &Guard) -> Result<(), StepError> {
        let (provider, holder) = (guard.provider, Uuid::new_v4().to_string());
        let end = Instant::now() + RUN;
        loop {
            let now = Timestamp::now();
            if !self
                .steps
                .services
                .parked
                .lease(provider, &holder, now, LEASE)
                .await?
            {
                // The holder checks for due executions again after it releases the lease.
                return Ok(());
            }
            let released = self.release_while_due(guard, &holder, end).await;
            self.steps
                .services
                .parked
                .release_lease(provider, &holder)
                .await?;
            let released = released?;
            if Instant::now() >= end {
                // After a run that resumed nothing, the next one is left to the schedule.
                return match released {
                    0 => Ok(()),
                    _ => Ok(self.steps.services.release_after(Duration::ZERO).await?),
                };
            }
            let gate = gate(&guard.breaker.status().await?);
            if !self.is_anything_due(provider, gate, end).await? {
                return Ok(());
            }
        }
    }

    /// Resumes executions, tick by tick, until none is due or the run is over. Returns how many
    /// were resumed.
    async fn release_while_due(
        &self,
        guard: &Guard,
        holder: &str,
        end: Instant,
    ) -> Result<usize, StepError> {
        let mut pace = Pace::new(self.steps.limits.released_calls_per_second / CALLS_EACH);
        let (mut failures, mut has_released) = (None, false);
        let mut released = 0;
        let mut from = ParkedCursor::default();
        while Instant::now() < end {
            let status = guard.breaker.status().await?;
            let now = status.figures.failures;
            let has_failed = failures.replace(now).is_some_and(|before| now > before);
            // A tick that resumed nothing does not show how many calls the provider can serve.
            if has_failed || std::mem::take(&mut has_released) {
                pace = pace.after(has_failed);
            }
            let due = self
                .due(guard.provider, gate(&status), pace.rate, &mut from)
                .await?;
            let is_all_seen = due.is_empty() && from.is_start();
            let now = Timestamp::now();
            let mine = self
                .steps
                .services
                .parked
                .lease(guard.provider, holder, now, LEASE);
            if is_all_seen || !mine.await? {
                break;
            }
            if due.is_empty() {
                continue;
            }
            self.resume_all(&due, pace.rate).await?;
            released += due.len();
            has_released = true;
        }
        if released > 0 {
            tracing::info!(provider = %guard.provider, released, "parked.released");
        }
        Ok(released)
    }

    /// Whether any execution is due. Returns false if none is found until `end`.
    async fn is_anything_due(
        &self,
        provider: Provider,
        gate: Gate,
        end: Instant,
    ) -> Result<bool, StepError> {
        let mut from = ParkedCursor::default();
        while Instant::now() < end {
            let due = self.due(provider, gate, 1, &mut from).await?;
            if !due.is_empty() || from.is_start() {
                return Ok(!due.is_empty());
            }
        }
        Ok(false)
    }

    /// Returns at most `limit` executions that may resume now, the oldest order first. Reads at
    /// most [`MAX_PAGES`] pages, starting at `from`. Moves `from` to the start of the next search:
    /// the beginning of the list if `limit` or the end of the list was reached.
    async fn due(
        &self,
        provider: Provider,
        gate: Gate,
        limit: u32,
        from: &mut ParkedCursor,
    ) -> Result<Vec<ParkedWork>, StepError> {
        let (now, limit) = (
            Timestamp::now(),
            usize::try_from(limit).unwrap_or(usize::MAX),
        );
        let mut due = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self
                .steps
                .services
                .parked
                .list(provider, *from, PAGE)
                .await?;
            if let Some(finding) = unreadable(provider, &page.unreadable) {
                self.steps.report(&finding).await?;
            }
            due.extend(
                page.items
                    .into_iter()
                    .filter(|parked| may_resume(&parked.wait, gate, now)),
            );
            let next = page.next_cursor.and_then(|cursor| cursor.parse().ok());
            *from = next.filter(|_| due.len() < limit).unwrap_or_default();
            if from.is_start() {
                break;
            }
        }
        due.truncate(limit);
        Ok(due)
    }

    /// Resumes these executions, evenly over one tick.
    async fn resume_all(&self, due: &[ParkedWork], rate: u32) -> Result<(), StepError> {
        let begun = Instant::now();
        for parked in due {
            self.resume(parked).await?;
            sleep(TICK / rate.max(1)).await;
        }
        sleep_until(begun + TICK).await;
        Ok(())
    }

    /// Resumes an execution, and deletes its parked item. If the execution is gone, the sweep finds
    /// its unfinished work.
    pub(super) async fn resume(&self, parked: &ParkedWork) -> Result<(), StepError> {
        if self
            .steps
            .services
            .executions
            .resume(parked.token())
            .await?
            == Resumed::Gone
        {
            tracing::warn!(work = %parked.work, "parked.gone");
        }
        Ok(self.steps.services.parked.remove(parked).await?)
    }
}

fn gate(status: &Status) -> Gate {
    let forced = status.forced.as_ref().map(|it| it.forced);
    match (forced, status.state) {
        (Some(Forced::Closed | Forced::Disabled), _) | (None, State::Closed) => Gate::Open,
        (Some(Forced::Open), _) | (None, State::Open | State::HalfOpen) => Gate::Closed,
    }
}

/// Returns the attention item for parked items that cannot be read. There is one for each provider,
/// because all such items have one cause.
fn unreadable(provider: Provider, items: &[String]) -> Option<NewAttention> {
    let first = items.first()?;
    Some(NewAttention {
        order_id: None,
        subject: provider.to_string(),
        kind: AttentionKind::ParkedUnreadable,
        detail: format!("{} cannot be read, the first for {first}.", items.len()),
    })
}

pub(crate) fn may_resume(wait: &Wait, gate: Gate, now: Timestamp) -> bool {
    let given_up = wait.deadline.is_some_and(|deadline| deadline <= now);
    given_up || gate == Gate::Open && wait.next_attempt <= now
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    fn wait(next_attempt: Timestamp, deadline: Option<Timestamp>) -> Wait {
        Wait {
            provider: Provider::Payments,
            reason: String::new(),
            since: Timestamp::UNIX_EPOCH,
            attempts: 1,
            next_attempt,
            deadline,
        }
    }

    #[test]
    fn an_execution_resumes_when_due_or_past_its_deadline() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + 1.hours();
        assert!(may_resume(&wait(now, None), Gate::Open, now));
        assert!(!may_resume(&wait(now, Some(later)), Gate::Closed, now));
        assert!(!may_resume(&wait(later, None), Gate::Open, now));
        assert!(may_resume(&wait(later, Some(now)), Gate::Closed, now));
    }

    #[test]
    fn unreadable_items_are_raised_as_one() {
        assert!(unreadable(Provider::Payments, &[]).is_none());
        let items = ["one", "two"].map(ToOwned::to_owned);
        let finding = unreadable(Provider::Payments, &items).unwrap();
        assert_eq!(finding.subject, "payments");
        assert_eq!(finding.detail, "2 cannot be read, the first for one.");
    }

    proptest! {
        #[test]
        fn a_pace_stays_within_its_limits(max in 0_u32..1000, failures in prop::collection::vec(any::<bool>(), 0..50)) {
            let mut pace = Pace::new(max);
            for failed in failures {
                prop_assert!((1..=max.max(1)).contains(&pace.rate));
                pace = pace.after(failed);
            }
        }
    }
}
