//! A payment intent as the provider shows it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    cards,
    intent::{Charge, Intent, Status},
    params::Params,
};

impl Intent {
    /// With its charge whole where the call expands it, and by name where it does not.
    pub(super) fn view(&self, params: &Params) -> Value {
        let latest_charge = self.charge.as_ref().map(|charge| {
            if params.expands_charge() {
                self.charge_view(charge)
            } else {
                charge.id.clone().into()
            }
        });
        let automatic = self
            .allow_redirects
            .as_ref()
            .map(|redirects| json!({ "enabled": true, "allow_redirects": redirects }));
        let next_action = (self.status == Status::RequiresAction).then(
            || json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } }),
        );
        json!({
            "id": self.id,
            "object": "payment_intent",
            "status": self.status,
            "amount": self.amount,
            "amount_capturable": self.held(),
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received,
            "automatic_payment_methods": automatic,
            "canceled_at": self.canceled_at.map(Timestamp::as_second),
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": format!("{}_secret_simulated", self.id),
            "confirmation_method": "automatic",
            "created": self.created.as_second(),
            "currency": self.currency,
            "customer": null,
            "description": self.description,
            "last_payment_error": self.last_error(),
            "latest_charge": latest_charge,
            "livemode": false,
            "metadata": self.metadata,
            "next_action": next_action,
            "payment_method": self.payment_method_view(),
            "payment_method_types": ["card"],
            "processing": null,
            "receipt_email": null,
            "setup_future_usage": null,
            "shipping": null,
        })
    }

    fn held(&self) -> i64 {
        if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        }
    }

    /// A declined card is taken off the payment.
    fn payment_method_view(&self) -> Option<&str> {
        let name = self.payment_method.as_deref()?;
        (self.status != Status::RequiresPaymentMethod).then_some(name)
    }

    fn last_error(&self) -> Option<Value> {
        let charge = self.charge.as_ref()?;
        let (code, decline_code, message) = charge.failure.as_ref()?;
        Some(json!({
            "type": "card_error",
            "charge": charge.id,
            "code": code,
            "decline_code": decline_code,
            "message": message,
        }))
    }

    /// The last try to get the money, whole.
    pub(super) fn latest_charge_view(&self) -> Value {
        self.charge
            .as_ref()
            .map_or(Value::Null, |charge| self.charge_view(charge))
    }

    fn charge_view(&self, charge: &Charge) -> Value {
        let card = self.payment_method.as_deref().and_then(cards::find);
        let failure = charge.failure.as_ref();
        let let_go = match self.status {
            Status::Canceled => self.amount,
            Status::Succeeded => self.amount - self.amount_received + self.amount_refunded,
            _ => 0,
        };
        let card = json!({
            "amount_authorized": self.amount,
            "brand": card.map(|card| card.brand),
            "capture_before": charge.capture_before.map(Timestamp::as_second),
            "funding": "credit",
            "last4": card.map(|card| card.last4),
        });
        json!({
            "id": charge.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_received,
            "amount_refunded": let_go,
            "captured": self.status == Status::Succeeded,
            "created": charge.created.as_second(),
            "currency": self.currency,
            "failure_code": failure.map(|(code, _, _)| code),
            "failure_message": failure.map(|(_, _, message)| message),
            "livemode": false,
            "metadata": self.metadata,
            "paid": failure.is_none(),
            "payment_intent": self.id,
            "payment_method": self.payment_method,
            "payment_method_details": { "type": "card", "card": card },
            "refunded": let_go == self.amount,
            "status": if failure.is_none() { "succeeded" } else { "failed" },
        })
    }
}
