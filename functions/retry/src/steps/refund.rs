//! Refunds of captured money.

use std::time::Duration;

use jiff::Timestamp;
use orders::{
    Order, OrderEvent, OrderId, PaymentId, Provider, Refund, RefundId, RefundRequest, RefundStatus,
    Wait,
};
use providers::{CallError, RefundCall};
use store::{AttentionKind, Work};

use super::{StepError, Steps, if_allowed, payment_of, wait::next_attempt};
use crate::{
    guard::Failure,
    outcome::Outcome,
    services::{Books, PaymentCalls},
};

impl<S: Books + PaymentCalls> Steps<S> {
    /// Makes a refund, unless a look-up shows that an earlier call has made it. A refund shows at
    /// its payment immediately, but after an internal error the provider may still make it later.
    /// So after such an error, another key is used only when the last call is long past.
    pub(crate) async fn run_refund(
        &self,
        order_id: OrderId,
        id: RefundId,
    ) -> Result<Outcome, StepError> {
        let order = self.order(order_id).await?;
        let work = Work::Refund(order.id, id);
        let Some(refund) = pending(&order, id) else {
            self.services.finish(work).await?;
            return Ok(Outcome::Done);
        };
        let payment_id = payment_of(&order)?;
        let found = match self.made_before(payment_id, refund).await {
            Ok(found) => found,
            Err(failure) => return self.refund_waits(work, id, &failure).await,
        };
        let made = match found {
            Some(made) => Ok(made),
            None => self.make_refund(&order, payment_id, refund).await?,
        };
        let event = match made {
            Ok(made) => refund_event(id, &made),
            Err(Failure::Call(
                CallError::Declined { code, message } | CallError::Rejected { code, message, .. },
            )) => Some(refused(id, code, &message)),
            Err(failure) => return self.refund_waits(work, id, &failure).await,
        };
        let Some(event) = event else {
            return self.refund_waits(work, id, &Failure::OutcomePending).await;
        };
        self.refund_ended(&order, id, &event).await?;
        self.services.finish(work).await?;
        Ok(Outcome::Done)
    }

    /// Makes the refund wait. If it may have been made, records that its outcome is unknown.
    async fn refund_waits(
        &self,
        work: Work,
        id: RefundId,
        failure: &Failure,
    ) -> Result<Outcome, StepError> {
        if matches!(
            failure,
            Failure::Call(CallError::Unknown { .. } | CallError::Replayed { .. })
        ) {
            let unknown = OrderEvent::RefundUnknown { refund_id: id };
            self.record(work.order(), |order| if_allowed(order, unknown.clone()))
                .await?;
        }
        let (now, chance) = (self.services.now(), self.services.chance());
        let mut wait = wait(id, failure, now, chance);
        if failure.leaves_to_look_up() {
            let shows_at = now + self.limits.look_up_after;
            wait.next_attempt = wait.next_attempt.max(shows_at);
        }
        self.park(work, wait, failure).await
    }

    /// Records how a refund ended. A failed refund is raised for a person, because the shopper
    /// waits for it.
    pub(crate) async fn refund_ended(
        &self,
        order: &Order,
        id: RefundId,
        event: &OrderEvent,
    ) -> Result<(), StepError> {
        // Raised before the event is recorded, so that the finding cannot be lost.
        if let OrderEvent::RefundFailed { code, .. } = event
            && order.allows(event)
        {
            let detail = format!("The refund {id} failed ({code}).");
            self.raise(order, &id.to_string(), AttentionKind::Refund, detail)
                .await?;
        }
        self.record(order.id, |order| if_allowed(order, event.clone()))
            .await?;
        Ok(())
    }

