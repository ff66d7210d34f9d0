//! What an order waits for, and how it is told that it need not wait any longer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orders::{CancelledBy, Hold, Order, OrderEvent, PaymentStatus, Provider};
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

/// How long an order waits after its first failed call, about; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// And the longest.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// How long it takes, at the most, until an execution that is to wait is parked.
const PARKING: Duration = Duration::from_secs(1);

impl<S: Books> Steps<S> {
    /// The order waits; or, past its deadline, is cancelled. Without a deadline it waits until the
    /// provider answers, because something there may have to be undone.
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
            // The deadline is another once money is held: a webhook may have reported it meanwhile.
            let seen = order;
            let decide = |order: &Order| {
                if order.is_undecided() == seen.is_undecided() {
                    cancelled(order, CancelledBy::Deadline)
                } else {
                    Vec::new()
                }
            };
            let order = self.record(seen.id, decide).await?;
            // Another run may have brought it further.
            return Ok(cancelled_outcome(&order).unwrap_or(Outcome::Done));
        }
        if now > order.placed_at + self.limits.max_wait + self.limits.max_wait {
            let detail = format!("It waits for {provider} to undo or finish what it began.");
            let subject = order.id.to_string();
            self.raise(order, &subject, AttentionKind::DeadlinePassed, detail)
                .await?;
        }
        let hold = self.next_hold(order, provider, &failure, deadline, now);
        self.note(order, &hold).await?;
        // Cancelled or authorized while the step ran: it was not parked yet, so nothing has resumed it.
        if order.is_open()
            && let Some(outcome) = outcome_since(order, &self.order(order.id).await?)
        {
            return Ok(outcome);
        }
        self.park(Work::Order(order.id), hold, &failure).await
    }

    /// The execution is parked, and will be looked at when it may go on.
    pub(super) async fn park(
        &self,
        work: Work,
        hold: Hold,
        failure: &Failure,
    ) -> Result<Outcome, StepError> {
        // Orders wait for a person who corrects our account or our configuration.
        if let Failure::Call(
            error @ (CallError::AccountError { code, .. } | CallError::Rejected { code, .. }),
        ) = failure
        {
            self.account_refused(work, hold.provider, code, error)
                .await?;
        }
        // When a circuit closes, all that waits for it is released.
        if *failure != Failure::Open {
            let delay = hold.next_attempt.duration_since(self.services.now());
            let delay = Duration::try_from(delay).unwrap_or_default() + PARKING;
            self.services.release_after(delay).await?;
        }
        Ok(Outcome::Wait { work, hold })
    }

    /// Raises each of the provider's codes on its own: an odd order does not hide that all of them are
    /// refused for something else.
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

    fn next_hold(
        &self,
        order: &Order,
        provider: Provider,
        failure: &Failure,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) -> Hold {
        let before = order.hold.as_ref().filter(|hold| hold.provider == provider);
        let attempts = before.map_or(0, |hold| hold.attempts) + 1;
        let mut next_attempt = next_attempt(failure, attempts, now, self.services.chance());
        // The shipping provider's own look-up shows everything at once.
        if provider == Provider::Payments && failure.leaves_to_look_up() {
            next_attempt = next_attempt.max(now + self.limits.look_up_after);
        }
        Hold {
            provider,
            reason: format!("{provider} does not answer"),
            since: before.map_or(now, |hold| hold.since),
            attempts,
            next_attempt,
            deadline,
        }
    }

    /// The timeline tells of a wait once; the order, how it goes on. An order that is undone may wait for
    /// both providers: it tells of the money.
    async fn note(&self, order: &Order, hold: &Hold) -> Result<(), StepError> {
        let holds_money = order.is_undecided()
            || matches!(
                order.payment,
                PaymentStatus::Authorized | PaymentStatus::RequiresAction
            );
        if hold.provider == Provider::Shipping
            && !order.is_open()
            && holds_money
            && waits_for(order, Provider::Payments)
        {
            return Ok(());
        }
        if waits_for(order, hold.provider) {
            return Ok(self.services.update_wait(order, hold).await?);
        }
        self.record(order.id, |order| {
            if waits_for(order, hold.provider) {
                Vec::new()
            } else {
                vec![OrderEvent::Held(hold.clone())]
            }
        })
        .await?;
        Ok(())
    }
}

/// What an order that is about to wait has come to since it was `seen`.
fn outcome_since(seen: &Order, now: &Order) -> Option<Outcome> {
    if seen.is_undecided() {
        outcome_by_now(now)
    } else {
        cancelled_outcome(now)
    }
}

fn waits_for(order: &Order, provider: Provider) -> bool {
    order
        .hold
        .as_ref()
        .is_some_and(|hold| hold.provider == provider)
}

/// When to try again after `attempts` failures: later and later, spread out by `chance` (0 to 1), and
/// not before the provider asks for it. What waits for a circuit goes on as soon as that has closed.
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
    fn waits_double_up_to_ten_minutes_and_heed_the_provider() {
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
