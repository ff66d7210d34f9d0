//! Giving money back that was taken.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orders::{Hold, Kind, Order, Provider, Refund, RefundId, RefundStatus};
use providers::{CallError, Refunding};
use store::{AttentionKind, Work};

use crate::{StepError, Worker, guard::Failure, hold::next_attempt, if_allowed, outcome::Outcome};

/// How long one idempotency key is used for: less than the 24 hours that the provider remembers it.
const KEY_LIFE: SignedDuration = SignedDuration::from_hours(20);

/// How many errors the provider may keep under keys of one refund within that time.
const ROUNDS: u32 = 50;

/// How long after that a call with the last key may still be under way: longer than any step runs.
const LAST_CALL: SignedDuration = SignedDuration::from_mins(10);

impl Worker {
    /// Gives a refund's money back. What an earlier call has done is looked up first, at the payment
    /// itself, where it shows at once.
    pub(crate) async fn refund(&self, order: Order, id: RefundId) -> Result<Outcome, StepError> {
        let work = Work::Refund(order.id, id);
        let Some(refund) = order
            .refund(id)
            .filter(|refund| refund.status == RefundStatus::Pending)
        else {
            self.database.finish(work).await?;
            return Ok(Outcome::Done);
        };
        let event = match self.give_money_back(&order, refund).await {
            Ok(made) => refund_event(id, &made),
            Err(Failure::Call(
                CallError::Declined { code, message } | CallError::Rejected { code, message, .. },
            )) => Some(refused(id, code, &message)),
            Err(failure) => return self.wait(work, hold(id, &failure), &failure).await,
        };
        let Some(event) = event else {
            let failure = Failure::Unsettled;
            return self.wait(work, hold(id, &failure), &failure).await;
        };
        self.refund_ended(&order, id, &event).await?;
        self.database.finish(work).await?;
        Ok(Outcome::Done)
    }

    /// Records how a refund has ended. One that failed is for a person: the shopper waits for it.
    pub(crate) async fn refund_ended(
        &self,
        order: &Order,
        id: RefundId,
        event: &Kind,
    ) -> Result<(), StepError> {
        self.record(order.id, |order| if_allowed(order, event.clone()))
            .await?;
        if let Kind::RefundFailed { code, .. } = event {
            let detail = format!("The refund {id} failed ({code}).");
            self.raise(order, &id.to_string(), AttentionKind::Refund, detail)
                .await?;
        }
        Ok(())
    }

    async fn give_money_back(
        &self,
        order: &Order,
        refund: &Refund,
    ) -> Result<providers::Refund, Failure> {
        let refunding = Refunding {
            payment_id: order.payment_id.as_deref().unwrap_or_default(),
            order_id: order.id,
            refund_id: refund.id,
            amount: refund.cents,
            reason: &refund.reason,
        };
        for round in 0..ROUNDS {
            if let Some(made) = self.made_before(refunding).await? {
                return Ok(made);
            }
            let Some(key) = key(refund.id, Timestamp::now(), round) else {
                return Err(Failure::Unsettled);
            };
            let call = |_| self.payments.refund(refunding, &key);
            match self.payments_guard.call(call).await {
                // The call of this key has ended: what it did shows, or it did nothing.
                Err(Failure::Call(CallError::Kept { .. })) => {}
                ended => return ended,
            }
        }
        Err(Failure::Unsettled)
    }

    /// The refund, if an earlier call has made it.
    async fn made_before(
        &self,
        refunding: Refunding<'_>,
    ) -> Result<Option<providers::Refund>, Failure> {
        let call = |_| self.payments.refunds_of(refunding.payment_id);
        let made = self.payments_guard.call(call).await?;
        let is_it = |made: &providers::Refund| made.refund_id() == Some(refunding.refund_id);
        Ok(made.into_iter().find(is_it))
    }
}

fn refused(id: RefundId, code: String, message: &str) -> Kind {
    tracing::warn!(refund_id = %id, code, message, "refund.refused");
    Kind::RefundFailed {
        refund_id: id,
        code,
    }
}

/// A refund waits for as long as it must, ever longer between its tries.
fn hold(id: RefundId, failure: &Failure) -> Hold {
    let (now, since) = (Timestamp::now(), asked_at(id));
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let attempts = age.as_secs().max(1).ilog2();
    Hold {
        provider: Provider::Payments,
        reason: failure.to_string(),
        since,
        attempts,
        next_attempt: next_attempt(failure, attempts, now, rand::random()),
        deadline: None,
    }
}

/// What a refund that was made means; none while it is under way.
pub(crate) fn refund_event(id: RefundId, made: &providers::Refund) -> Option<Kind> {
    use providers::RefundStatus as Status;
    match made.status {
        Status::Succeeded => Some(Kind::Refunded {
            refund_id: id,
            provider_id: made.id.clone(),
        }),
        Status::Failed | Status::Canceled => Some(Kind::RefundFailed {
            refund_id: id,
            code: "refund_failed".to_owned(),
        }),
        Status::Pending | Status::RequiresAction => None,
    }
}

/// When a refund was asked for: its id says so.
fn asked_at(id: RefundId) -> Timestamp {
    let (seconds, _) =
        id.0.get_timestamp()
            .map(|timestamp| timestamp.to_unix())
            .unwrap_or_default();
    Timestamp::from_second(seconds.cast_signed()).unwrap_or_default()
}

/// A key of the refund's own, another one whenever the provider may have forgotten the last, and for
/// each round in which it only repeats an earlier error; none while a call with the last may be under
/// way.
fn key(id: RefundId, now: Timestamp, round: u32) -> Option<String> {
    let age = now.duration_since(asked_at(id)).as_secs();
    let period = age / KEY_LIFE.as_secs();
    let began = age % KEY_LIFE.as_secs();
    let may_call = period == 0 || began >= LAST_CALL.as_secs();
    may_call.then(|| format!("{id}:refund:{period}:{round}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lasts_for_twenty_hours_and_the_next_waits_for_the_last_call_to_end() {
        let id = RefundId::generate();
        let after = |hours: i64, minutes: i64| {
            let age = SignedDuration::from_hours(hours) + SignedDuration::from_mins(minutes);
            key(id, asked_at(id) + age, 0)
        };
        let first = after(0, 0);
        assert_eq!(first, Some(format!("{id}:refund:0:0")));
        assert_eq!(after(19, 59), first);
        assert_eq!(after(20, 0), None);
        assert_eq!(after(20, 9), None);
        assert_eq!(after(20, 10), Some(format!("{id}:refund:1:0")));
        assert_eq!(after(39, 59), after(20, 10));
        assert_eq!(after(40, 5), None);
        assert_eq!(after(41, 0), Some(format!("{id}:refund:2:0")));
    }

    #[test]
    fn each_round_has_a_key_of_its_own_and_the_same_each_time() {
        let id = RefundId::generate();
        let now = asked_at(id);
        assert_eq!(key(id, now, 3), key(id, now, 3));
        assert_ne!(key(id, now, 0), key(id, now, 1));
    }
}