    /// Requests the refund from the provider, after a look-up has not found it.
    async fn make_refund(
        &self,
        order: &Order,
        payment_id: &PaymentId,
        refund: &Refund,
    ) -> Result<Result<providers::Refund, Failure>, StepError> {
        let (id, now) = (refund.id, self.services.now());
        let long_past = |at: Timestamp, span| now.duration_since(at) >= span;
        let request = refund.request;
        let round = match request.unknown_since {
            // The time counts from the last call.
            Some(since) if long_past(since.max(order.last_called()), self.limits.look_up_after) => {
                request.round + 1
            }
            None if long_past(began(refund), self.limits.key_life) => request.round + 1,
            // The provider still knows the key, so the same call is safe to repeat.
            _ => request.round,
        };
        if round > request.round {
            self.record(order.id, |order| begins_round(order, id, round))
                .await?;
        }
        self.services.record_call(order.id).await?;
        let key = format!("{id}:refund:0:{round}");
        let refunding = RefundCall {
            shop: &self.shop,
            payment_id,
            order_id: order.id,
            refund_id: id,
            amount: refund.cents,
            reason: &refund.reason,
        };
        let call = |_| self.services.refund(refunding, &key);
        Ok(self.services.guarded(Provider::Payments, call).await)
    }

    /// Looks up the refund. Returns `None` if no earlier call has made it.
    async fn made_before(
        &self,
        payment_id: &PaymentId,
        refund: &Refund,
    ) -> Result<Option<providers::Refund>, Failure> {
        let call = |_| self.services.refunds_of(payment_id);
        let made = self.services.guarded(Provider::Payments, call).await?;
        let is_it = |made: &providers::Refund| made.refund_id() == Some(refund.id);
        let of_it = made.into_iter().filter(is_it);
        Ok(of_it.max_by_key(providers::Refund::moves_money))
    }
}

fn pending(order: &Order, id: RefundId) -> Option<&Refund> {
    order
        .refund(id)
        .filter(|refund| refund.status == RefundStatus::Pending)
}

/// The earliest time at which the first call of the refund's current round may have been made.
fn began(refund: &Refund) -> Timestamp {
    refund.request.began.unwrap_or_else(|| asked_at(refund.id))
}

/// Returns the events that start the next round: the provider has made no such refund in the last
/// one.
fn begins_round(order: &Order, id: RefundId, round: u32) -> Vec<OrderEvent> {
    let before = pending(order, id).map(|refund| refund.request);
    let Some(before @ RefundRequest { .. }) = before.filter(|before| before.round < round) else {
        return Vec::new();
    };
    let unknown = OrderEvent::RefundUnknown { refund_id: id };
    let not_found = OrderEvent::RefundNotFound { refund_id: id };
    match before.unknown_since {
        Some(_) => vec![not_found],
        None => vec![unknown, not_found],
    }
}

fn refused(id: RefundId, code: String, message: &str) -> OrderEvent {
    tracing::warn!(refund_id = %id, code, message, "refund.refused");
    OrderEvent::RefundFailed {
        refund_id: id,
        code,
    }
}

/// Returns a refund's wait. It has no deadline, and the time between attempts grows with the
/// refund's age.
fn wait(id: RefundId, failure: &Failure, now: Timestamp, chance: f64) -> Wait {
    let since = asked_at(id);
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let attempts = age.as_secs().max(1).ilog2();
    Wait {
        provider: Provider::Payments,
        reason: failure.to_string(),
        since,
        attempts,
        next_attempt: next_attempt(failure, attempts, now, chance),
        deadline: None,
    }
}

/// Returns the event for a refund at the provider, or `None` while it is in progress.
pub(crate) fn refund_event(id: RefundId, made: &providers::Refund) -> Option<OrderEvent> {
    use providers::RefundStatus as Status;
    match made.status {
        Status::Succeeded => Some(OrderEvent::Refunded {
            refund_id: id,
            provider_id: made.id.clone(),
        }),
        Status::Failed | Status::Canceled => Some(OrderEvent::RefundFailed {
            refund_id: id,
            code: "refund_failed".to_owned(),
        }),
        Status::Pending | Status::RequiresAction | Status::Other => None,
    }
}

/// Returns when a refund was requested, from the timestamp in its id.
fn asked_at(id: RefundId) -> Timestamp {
    let (seconds, _) =
        id.0.get_timestamp()
            .map(|timestamp| timestamp.to_unix())
            .unwrap_or_default();
    Timestamp::from_second(seconds.cast_signed()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_at_reads_the_timestamp_in_the_refund_id() {
        let id = RefundId::generate();
        let age = Timestamp::now().duration_since(asked_at(id));
        assert!((0..10).contains(&age.as_secs()), "{age}");
        assert_eq!(
            asked_at(RefundId::made_elsewhere("re_1")),
            Timestamp::UNIX_EPOCH
        );
    }
}
