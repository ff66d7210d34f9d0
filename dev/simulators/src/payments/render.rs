//! Payments as Stripe shows them.

use serde_json::{Value, json};

use super::{
    cards,
    intents::{Charge, Intent, Status},
};

/// A payment; its charge whole or by name.
pub fn intent(intent: &Intent, expand_charge: bool) -> Value {
    let latest_charge = intent.charge.as_ref().map(|made| {
        if expand_charge {
            charge(intent, made)
        } else {
            json!(made.id)
        }
    });
    let automatic = intent
        .automatic_payment_methods
        .as_ref()
        .map(|redirects| json!({ "enabled": true, "allow_redirects": redirects }));
    let next_action = (intent.status == Status::RequiresAction).then(|| {
        json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } })
    });
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.held(),
        "amount_details": { "tip": {} },
        "amount_received": intent.amount_received,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": automatic,
        "canceled_at": intent.canceled_at.map(jiff::Timestamp::as_second),
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": format!("{}_secret_simulated", intent.id),
        "confirmation_method": "automatic",
        "created": intent.created.as_second(),
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": last_error(intent),
        "latest_charge": latest_charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action,
        "on_behalf_of": null,
        "payment_method": payment_method(intent),
        "payment_method_options": {
            "card": {
                "installments": null,
                "mandate_options": null,
                "network": null,
                "request_three_d_secure": "automatic",
            },
        },
        "payment_method_types": intent.payment_method_types,
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": intent.status,
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// A declined card is taken off the payment.
fn payment_method(intent: &Intent) -> Option<&str> {
    let name = intent.payment_method.as_deref()?;
    (intent.status != Status::RequiresPaymentMethod).then_some(name)
}

fn last_error(intent: &Intent) -> Option<Value> {
    let charge = intent.charge.as_ref()?;
    let failed = charge.failure.as_ref()?;
    Some(json!({
        "type": "card_error",
        "charge": charge.id,
        "code": failed.code,
        "decline_code": failed.decline_code,
        "message": failed.message,
    }))
}

fn charge(intent: &Intent, charge: &Charge) -> Value {
    let card = intent.payment_method.as_deref().and_then(cards::find);
    let released = match intent.status {
        Status::Canceled => intent.amount,
        Status::Succeeded => intent.amount - intent.amount_received,
        _ => 0,
    };
    json!({
        "id": charge.id,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount_received,
        "amount_refunded": released,
        "balance_transaction": null,
        "captured": intent.status == Status::Succeeded,
        "created": charge.created.as_second(),
        "currency": intent.currency,
        "disputed": false,
        "failure_code": charge.failure.as_ref().map(|failed| &failed.code),
        "failure_message": charge.failure.as_ref().map(|failed| &failed.message),
        "livemode": false,
        "metadata": intent.metadata,
        "paid": charge.failure.is_none(),
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "payment_method_details": {
            "type": "card",
            "card": {
                "amount_authorized": intent.amount,
                "brand": card.map(|card| card.brand),
                "capture_before": charge.capture_before.map(jiff::Timestamp::as_second),
                "country": "ES",
                "exp_month": 12,
                "exp_year": 2034,
                "funding": "credit",
                "last4": card.map(|card| card.last4),
            },
        },
        "refunded": released == intent.amount,
        "status": if charge.failure.is_none() { "succeeded" } else { "failed" },
    })
}

/// A list, as it answers a look-up.
pub fn list(kind: &str, url: &str, data: &[Value], has_more: bool) -> Value {
    let mut list = json!({ "object": kind, "url": url, "has_more": has_more, "data": data });
    if kind == "search_result" {
        list["next_page"] = Value::Null;
    }
    list
}
