//! Letting parked executions go on: the oldest order first, at a rate that rises while calls succeed,
//! by one releaser at a time for each provider.

use std::time::Duration;

use breaker::{Forced, State, Status};
use jiff::{SignedDuration, Timestamp};
use orders::{Hold, Provider};
use store::{AttentionKind, NewAttention, ParkedCursor, ParkedWork, Resumed};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::{Worker, guard::Guard, services::Books, steps::StepError};

/// How long one run releases, before it lets another go on: well below the function's own limit.
const RUN: Duration = Duration::from_secs(20);

/// How long the lease of a releaser lasts that has died.
const LEASE: SignedDuration = SignedDuration::from_secs(10);

/// How long a releaser releases at one rate before it looks how that went.
const TICK: Duration = Duration::from_secs(1);

/// How many a releaser lets go in its first tick.
const FIRST_RATE: u32 = 2;

/// How many calls of one provider an order makes that goes on, at the most: a payment is looked up,
/// held, and taken once there is a label.
const CALLS_EACH: u32 = 3;

/// How many parked executions are read at once.
const PAGE: u16 = 200;

/// How many pages are read in one go for what is due; the next goes on from there.
const MAX_PAGES: usize = 20;

/// How many executions go on in one tick: half as many again after each that went well, half as many
/// after one in which a call failed.
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

/// Whether executions that wait for a circuit may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// As far as their own waits allow.
    Open,
    /// Only those whose deadline has passed, which then are undone.
    Shut,
}

impl Worker {
    /// Releases what waits for either provider, as far as that may go on.
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
                // Its holder looks again after releasing it.
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
                // If it only looked, the schedule has the next one look.
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

    /// Releases, tick by tick, until nothing is due or the run is over; tells how many were released.
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
            // A tick in which nothing went on does not tell how many calls are served.
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

    /// Whether anything is due, as far as can be seen until `end`.
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

    /// At most `limit` executions that may be resumed now, the oldest order first, of as many as are
    /// read in one go. `from` moves to where the next should look: back to the beginning, once there
    /// were enough, or no more.
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
                    .filter(|parked| may_go_on(&parked.hold, gate, now)),
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

    /// Resumes an execution. One that is gone is taken away; the sweep finds what it has left undone.
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
        (Some(Forced::Open), _) | (None, State::Open | State::HalfOpen) => Gate::Shut,
    }
}

/// What a person is told of items that cannot be read: once for a provider, as they have one cause.
fn unreadable(provider: Provider, items: &[String]) -> Option<NewAttention> {
    let first = items.first()?;
    Some(NewAttention {
        order_id: None,
        subject: provider.to_string(),
        kind: AttentionKind::ParkedUnreadable,
        detail: format!("{} cannot be read, the first for {first}.", items.len()),
    })
}

pub(crate) fn may_go_on(hold: &Hold, gate: Gate, now: Timestamp) -> bool {
    let given_up = hold.deadline.is_some_and(|deadline| deadline <= now);
    given_up || gate == Gate::Open && hold.next_attempt <= now
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    fn hold(next_attempt: Timestamp, deadline: Option<Timestamp>) -> Hold {
        Hold {
            provider: Provider::Payments,
            reason: String::new(),
            since: Timestamp::UNIX_EPOCH,
            attempts: 1,
            next_attempt,
            deadline,
        }
    }

    #[test]
    fn a_deadline_opens_every_gate() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + 1.hours();
        assert!(may_go_on(&hold(now, None), Gate::Open, now));
        assert!(!may_go_on(&hold(now, Some(later)), Gate::Shut, now));
        assert!(!may_go_on(&hold(later, None), Gate::Open, now));
        assert!(may_go_on(&hold(later, Some(now)), Gate::Shut, now));
    }

    #[test]
    fn a_person_is_told_once_of_all_that_cannot_be_read() {
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
