//! The steps at the payment provider.

use jiff::{SignedDuration, Timestamp};
use orders::{CancelledBy, Kind, Order, PaymentStatus, Provider};
use providers::{Authorization, CallError, PaymentIntent, PaymentIntentStatus};
use store::{AttentionKind, Work};

use crate::{StepError, Worker, called_off, guard::Failure, if_allowed, outcome::Outcome};

/// How long before the hold on a card lapses an order gives up waiting to use it.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

impl Worker {
    /// Holds the money. `again`: an earlier run may have called, and not lived to record it.
    pub(crate) async fn authorize_payment(
        &self,
        order: Order,
        again: bool,
    ) -> Result<Outcome, StepError> {
        let order = if again {
            self.record(order.id, unknown).await?
        } else {
            order
        };
        if let Some(outcome) = decided(&order).or_else(|| called_off(&order)) {
            return Ok(outcome);
        }
        let order = if order.payment == PaymentStatus::Unknown {
            match self.find_payment(order).await? {
                Found::Nothing(order) => *order,
                Found::Outcome(outcome) => return Ok(outcome),
            }
        } else {
            order
        };
        // From the order and the step alone: whoever tries, and how often, asks for the same thing.
        let key = match order.authorize_round {
            0 => format!("{}:authorize", order.id),
            round => format!("{}:authorize:{round}", order.id),
        };
        let authorization = Authorization {
            order_id: order.id,
            amount: order.total,
            currency: &order.currency,
            payment_method: &order.payment_method,
        };
        let call = |_| self.payments.authorize(authorization, &key);
        match self.payments_guard.call(call).await {
            Ok(intent) => self.settle_with(&order, intent).await,
            Err(Failure::Call(
                CallError::Declined { code, message } | CallError::Rejected { code, message, .. },
            )) => self.settle(&order, &declined(code, message)).await,
            Err(failure) => self.payment_unknown(&order, failure).await,
        }
    }

    /// Takes the money. It waits as long as it must: what the provider does not answer, it may have
    /// done.
    pub(crate) async fn capture_payment(&self, order: Order) -> Result<Outcome, StepError> {
        if order.payment == PaymentStatus::Authorized {
            if let Some(outcome) = called_off(&order) {
                return Ok(outcome);
            }
            match self.take(&order).await {
                Ok(true) => {}
                Ok(false) => return self.lapsed(&order).await,
                Err(failure) => return self.hold(&order, Provider::Payments, failure, None).await,
            }
        }
        self.record(order.id, |order| match order.payment {
            PaymentStatus::Authorized => vec![Kind::PaymentCaptured {}, Kind::Shipped {}],
            _ => if_allowed(order, Kind::Shipped {}),
        })
        .await?;
        self.database.finish(Work::Order(order.id)).await?;
        Ok(Outcome::Done)
    }

    /// Lets go whatever is held, known or not.
    pub(crate) async fn void_payment(&self, order: Order) -> Result<Outcome, StepError> {
        let let_go = match (order.payment, &order.payment_id) {
            (PaymentStatus::Authorized | PaymentStatus::RequiresAction, Some(payment_id)) => {
                self.let_go(&order, payment_id).await
            }
            (PaymentStatus::NotPaid | PaymentStatus::Unknown, _) => self.let_go_all(&order).await,
            _ => return Ok(Outcome::Done),
        };
        let failure = match let_go {
            Ok(LetGo::Taken(payment_id)) => {
                let detail = format!("{payment_id} was captured; give the money back.");
                let kind = AttentionKind::TakenForCancelledOrder;
                self.raise(&order, &payment_id, kind, detail).await?;
                return Ok(Outcome::Done);
            }
            Ok(LetGo::Nothing) if !self.has_settled(&order) => Failure::Unsettled,
            Ok(let_go) => {
                self.record(order.id, |order| voided(order, &let_go))
                    .await?;
                return Ok(Outcome::Done);
            }
            Err(failure) => failure,
        };
        self.hold(&order, Provider::Payments, failure, None).await
    }

    /// Whether the money could be taken; not, when the hold on the card has lapsed.
    async fn take(&self, order: &Order) -> Result<bool, Failure> {
        let payment_id = order.payment_id.as_deref().unwrap_or_default();
        // A payment is captured once, whatever the key. The number gets past an error that the
        // provider keeps under the key.
        let key = format!("{}:capture:{}", order.id, waits(order));
        let call = |_| self.payments.capture(payment_id, &key);
        let called = self.payments_guard.call(call).await;
        let status = self.ended(payment_id, called).await?;
        Ok(status != PaymentIntentStatus::Canceled)
    }

