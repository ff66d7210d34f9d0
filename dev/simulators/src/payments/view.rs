//! The JSON of payment intents and charges.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    cards,
    intent::{Charge, Intent, Status},
    params::Params,
};
use crate::clock::to_shown;

/// The Unix second of a time, by the provider's clock.
pub(super) fn second(at: Timestamp) -> i64 {
    to_shown(at).as_second()
}

impl Intent {
    /// With the whole latest charge if the call expands it, else with its id.
    pub(super) fn view(&self, params: &Params) -> Value {
        let latest_charge = self.charge.as_ref().map(|charge| {
            if params.expands("latest_charge") {
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
            "amount_capturable": self.capturable(),
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received,
            "automatic_payment_methods": automatic,
            "canceled_at": self.canceled_at.map(second),
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": format!("{}_secret_simulated", self.id),
            "confirmation_method": "automatic",
            "created": second(self.created),
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

    fn capturable(&self) -> i64 {
        if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        }
    }

    /// A declined card is detached from the payment.
    fn payment_method_view(&self) -> Option<&str> {
        let name = self.payment_method.as_deref()?;
        (self.status != Status::RequiresPaymentMethod).then_some(name)
    }

    fn last_error(&self) -> Option<Value> {
        let charge = self.charge.as_ref()?;
        let (code, decline_code, message) = charge.failure.as_ref()?;
        let mut error = json!({
            "type": "card_error",
            "charge": charge.id,
            "code": code,
            "message": message,
        });
        if let Some(decline_code) = decline_code {
            error["decline_code"] = decline_code.as_str().into();
        }
        Some(error)
    }

    /// The whole latest charge.
    pub(super) fn latest_charge_view(&self) -> Value {
        self.charge
            .as_ref()
            .map_or(Value::Null, |charge| self.charge_view(charge))
    }

    fn charge_view(&self, charge: &Charge) -> Value {
        let card = self.payment_method.as_deref().and_then(cards::find);
        let failure = charge.failure.as_ref();
        let refunded = match self.status {
            Status::Canceled => self.amount,
            Status::Succeeded => self.amount - self.amount_received + self.amount_refunded,
            _ => 0,
        };
        let mut card = json!({
            "amount_authorized": self.amount,
            "brand": card.map(|card| card.brand),
            "exp_month": 12,
            "exp_year": 2034,
            "funding": "credit",
            "last4": card.map(|card| card.last4),
        });
        if let Some(capture_before) = charge.capture_before {
            card["capture_before"] = second(capture_before).into();
        }
        json!({
            "id": charge.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_received,
            "amount_refunded": refunded,
            "billing_details": {
                "address": null,
                "email": null,
                "name": null,
                "phone": null,
                "tax_id": null,
            },
            "captured": self.status == Status::Succeeded,
            "created": second(charge.created),
            "currency": self.currency,
            "disputed": self.is_charged_back,
            "failure_code": failure.map(|(code, _, _)| code),
            "failure_message": failure.map(|(_, _, message)| message),
            "livemode": false,
            "metadata": self.metadata,
            "paid": failure.is_none(),
            "payment_intent": self.id,
            "payment_method": self.payment_method,
            "payment_method_details": { "type": "card", "card": card },
            "refunded": refunded == self.amount,
            "status": if failure.is_none() { "succeeded" } else { "failed" },
        })
    }
}
