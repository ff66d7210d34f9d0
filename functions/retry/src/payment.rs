//! The steps at the payment provider.

use orders::{Kind, Order, PaymentStatus, Provider};
use providers::{Authorization, CallError, PaymentIntent, PaymentIntentStatus};

use crate::{
    StepError, Worker, called_off, guard,
    outcome::{Outcome, Wait, is_about_the_order},
};

impl Worker {
    pub(crate) async fn authorize_payment(&self, order: Order) -> Result<Outcome, StepError> {
        self.database.started(order.id).await?;
        if let Some(outcome) = called_off(&order).or_else(|| decided(&order)) {
            return Ok(outcome);
        }
        // From the order and the step alone: whoever tries, and how often, asks for the same thing.
        let key = format!("{}:authorize", order.id);
        let authorization = Authorization {
            order_id: order.id,
            amount: order.total,
            currency: &order.currency,
            payment_method: &order.payment_method,
        };
        match guard::call(|_| self.payments.authorize(authorization, &key)).await {
            Ok(intent) => match result(intent) {
                Some(event) => self.settle(&order, event).await,
                None => {
                    self.payment_unknown(&order, CallError::unknown("processing"))
                        .await
                }
            },
            Err(CallError::Declined { code, message }) => {
                self.settle(&order, Kind::PaymentDeclined { code, message })
                    .await
            }
            Err(CallError::Rejected {
                status,
                code,
                message,
            }) if is_about_the_order(status) => {
                self.settle(&order, Kind::PaymentDeclined { code, message })
                    .await
            }
            Err(error) => self.payment_unknown(&order, error).await,
        }
    }

    /// Takes the money: the point of no return, so it is tried until it is done.
    pub(crate) async fn capture_payment(&self, order: Order) -> Result<Outcome, StepError> {
        if order.payment != PaymentStatus::Captured {
            let payment_id = order.payment_id.as_deref().unwrap_or_default();
            let key = format!("{}:capture", order.id);
            if let Err(error) = guard::call(|_| self.payments.capture(payment_id, &key)).await {
                // Captured before, and the answer was lost longer ago than the key is remembered?
                let intent = self.payments.get(payment_id).await?;
                if intent.status != PaymentIntentStatus::Succeeded {
                    return Err(error.into());
                }
            }
        }
        self.record(order.id, |order| match order.payment {
            PaymentStatus::Authorized => vec![Kind::PaymentCaptured {}, Kind::Shipped {}],
            PaymentStatus::Captured if order.is_open() => vec![Kind::Shipped {}],
            _ => Vec::new(),
        })
        .await?;
        Ok(Outcome::Done)
    }

    /// Lets go whatever is held, known or not.
    pub(crate) async fn void_payment(&self, order: Order) -> Result<Outcome, StepError> {
        match (order.payment, &order.payment_id) {
            (PaymentStatus::Authorized | PaymentStatus::RequiresAction, Some(payment_id)) => {
                self.let_go(&order, payment_id).await?;
            }
            (PaymentStatus::NotPaid | PaymentStatus::Unknown, _) => {
                for intent in guard::call(|_| self.payments.of_order(order.id)).await? {
                    if intent.status != PaymentIntentStatus::Canceled {
                        self.let_go(&order, &intent.id).await?;
                    }
                }
            }
            _ => {}
        }
        self.record(order.id, |order| match order.payment {
            PaymentStatus::Authorized | PaymentStatus::RequiresAction | PaymentStatus::Unknown => {
                vec![Kind::PaymentVoided {}]
            }
            _ => Vec::new(),
        })
        .await?;
        Ok(Outcome::Done)
    }

    async fn let_go(&self, order: &Order, payment_id: &str) -> Result<(), StepError> {
        let key = format!("{}:void:{payment_id}", order.id);
        if let Err(error) = guard::call(|_| self.payments.cancel(payment_id, &key)).await {
            let intent = self.payments.get(payment_id).await?;
            if intent.status != PaymentIntentStatus::Canceled {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Records what became of the authorisation, unless an earlier run has.
    async fn settle(&self, order: &Order, event: Kind) -> Result<Outcome, StepError> {
        let order = self
            .record(order.id, |order| match order.payment {
                PaymentStatus::NotPaid | PaymentStatus::Unknown => vec![event.clone()],
                _ => Vec::new(),
            })
            .await?;
        let refused = || Outcome::Refused {
            reason: "not authorized".to_owned(),
        };
        Ok(called_off(&order)
            .or_else(|| decided(&order))
            .unwrap_or_else(refused))
    }

    /// The order waits; if money may be held, it says so.
    async fn payment_unknown(&self, order: &Order, error: CallError) -> Result<Outcome, StepError> {
        if matches!(error, CallError::Unknown { .. }) {
            self.record(order.id, |order| match order.payment {
                PaymentStatus::NotPaid => vec![Kind::PaymentUnknown {}],
                _ => Vec::new(),
            })
            .await?;
        }
        self.hold(order.id, Wait::after(Provider::Payments, &error))
            .await
    }
}

/// The outcome of an authorisation that an earlier run has brought to its end.
fn decided(order: &Order) -> Option<Outcome> {
    match order.payment {
        PaymentStatus::NotPaid | PaymentStatus::Unknown => None,
        PaymentStatus::Authorized | PaymentStatus::Captured => Some(Outcome::Done),
        payment => Some(Outcome::Refused {
            reason: format!("payment is {payment}"),
        }),
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
        Status::RequiresPaymentMethod | Status::Canceled => Some(Kind::PaymentDeclined {
            code: "payment_failed".to_owned(),
            message: "The payment failed.".to_owned(),
        }),
        Status::RequiresConfirmation | Status::Processing => None,
    }
}