    /// How a payment has ended that was to be captured or let go; a call that failed may have done it,
    /// or another before it.
    async fn ended(
        &self,
        payment_id: &str,
        called: Result<PaymentIntent, Failure>,
    ) -> Result<PaymentIntentStatus, Failure> {
        let failure = match called {
            Ok(intent) => return Ok(intent.status),
            Err(Failure::Open) => return Err(Failure::Open),
            Err(failure) => failure,
        };
        let intent = self.payments_guard.call(|_| self.payments.get(payment_id));
        match intent.await?.status {
            status @ (PaymentIntentStatus::Succeeded | PaymentIntentStatus::Canceled) => Ok(status),
            _ => Err(failure),
        }
    }

    /// The hold on the card has lapsed: nothing can be taken, so nothing is shipped.
    async fn lapsed(&self, order: &Order) -> Result<Outcome, StepError> {
        tracing::warn!(order_id = %order.id, "payment.lapsed");
        self.record(order.id, |order| cancelled(order, CancelledBy::Payments))
            .await?;
        Ok(Outcome::refused("the hold on the card has lapsed"))
    }

    /// Lets go every payment of the order that the provider knows.
    async fn let_go_all(&self, order: &Order) -> Result<LetGo, Failure> {
        let call = |_| self.payments.of_order(order.id);
        let mut result = LetGo::Nothing;
        for intent in self.payments_guard.call(call).await? {
            match self.let_go(order, &intent.id).await? {
                taken @ LetGo::Taken(_) => return Ok(taken),
                gone => result = gone,
            }
        }
        Ok(result)
    }

    /// Lets one payment go, unless it is gone already, or taken.
    async fn let_go(&self, order: &Order, payment_id: &str) -> Result<LetGo, Failure> {
        let key = format!("{}:void:{payment_id}:{}", order.id, waits(order));
        let call = |_| self.payments.cancel(payment_id, &key);
        let called = self.payments_guard.call(call).await;
        let payment_id = payment_id.to_owned();
        Ok(match self.ended(&payment_id, called).await? {
            PaymentIntentStatus::Succeeded => LetGo::Taken(payment_id),
            _ => LetGo::Gone(payment_id),
        })
    }

    /// Looks up what became of a call that ended without an answer.
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
            // The same key is safe to try again: the provider still knows it.
            self.database.calls(order.id, Timestamp::now()).await?;
            return Ok(Found::Nothing(order.into()));
        }
        let order = self
            .record(order.id, |order| {
                if_allowed(order, Kind::PaymentNotFound {})
            })
            .await?;
        match decided(&order) {
            Some(outcome) => Ok(Found::Outcome(outcome)),
            None => Ok(Found::Nothing(order.into())),
        }
    }

    /// Of the order's payments the one with most money in it. One that the provider has long had
    /// without trying it is let go, and is none.
    async fn best_payment(&self, order: &Order) -> Result<Option<PaymentIntent>, Failure> {
        let call = |_| self.payments.of_order(order.id);
        let intents = self.payments_guard.call(call).await?;
        let best = intents.into_iter().max_by_key(|intent| says(intent.status));
        let untried = best.as_ref().filter(|intent| {
            intent.status == PaymentIntentStatus::RequiresConfirmation && self.has_settled(order)
        });
        if let Some(intent) = untried {
            return match self.let_go(order, &intent.id).await? {
                LetGo::Taken(_) => Err(Failure::Unsettled),
                _ => Ok(None),
            };
        }
        Ok(best)
    }

    /// Whether the last call for the order is so long ago that the provider's search would find what
    /// it has done.
    fn has_settled(&self, order: &Order) -> bool {
        Timestamp::now().duration_since(order.updated_at) >= self.limits.look_up_after
    }

    /// Records what the provider says of the order's payment.
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
            // Nobody is at it: it is looked at again once that is certain.
            PaymentIntentStatus::RequiresConfirmation => Failure::Unsettled,
            _ => CallError::unknown("still processing").into(),
        };
        self.payment_unknown(order, failure).await
    }

    /// Records what became of the authorisation, unless an earlier run has.
    async fn settle(&self, order: &Order, event: &Kind) -> Result<Outcome, StepError> {
        let order = self
            .record(order.id, |order| {
                if order.is_undecided() {
                    with_consequence(order, event)
                } else {
                    Vec::new()
                }
            })
            .await?;
        Ok(called_off(&order)
            .or_else(|| decided(&order))
            .unwrap_or_else(|| Outcome::refused("not authorized")))
    }

    /// The order waits; if money may be held, it says so.
    async fn payment_unknown(&self, order: &Order, failure: Failure) -> Result<Outcome, StepError> {
        let mut order = order.clone();
        if matches!(
            failure,
            Failure::Unsettled | Failure::Call(CallError::Unknown { .. } | CallError::Kept { .. })
        ) {
            order = self.record(order.id, unknown).await?;
        }
        let deadline = order.placed_at + self.limits.max_wait;
        self.hold(&order, Provider::Payments, failure, Some(deadline))
            .await
    }
}

