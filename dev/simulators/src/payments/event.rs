//! Stripe's webhook events, and their signature.

use std::fmt::Write;

use anyhow::ensure;
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use strum::IntoStaticStr;

use super::{intent::Intent, params::Params};
use crate::{
    clock,
    storage::{State, Storage, new_id},
    webhooks::enqueue,
};

/// The API version of the events.
const API_VERSION: &str = "2025-09-30.clover";

/// The type of an event.
#[derive(Debug, Clone, Copy, IntoStaticStr)]
pub(super) enum PaymentEvent {
    #[strum(serialize = "payment_intent.amount_capturable_updated")]
    AmountCapturableUpdated,
    #[strum(serialize = "payment_intent.succeeded")]
    Succeeded,
    #[strum(serialize = "payment_intent.payment_failed")]
    PaymentFailed,
    #[strum(serialize = "payment_intent.canceled")]
    Canceled,
    #[strum(serialize = "payment_intent.requires_action")]
    RequiresAction,
    #[strum(serialize = "charge.refunded")]
    ChargeRefunded,
    #[strum(serialize = "refund.created")]
    RefundCreated,
    #[strum(serialize = "refund.updated")]
    RefundUpdated,
    #[strum(serialize = "refund.failed")]
    RefundFailed,
    #[strum(serialize = "charge.dispute.created")]
    DisputeCreated,
    #[strum(serialize = "charge.dispute.updated")]
    DisputeUpdated,
    #[strum(serialize = "charge.dispute.closed")]
    DisputeClosed,
    #[strum(serialize = "charge.dispute.funds_withdrawn")]
    DisputeFundsWithdrawn,
    #[strum(serialize = "charge.dispute.funds_reinstated")]
    DisputeFundsReinstated,
}

impl PaymentEvent {
    /// Emits the event with the current view of `object`, which belongs to the payment.
    pub(super) fn emit(
        self,
        state: &mut State<'_>,
        intent: &Intent,
        object: &Value,
    ) -> anyhow::Result<()> {
        let kind: &str = self.into();
        let event = json!({
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": clock::now().as_second(),
            "data": { "object": object },
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": kind,
        });
        enqueue(state, &intent.id, &event)
    }

    /// Emits the event with the payment as its object.
    pub(super) fn emit_intent(self, state: &mut State<'_>, intent: &Intent) -> anyhow::Result<()> {
        self.emit(state, intent, &intent.view(&Params::default()))
    }
}

/// Stripe's signature header: the time, and an HMAC of the time and the body.
pub(super) fn sign(
    _storage: &Storage,
    secret: &str,
    body: &str,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    ensure!(!secret.is_empty(), "the webhook secret is missing");
    let time = clock::now().as_second();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let code = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let mut signature = format!("t={time},v1=");
    for byte in code.as_ref() {
        write!(signature, "{byte:02x}")?;
    }
    Ok(vec![("stripe-signature", signature)])
}
