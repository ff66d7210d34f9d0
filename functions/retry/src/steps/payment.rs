//! The steps at the payment provider.

use jiff::{SignedDuration, Timestamp};
use orders::{AuthorizedPayment, CancelledBy, Order, OrderEvent, Payment, PaymentId, Provider};
use providers::{Authorization, CallError, PaymentIntent, PaymentIntentStatus, VoidReason};
use store::{AttentionKind, Work};

use super::{StepError, Steps, cancelled_outcome, if_allowed};
use crate::{
    guard::Failure,
    outcome::Outcome,
    services::{Books, PaymentCalls},
};

/// An order stops waiting for its label this long before the hold on its card lapses.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// The maximum attempts of a void. It starts over when the order has changed meanwhile.
const MAX_VOIDS: usize = 5;

impl<S: Books + PaymentCalls> Steps<S> {
    /// Authorizes the payment. An earlier run may have made the call and died before it recorded
    /// the result. While the provider still knows that call's key, repeating the call returns what
    /// it did.
    pub(super) async fn authorize_payment(&self, order: Order) -> Result<Outcome, StepError> {
        let age = self.services.now().duration_since(order.placed_at);
        let order = if age >= self.limits.key_life {
            self.record(order.id, unknown).await?
        } else {
            order
        };
        if let Some(outcome) = authorization_outcome(&order).or_else(|| cancelled_outcome(&order)) {
            return Ok(outcome);
        }
        let order = if matches!(order.payment, Payment::Unknown { .. }) {
            match self.find_payment(order).await? {
                Found::Nothing(order) => *order,
                Found::Outcome(outcome) => return Ok(outcome),
            }
        } else {
            order
        };
        let round = match undecided_round(&order) {
            Ok(round) => round,
            Err(outcome) => return Ok(outcome),
        };
        // The key contains only the order, the step and the round: every attempt repeats one call.
        let key = match round {
            0 => format!("{}:authorize", order.id),
            round => format!("{}:authorize:{round}", order.id),
        };
        let authorization = Authorization {
            shop: &self.shop,
            order_id: order.id,
            round,
            amount: order.total,
            currency: &order.currency,
            payment_method: &order.payment_method,
        };
        let call = |_| self.services.authorize(authorization, &key);
        match self.services.guarded(Provider::Payments, call).await {
            Ok(intent) => self.settle_with(&order, intent).await,
            Err(Failure::Call(
                CallError::Declined { code, message } | CallError::Rejected { code, message, .. },
            )) => self.settle(&order, &declined(code, message)).await,
            Err(failure) => self.payment_unknown(&order, failure).await,
        }
    }

    /// Captures the payment. It waits without a deadline, because a call without a response may
    /// have captured the payment.
    pub(super) async fn capture_payment(&self, order: Order) -> Result<Outcome, StepError> {
        if let Payment::Authorized(authorized) = &order.payment {
            if let Some(outcome) = cancelled_outcome(&order) {
                return Ok(outcome);
            }
            match self.capture(&order, &authorized.payment_id).await {
                Ok(Captured::Yes) => {}
                Ok(Captured::Never(reason)) => return self.not_captured(&order, &reason).await,
                Err(failure) => {
                    return self
                        .wait_for(&order, Provider::Payments, failure, None)
                        .await;
                }
            }
        }
        self.record(order.id, |order| match order.payment {
            Payment::Authorized(_) => {
                vec![OrderEvent::PaymentCaptured {}, OrderEvent::Shipped {}]
            }
            _ => if_allowed(order, OrderEvent::Shipped {}),
        })
        .await?;
        self.services.finish(Work::Order(order.id)).await?;
        Ok(Outcome::Done)
    }