/// What became of the money that was to be let go.
enum LetGo {
    /// The provider knows of no payment.
    Nothing,
    /// It holds nothing of this payment any more.
    Gone(String),
    /// It has taken the money of this payment.
    Taken(String),
}

/// What a look-up has found.
enum Found {
    /// No payment: the order, as it is then.
    Nothing(Box<Order>),
    /// A payment, or no answer.
    Outcome(Outcome),
}

/// Until when an order whose money is held may wait for its label.
pub(crate) fn label_deadline(order: &Order, max_wait: SignedDuration) -> Timestamp {
    let by_age = order.placed_at + max_wait;
    order
        .capture_before
        .map_or(by_age, |lapse| by_age.min(lapse - MARGIN))
}

/// Cancels the order, if it can still be.
pub(crate) fn cancelled(order: &Order, by: CancelledBy) -> Vec<Kind> {
    if_allowed(order, Kind::cancelled_by(by))
}

/// How often the order has waited for what it waits for now.
fn waits(order: &Order) -> u32 {
    order.hold.as_ref().map_or(0, |hold| hold.attempts)
}

fn declined(code: String, message: String) -> Kind {
    Kind::PaymentDeclined { code, message }
}

/// Money may be held for the order.
fn unknown(order: &Order) -> Vec<Kind> {
    if_allowed(order, Kind::PaymentUnknown {})
}

/// Without money, the order is over; both are one change.
fn with_consequence(order: &Order, event: &Kind) -> Vec<Kind> {
    let mut events = vec![event.clone()];
    if !matches!(event, Kind::PaymentAuthorized { .. }) {
        events.extend(cancelled(order, CancelledBy::Payments));
    }
    events
}

/// What it means that nothing is held any more.
fn voided(order: &Order, let_go: &LetGo) -> Vec<Kind> {
    match (order.payment, let_go) {
        (PaymentStatus::Authorized | PaymentStatus::RequiresAction | PaymentStatus::Unknown, _) => {
            vec![Kind::PaymentVoided {}]
        }
        // Held by a call that nobody lived to record.
        (PaymentStatus::NotPaid, LetGo::Gone(payment_id)) => vec![
            Kind::PaymentAuthorized {
                payment_id: payment_id.clone(),
                capture_before: None,
            },
            Kind::PaymentVoided {},
        ],
        _ => Vec::new(),
    }
}

/// The outcome of an authorisation that an earlier run has brought to its end.
fn decided(order: &Order) -> Option<Outcome> {
    match order.payment {
        PaymentStatus::NotPaid | PaymentStatus::Unknown => None,
        PaymentStatus::Authorized
        | PaymentStatus::Captured
        | PaymentStatus::PartiallyRefunded
        | PaymentStatus::Refunded => Some(Outcome::Done),
        payment => Some(Outcome::refused(&format!("payment is {payment}"))),
    }
}

/// Of several payments for one order, the one with money in it says most.
const fn says(status: PaymentIntentStatus) -> u8 {
    use PaymentIntentStatus as Status;
    match status {
        Status::Canceled => 0,
        Status::RequiresPaymentMethod | Status::RequiresConfirmation => 1,
        Status::RequiresAction | Status::Processing => 2,
        Status::RequiresCapture => 3,
        Status::Succeeded => 4,
    }
}

/// What a payment that was answered means for the order; none while the provider is still at it.
fn result(intent: PaymentIntent) -> Option<Kind> {
    use PaymentIntentStatus as Status;
    match intent.status {
        Status::RequiresCapture | Status::Succeeded => Some(Kind::PaymentAuthorized {
            capture_before: intent.capture_before(),
            payment_id: intent.id,
        }),
        Status::RequiresAction => Some(Kind::PaymentRequiresAction {
            payment_id: intent.id,
        }),
        Status::RequiresPaymentMethod | Status::Canceled => Some(declined(
            "payment_failed".to_owned(),
            "The payment failed.".to_owned(),
        )),
        Status::RequiresConfirmation | Status::Processing => None,
    }
}
