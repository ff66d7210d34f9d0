//! Events: what Stripe tells of each change of a payment, and how it signs that.

use std::fmt::Write;

use anyhow::ensure;
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use strum::IntoStaticStr;

use super::{intent::Intent, params::Params};
use crate::{
    clock,
    storage::{State, Storage, new_id},
    webhooks::announce,
};

/// The version of the API that events are written in.
const API_VERSION: &str = "2025-09-30.clover";

/// What happened.
#[derive(Debug, Clone, Copy, IntoStaticStr)]
pub(super) enum Event {
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

impl Event {
    /// Tells of something that happened to a payment: `object` as it is now.
    pub(super) fn announce(
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
        announce(state, &intent.id, &event)
    }

    /// Tells of a payment as a whole.
    pub(super) fn of(self, state: &mut State<'_>, intent: &Intent) -> anyhow::Result<()> {
        self.announce(state, intent, &intent.view(&Params::default()))
    }
}

/// Stripe's signature: the time, and a code over the time and the body.
pub(super) fn sign(
    _storage: &Storage,
    secret: &str,
    body: &str,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    ensure!(!secret.is_empty(), "there is no secret to sign with");
    let time = clock::now().as_second();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let code = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let mut signature = format!("t={time},v1=");
    for byte in code.as_ref() {
        write!(signature, "{byte:02x}")?;
    }
    Ok(vec![("stripe-signature", signature)])
}
