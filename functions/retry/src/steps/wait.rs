//! Makes an order wait for a provider: records the wait, parks the execution, and schedules the
//! check that releases it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orders::{CancelledBy, Order, OrderEvent, Provider, Wait};
use providers::CallError;
use store::{AttentionKind, NewAttention, Work};

use super::{
    StepError, Steps, cancelled_outcome,
    payment::{cancelled, outcome_by_now},
};
use crate::{
    guard::{Failure, doubled},
    outcome::Outcome,
    services::Books,
};

/// Roughly how long an order waits after its first failed call. The wait doubles with each further
/// failure.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest such wait. A provider's `Retry-After` may be longer.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// The longest time from a step's outcome until its execution is parked.
const PARKING: Duration = Duration::from_secs(1);

impl<S: Books> Steps<S> {
    /// Makes the order wait, or cancels it if its deadline has passed. Without a deadline it waits
    /// until the provider responds, because something may have to be undone there.
    pub(super) async fn wait_for(
        &self,
        order: &Order,
        provider: Provider,
        failure: Failure,
        deadline: Option<Timestamp>,
    ) -> Result<Outcome, StepError> {
        let now = self.services.now();
        let deadline = deadline.filter(|_| order.is_open());
        if deadline.is_some_and(|deadline| deadline <= now) {
            tracing::warn!(order_id = %order.id, %provider, "order.gave_up");
            // Once money is on hold, the deadline is a different one, and a webhook may have
            // reported the hold meanwhile.
            let seen = order;
            let decide = |order: &Order| {
                if order.is_undecided() == seen.is_undecided() {
                    cancelled(order, CancelledBy::Deadline)
                } else {
                    Vec::new()
                }
            };
            let order = self.record(seen.id, decide).await?;
            // Another run may have advanced the order, so that it was not cancelled here.
            return Ok(cancelled_outcome(&order).unwrap_or(Outcome::Done));
        }
        if now > order.placed_at + self.limits.max_wait + self.limits.max_wait {
            let detail = format!("It cannot be finished or undone without {provider}.");
            let subject = order.id.to_string();
            self.raise(order, &subject, AttentionKind::DeadlinePassed, detail)
                .await?;
        }
        let wait = self.next_wait(order, provider, &failure, deadline, now);
        self.note(order, &wait).await?;
        // The order may have been cancelled or authorized while the step ran. Its execution was not
        // parked yet, so nothing has resumed it.
        if order.is_open()
            && let Some(outcome) = outcome_since(order, &self.order(order.id).await?)
        {
            return Ok(outcome);
        }
        self.park(Work::Order(order.id), wait, &failure).await
    }

    /// Returns the outcome that parks the execution, and schedules a check for when it may resume.
    pub(super) async fn park(
        &self,
        work: Work,
        wait: Wait,
        failure: &Failure,
    ) -> Result<Outcome, StepError> {
        // The order waits until a person corrects our account or our configuration.
        if let Failure::Call(
            error @ (CallError::AccountError { code, .. } | CallError::Rejected { code, .. }),
        ) = failure
        {
            self.account_refused(work, wait.provider, code, error)
                .await?;
        }
        // An open circuit needs no check: when it closes, all work that waits for it is released.
        if *failure != Failure::Open {
            let delay = wait.next_attempt.duration_since(self.services.now());
            let delay = Duration::try_from(delay).unwrap_or_default() + PARKING;
            self.services.release_after(delay).await?;
        }
        Ok(Outcome::Wait { work, wait })
    }

    /// Raises each of the provider's error codes separately, so that the error of one odd order
    /// does not hide an error that affects all orders.
    async fn account_refused(
        &self,
        work: Work,
        provider: Provider,
        code: &str,
        error: &CallError,
    ) -> Result<(), StepError> {
        let finding = NewAttention {
            order_id: None,
            subject: format!("{provider} {code}"),
            kind: AttentionKind::AccountError,
            detail: format!("{error} (first for {work})"),
        };
        self.report(&finding).await
    }

    fn next_wait(
        &self,
        order: &Order,
        provider: Provider,
        failure: &Failure,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) -> Wait {
        let before = order.wait.as_ref().filter(|wait| wait.provider == provider);
        let attempts = before.map_or(0, |wait| wait.attempts) + 1;
        let mut next_attempt = next_attempt(failure, attempts, now, self.services.chance());
        // The shipping provider's look-up shows every effect immediately.
        if provider == Provider::Payments && failure.leaves_to_look_up() {
            next_attempt = next_attempt.max(now + self.limits.look_up_after);
        }
        Wait {
            provider,
            reason: format!("{provider} does not answer"),
            since: before.map_or(now, |wait| wait.since),
            attempts,
            next_attempt,
            deadline,
        }
    }

    /// Records a wait. The timeline gets one entry; after that, only the order's own fields are
    /// updated. An order that is being undone may wait for both providers: as long as money may be
    /// on hold, it shows the wait for the payment provider.
    async fn note(&self, order: &Order, wait: &Wait) -> Result<(), StepError> {
        if wait.provider == Provider::Shipping
            && !order.is_open()
            && order.payment.may_hold_money()
            && waits_for(order, Provider::Payments)
        {
            return Ok(());
        }
        if waits_for(order, wait.provider) {
            return Ok(self.services.update_wait(order, wait).await?);
        }
        self.record(order.id, |order| {
            if waits_for(order, wait.provider) {
                Vec::new()
            } else {
                vec![OrderEvent::WaitBegan(wait.clone())]
            }
        })
        .await?;
        Ok(())
    }
}

/// Returns the outcome of an order that is about to wait, if it was cancelled, or its authorization
/// was decided, since it was `seen`.
fn outcome_since(seen: &Order, now: &Order) -> Option<Outcome> {
    if seen.is_undecided() {
        outcome_by_now(now)
    } else {
        cancelled_outcome(now)
    }
}

fn waits_for(order: &Order, provider: Provider) -> bool {
    order
        .wait
        .as_ref()
        .is_some_and(|wait| wait.provider == provider)
}

/// Returns when to try again after `attempts` failures: exponential backoff with jitter from
/// `chance` (0 to 1), and not before the provider's `Retry-After`. A wait for an open circuit is
/// due immediately: it ends as soon as the circuit closes.
pub(super) fn next_attempt(
    failure: &Failure,
    attempts: u32,
    now: Timestamp,
    chance: f64,
) -> Timestamp {
    let asked = match failure {
        Failure::Open => return now,
        Failure::Call(error) => error.retry_after().unwrap_or_default(),
        Failure::OutcomePending => Duration::ZERO,
    };
    let span = doubled(FIRST_WAIT, attempts).min(LONGEST_WAIT);
    let wait = span.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0).max(asked);
    now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_mins(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes_and_respect_retry_after() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |failure: &Failure, attempts| {
            next_attempt(failure, attempts, now, 1.0)
                .duration_since(now)
                .as_secs()
        };
        let unknown = CallError::unknown("timed out").into();
        assert_eq!([1, 2, 3, 40].map(|n| after(&unknown, n)), [5, 10, 20, 600]);
        let retry_after = Some(Duration::from_secs(90));
        assert_eq!(after(&CallError::RateLimited { retry_after }.into(), 1), 90);
        assert_eq!(after(&Failure::Open, 7), 0);
    }
}