    /// Voids every authorization of the order, recorded or not. Starts over if a webhook changes
    /// the order meanwhile.
    pub(super) async fn void_payment(&self, mut order: Order) -> Result<Outcome, StepError> {
        for _ in 0..MAX_VOIDS {
            let voided = match &order.payment {
                Payment::RequiresAction { payment_id }
                | Payment::Authorized(AuthorizedPayment { payment_id, .. }) => {
                    self.void(&order, payment_id, VoidReason::OrderCancelled)
                        .await
                }
                Payment::NotPaid { .. } | Payment::Unknown { .. } => self.void_all(&order).await,
                _ => return Ok(Outcome::Done),
            };
            let failure = match voided {
                Ok(Voided::Captured(payment_id)) => {
                    let detail = format!("{payment_id} was captured; refund it.");
                    let kind = AttentionKind::CapturedForCancelledOrder;
                    self.raise(&order, payment_id.as_str(), kind, detail)
                        .await?;
                    return Ok(Outcome::Done);
                }
                Ok(Voided::Nothing) if !self.has_settled(&order) => Failure::OutcomePending,
                Ok(voided) => {
                    let seen = order;
                    order = self
                        .record(seen.id, |order| voids(&seen, order, &voided))
                        .await?;
                    if order.payment == seen.payment {
                        return Ok(Outcome::Done);
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            return self
                .wait_for(&order, Provider::Payments, failure, None)
                .await;
        }
        let failure = Failure::OutcomePending;
        self.wait_for(&order, Provider::Payments, failure, None)
            .await
    }

    /// Captures the payment. The provider captures it once, with any key. The number of attempts
    /// in the key gets past an error that the provider replays for an earlier key.
    async fn capture(&self, order: &Order, payment_id: &PaymentId) -> Result<Captured, Failure> {
        use PaymentIntentStatus as Status;

        let key = format!("{}:capture:{}", order.id, waits(order));
        let call = |_| self.services.capture(payment_id, &key);
        let called = self.services.guarded(Provider::Payments, call).await;
        match self.status_after(payment_id, called).await? {
            (Status::Succeeded, _) => Ok(Captured::Yes),
            (Status::Canceled | Status::RequiresPaymentMethod, _) => {
                Ok(Captured::Never("the authorization has expired".to_owned()))
            }
            (
                Status::RequiresCapture,
                Some(Failure::Call(
                    CallError::Declined { code, message }
                    | CallError::Rejected { code, message, .. },
                )),
            ) => Ok(Captured::Never(format!("{code}: {message}"))),
            (_, failure) => Err(failure.unwrap_or(Failure::OutcomePending)),
        }
    }

    /// Returns the payment's status after a call, and the call's failure if it failed. A failed
    /// call, or one before it, may still have had its effect.
    async fn status_after(
        &self,
        payment_id: &PaymentId,
        called: Result<PaymentIntent, Failure>,
    ) -> Result<(PaymentIntentStatus, Option<Failure>), Failure> {
        match called {
            Ok(intent) => Ok((intent.status, None)),
            Err(Failure::Open) => Err(Failure::Open),
            Err(failure) => {
                let intent = self
                    .services
                    .guarded(Provider::Payments, |_| self.services.payment(payment_id));
                Ok((intent.await?.status, Some(failure)))
            }
        }
    }

    /// Cancels an order whose payment can never be captured, so that nothing is shipped.
    async fn not_captured(&self, order: &Order, reason: &str) -> Result<Outcome, StepError> {
        tracing::warn!(order_id = %order.id, reason, "payment.not_captured");
        self.record(order.id, |order| cancelled(order, CancelledBy::Payments))
            .await?;
        Ok(Outcome::refused(reason))
    }

    /// Voids every payment of the order that the provider finds. A voided payment of another round
    /// does not count: it says nothing about the last call, whose payment may not show yet.
    async fn void_all(&self, order: &Order) -> Result<Voided, Failure> {
        let call = |_| self.services.payments_of(&self.shop, order.id);
        let mut result = Ok(Voided::Nothing);
        let intents = self.services.guarded(Provider::Payments, call).await?;
        for intent in intents {
            let voided = self
                .void(order, &intent.id, VoidReason::OrderCancelled)
                .await;
            let voided = match voided {
                Ok(Voided::Payment(_)) if !is_of_round(order, &intent) => Ok(Voided::Nothing),
                voided => voided,
            };
            // A payment that cannot be voided does not keep the others from being voided.
            result = match (result, voided) {
                (Ok(captured @ Voided::Captured(_)), _) => Ok(captured),
                (Err(failure), Ok(Voided::Payment(_) | Voided::Nothing) | Err(_)) => Err(failure),
                (Ok(payment @ Voided::Payment(_)), Ok(Voided::Nothing)) => Ok(payment),
                (_, voided) => voided,
            };
        }
        result
    }

    /// Voids one payment, unless it is voided already, or captured.
    async fn void(
        &self,
        order: &Order,
        payment_id: &PaymentId,
        reason: VoidReason,
    ) -> Result<Voided, Failure> {
        let key = format!("{}:void:{payment_id}:{}", order.id, waits(order));
        let call = |_| self.services.void_payment(payment_id, reason, &key);
        let called = self.services.guarded(Provider::Payments, call).await;
        match self.status_after(payment_id, called).await? {
            (PaymentIntentStatus::Succeeded, _) => Ok(Voided::Captured(payment_id.clone())),
            (PaymentIntentStatus::Canceled, _) => Ok(Voided::Payment(payment_id.clone())),
            (_, failure) => Err(failure.unwrap_or(Failure::OutcomePending)),
        }
    }

    /// Looks up the outcome of a call that got no response.
    async fn find_payment(&self, order: Order) -> Result<Found, StepError> {
        let intent = match self.best_payment(&order).await {
            Ok(intent) => intent,
            Err(failure) => {
                let outcome = self.payment_unknown(&order, failure).await?;
                return Ok(Found::Outcome(outcome));
            }
        };
        if let Some(intent) = intent {
            return Ok(Found::Outcome(self.settle_with(&order, intent).await?));
        }
        if !self.has_settled(&order) {
            // The provider still knows the key, so the same call is safe to repeat.
            self.services.record_call(order.id).await?;
            return Ok(Found::Nothing(order.into()));
        }
        let order = self
            .record(order.id, |order| {
                if_allowed(order, OrderEvent::PaymentNotFound {})
            })
            .await?;
        Ok(Found::Nothing(order.into()))
    }

    /// Returns the order's payment with the highest [`rank`]. If the provider has had that payment
    /// for long and never attempted it, voids it and returns `None`.
    async fn best_payment(&self, order: &Order) -> Result<Option<PaymentIntent>, Failure> {
        let call = |_| self.services.payments_of(&self.shop, order.id);
        let intents = self
            .services
            .guarded(Provider::Payments, call)
            .await?
            .into_iter();
        let best = intents
            .filter(|intent| tells_of_authorization(order, intent))
            .max_by_key(|intent| rank(intent.status));
        let untried = best.as_ref().filter(|intent| {
            intent.status == PaymentIntentStatus::RequiresConfirmation && self.has_settled(order)
        });
        if let Some(intent) = untried {
            let reason = VoidReason::NeverConfirmed;
            return match self.void(order, &intent.id, reason).await? {
                Voided::Captured(_) => Err(Failure::OutcomePending),
                _ => Ok(None),
            };
        }
        Ok(best)
    }

    /// Whether the last call for the order is so long ago that the provider's search must find its
    /// effect.
    fn has_settled(&self, order: &Order) -> bool {
        self.services.now().duration_since(order.last_called()) >= self.limits.look_up_after
    }

    /// Records the outcome of the authorization, as the provider's payment shows it.
    pub(crate) async fn settle_with(
        &self,
        order: &Order,
        intent: PaymentIntent,
    ) -> Result<Outcome, StepError> {
        let status = intent.status;
        if let Some(event) = result(intent) {
            return self.settle(order, &event).await;
        }
        let failure = match status {
            // The provider does not process it. It is looked up again when it is certain that it
            // never will.
            PaymentIntentStatus::RequiresConfirmation => Failure::OutcomePending,
            _ => CallError::unknown("still processing").into(),
        };
        self.payment_unknown(order, failure).await
    }

    /// Records the outcome of the authorization, unless an earlier run has.
    async fn settle(&self, order: &Order, event: &OrderEvent) -> Result<Outcome, StepError> {
        let order = self
            .record(order.id, |order| {
                if order.is_undecided() {
                    with_consequence(order, event)
                } else {
                    Vec::new()
                }
            })
            .await?;
        Ok(outcome_by_now(&order).unwrap_or_else(|| Outcome::refused("not authorized")))
    }

    /// Makes the order wait, unless its authorization is decided. If money may be on hold, records
    /// that the payment is unknown.
    async fn payment_unknown(&self, order: &Order, failure: Failure) -> Result<Outcome, StepError> {
        let mut order = order.clone();
        if matches!(
            failure,
            Failure::OutcomePending
                | Failure::Call(CallError::Unknown { .. } | CallError::Replayed { .. })
        ) {
            order = self.record(order.id, unknown).await?;
        }
        // A webhook may have reported the payment meanwhile.
        if let Some(outcome) = outcome_by_now(&order) {
            return Ok(outcome);
        }
        let deadline = order.placed_at + self.limits.unauthorized_wait();
        self.wait_for(&order, Provider::Payments, failure, Some(deadline))
            .await
    }
}

/// The result of a capture.
enum Captured {
    /// The payment is captured, by this call or an earlier one.
    Yes,
    /// The payment can never be captured, for this reason.
    Never(String),
}

/// The result of a void.
enum Voided {
    /// The provider knows no payment that counts for this round.
    Nothing,
    /// This payment has no hold any more.
    Payment(PaymentId),
    /// This payment is captured.
    Captured(PaymentId),
}

/// The result of a look-up.
enum Found {
    /// There is no payment; this is the order after the look-up.
    Nothing(Box<Order>),
    /// A payment was found, or the look-up failed: the outcome of the step.
    Outcome(Outcome),
}

/// Returns until when an authorized order may wait for its label.
pub(super) fn label_deadline(order: &Order, max_wait: SignedDuration) -> Timestamp {
    let by_age = order.placed_at + max_wait;
    order
        .payment
        .capture_before()
        .map_or(by_age, |lapse| by_age.min(lapse - MARGIN))
}

/// Returns the event that cancels the order, if it can still be cancelled.
pub(super) fn cancelled(order: &Order, by: CancelledBy) -> Vec<OrderEvent> {
    if_allowed(order, OrderEvent::cancelled_by(by))
}

/// The number of failed attempts in the order's current wait.
fn waits(order: &Order) -> u32 {
    order.wait.as_ref().map_or(0, |wait| wait.attempts)
}

fn declined(code: String, message: String) -> OrderEvent {
    OrderEvent::PaymentDeclined { code, message }
}

/// Returns the event that money may be on hold for the order, if the order's state allows it.
fn unknown(order: &Order) -> Vec<OrderEvent> {
    if_allowed(order, OrderEvent::PaymentUnknown {})
}

/// Adds the order's cancellation to an event without an authorization. Both are one change.
fn with_consequence(order: &Order, event: &OrderEvent) -> Vec<OrderEvent> {
    let mut events = vec![event.clone()];
    if !matches!(event, OrderEvent::PaymentAuthorized { .. }) {
        events.extend(cancelled(order, CancelledBy::Payments));
    }
    events
}

/// Returns the events for the order as it is `now`, after the payment that it had when it was
/// `seen` was voided. A payment that it has got since then was not voided.
fn voids(seen: &Order, now: &Order, voided: &Voided) -> Vec<OrderEvent> {
    if now.payment != seen.payment {
        return Vec::new();
    }
    match (&now.payment, voided) {
        (Payment::Unknown { .. } | Payment::RequiresAction { .. } | Payment::Authorized(_), _) => {
            vec![OrderEvent::PaymentVoided {}]
        }
        // An earlier run made this authorization and died before it recorded it.
        (Payment::NotPaid { .. }, Voided::Payment(payment_id)) => vec![
            OrderEvent::PaymentAuthorized {
                payment_id: payment_id.clone(),
                capture_before: None,
            },
            OrderEvent::PaymentVoided {},
        ],
        _ => Vec::new(),
    }
}

/// Returns the round of the authorization, or its outcome, if an earlier run has finished it.
fn undecided_round(order: &Order) -> Result<i32, Outcome> {
    match &order.payment {
        Payment::NotPaid { round } | Payment::Unknown { round } => Ok(*round),
        Payment::Authorized(_)
        | Payment::Captured(_)
        | Payment::PartiallyRefunded(_)
        | Payment::Refunded(_) => Err(Outcome::Done),
        Payment::Failed | Payment::RequiresAction { .. } | Payment::Voided(_) => {
            let status = order.payment.status();
            Err(Outcome::refused(&format!("payment is {status}")))
        }
    }
}

/// Returns the outcome of the authorization, if an earlier run has finished it.
fn authorization_outcome(order: &Order) -> Option<Outcome> {
    undecided_round(order).err()
}

/// Returns the outcome of the authorization if the order was cancelled, or if another run or a
/// webhook has decided it.
pub(crate) fn outcome_by_now(order: &Order) -> Option<Outcome> {
    cancelled_outcome(order).or_else(|| authorization_outcome(order))
}

/// Whether a payment at the provider decides the authorization that the order waits for. One of
/// another round does so only if money is or may be in it. One that we voided because the provider
/// never attempted it decides nothing.
pub(crate) fn tells_of_authorization(order: &Order, intent: &PaymentIntent) -> bool {
    use PaymentIntentStatus as Status;
    match intent.status {
        Status::RequiresCapture | Status::Succeeded | Status::Processing | Status::Other => true,
        Status::RequiresPaymentMethod
        | Status::RequiresConfirmation
        | Status::RequiresAction
        | Status::Canceled => is_of_round(order, intent),
    }
}

/// Whether a payment was made in the order's current round, and is not one that we voided because
/// the provider never attempted it.
fn is_of_round(order: &Order, intent: &PaymentIntent) -> bool {
    order.payment.round() == Some(intent.round()) && !intent.is_abandoned()
}

/// Ranks a payment: of several payments for one order, the one with the most money is the highest.
const fn rank(status: PaymentIntentStatus) -> u8 {
    use PaymentIntentStatus as Status;
    match status {
        Status::Canceled => 0,
        Status::RequiresPaymentMethod | Status::RequiresConfirmation => 1,
        Status::RequiresAction | Status::Processing | Status::Other => 2,
        Status::RequiresCapture => 3,
        Status::Succeeded => 4,
    }
}

/// Returns the order's event for a payment at the provider, or `None` while it has no result.
fn result(intent: PaymentIntent) -> Option<OrderEvent> {
    use PaymentIntentStatus as Status;
    match intent.status {
        Status::RequiresCapture | Status::Succeeded => Some(OrderEvent::PaymentAuthorized {
            capture_before: intent.capture_before(),
            payment_id: intent.id,
        }),
        Status::RequiresAction => Some(OrderEvent::PaymentRequiresAction {
            payment_id: intent.id,
        }),
        Status::RequiresPaymentMethod | Status::Canceled => Some(declined(
            "payment_failed".to_owned(),
            "The payment failed.".to_owned(),
        )),
        Status::RequiresConfirmation | Status::Processing | Status::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use orders::{OrderStatus, PaymentStatus};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn order(payment: PaymentStatus, payment_id: Option<&str>, round: i32) -> Order {
        let payment_id = payment_id.map(|id| id.parse().unwrap());
        let payment = Payment::from_parts(payment, round, payment_id, None).unwrap();
        Order {
            payment,
            ..crate::records::tests::order(OrderStatus::Pending, PaymentStatus::NotPaid)
        }
    }

    fn intent(status: &str, reason: Option<&str>, round: i32) -> PaymentIntent {
        serde_json::from_value(json!({
            "id": "pi_1", "status": status, "amount": 2_000, "amount_received": 0,
            "currency": "eur", "created": 1_800_000_000, "latest_charge": null,
            "cancellation_reason": reason, "metadata": { "round": round.to_string() },
        }))
        .unwrap()
    }

    #[test]
    fn a_payment_of_another_round_decides_only_if_it_may_have_money() {
        let order = order(PaymentStatus::Unknown, None, 1);
        let tells =
            |status, reason, round| tells_of_authorization(&order, &intent(status, reason, round));
        for status in [
            "canceled",
            "requires_payment_method",
            "requires_confirmation",
        ] {
            assert!(tells(status, None, 1), "{status}");
            assert!(!tells(status, None, 0), "{status}");
        }
        // Voided by us, because the provider never attempted it.
        assert!(!tells("canceled", Some("abandoned"), 1));
        for status in [
            "requires_capture",
            "succeeded",
            "processing",
            "a_new_status",
        ] {
            assert!(tells(status, None, 0), "{status}");
        }
    }

    #[test]
    fn a_void_does_not_count_for_a_payment_that_came_meanwhile() {
        let seen = order(PaymentStatus::Unknown, None, 0);
        let voided = Voided::Payment("pi_1".parse().unwrap());
        assert_eq!(voids(&seen, &seen, &voided), [OrderEvent::PaymentVoided {}]);
        // A webhook has reported another payment meanwhile.
        let now = order(PaymentStatus::Authorized, Some("pi_2"), 0);
        assert_eq!(voids(&seen, &now, &voided), []);
        assert_eq!(voids(&seen, &now, &Voided::Nothing), []);
    }

    proptest! {
        #[test]
        fn the_order_allows_the_events_of_a_void(
            payment in prop::sample::select(vec![
                PaymentStatus::NotPaid,
                PaymentStatus::Unknown,
                PaymentStatus::RequiresAction,
                PaymentStatus::Authorized,
            ]),
            is_found: bool,
        ) {
            let order = order(payment, Some("pi_1"), 0);
            let voided = if is_found {
                Voided::Payment("pi_1".parse().unwrap())
            } else {
                Voided::Nothing
            };
            let events = voids(&order, &order, &voided);
            let after = events.iter().try_fold(order, |order, event| {
                order.after(event, Timestamp::UNIX_EPOCH)
            });
            let payment = after.map(|order| order.payment.status());
            prop_assert!(matches!(payment, Ok(PaymentStatus::Voided | PaymentStatus::NotPaid)));
        }
    }
}
