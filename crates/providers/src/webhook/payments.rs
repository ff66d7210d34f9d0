//! Stripe's events, signed with a secret that both sides know.

use std::fmt::Write;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use jiff::Timestamp;
use orders::OrderId;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{WebhookError, check_age, header, read, signed};
use crate::payments::{Metadata, Refund};

/// The header with the time and the signatures.
const SIGNATURE: &str = "stripe-signature";

/// Something that happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// The provider's name for the event; the same however often it is delivered.
    pub id: String,
    /// The payment, by the provider's name; nothing, if the event is about none.
    pub payment_id: Option<String>,
    /// The order that it is for; nothing, if it is none of ours.
    pub order_id: Option<OrderId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: PaymentEventKind,
}

/// What can happen to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PaymentEventKind {
    /// The money is held on the card.
    Authorized,
    /// The card was declined.
    Failed,
    /// The bank wants the shopper in person.
    RequiresAction,
    /// The money is taken.
    Captured,
    /// The hold was let go.
    Canceled,
    /// A refund was begun, done or refused.
    Refunded {
        /// As it stood then.
        refund: Refund,
    },
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct StripeEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// What a payment and a refund have in common.
#[derive(Deserialize)]
struct About {
    id: String,
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

/// The event in `body`, if it was signed with `secret` within five minutes of `now`.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secret: &str,
    now: Timestamp,
) -> Result<PaymentEvent, WebhookError> {
    let header = header(headers, SIGNATURE)?;
    let parts = || header.split(',').filter_map(|part| part.split_once('='));
    let of = |name| move |(given, value)| (given == name).then_some(value);
    let time = parts().find_map(of("t")).ok_or(WebhookError::Missing)?;
    let expected = signature(secret, time, body);
    // While the secret is changed, there is one signature by each.
    let fits = |given: &str| verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok();
    if !parts().filter_map(of("v1")).any(fits) {
        return Err(WebhookError::Forged);
    }
    let unreadable = || WebhookError::Unreadable("its time is no time".to_owned());
    let second = time.parse().map_err(|_| unreadable())?;
    check_age(
        Timestamp::from_second(second).map_err(|_| unreadable())?,
        now,
    )?;
    event(read(body)?)
}

/// The signature in the form that Stripe sends it in: lower-case hexadecimal digits.
fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &signed(time, body));
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // To write to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn event(event: StripeEvent) -> Result<PaymentEvent, WebhookError> {
    let StripeEvent { id, kind, data } = event;
    let object = data.object;
    let unreadable = |error: serde_json::Error| WebhookError::Unreadable(error.to_string());
    let kind = match kind.as_str() {
        "payment_intent.amount_capturable_updated" => PaymentEventKind::Authorized,
        "payment_intent.payment_failed" => PaymentEventKind::Failed,
        "payment_intent.requires_action" => PaymentEventKind::RequiresAction,
        "payment_intent.succeeded" => PaymentEventKind::Captured,
        "payment_intent.canceled" => PaymentEventKind::Canceled,
        "refund.created" | "refund.updated" | "refund.failed" => PaymentEventKind::Refunded {
            refund: Refund::deserialize(&object).map_err(unreadable)?,
        },
        _ => PaymentEventKind::Other,
    };
    if kind == PaymentEventKind::Other {
        return Ok(PaymentEvent {
            id,
            payment_id: None,
            order_id: None,
            kind,
        });
    }
    let about = About::deserialize(&object).map_err(unreadable)?;
    let order_id = about.metadata.order_id();
    let payment_id = match kind {
        PaymentEventKind::Refunded { .. } => about.payment_intent,
        _ => Some(about.id),
    };
    Ok(PaymentEvent {
        id,
        payment_id,
        order_id,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use orders::RefundId;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{RefundStatus, webhook::ProviderEvent};

    const SECRET: &str = "whsec_test";
    const SIGNED_AT: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(SIGNED_AT).unwrap()
    }

    fn headers(signature: &str) -> HeaderMap {
        let pair = (
            SIGNATURE.parse().unwrap(),
            signature.parse().unwrap_or_else(|_| "?".parse().unwrap()),
        );
        [pair].into_iter().collect()
    }

    fn sign(body: &[u8]) -> String {
        let time = SIGNED_AT.to_string();
        format!("t={time},v1={}", signature(SECRET, &time, body))
    }

    fn body(kind: &str, object: &Value) -> Vec<u8> {
        let event = json!({
            "id": "evt_1",
            "object": "event",
            "type": kind,
            "created": SIGNED_AT,
            "data": { "object": object },
        });
        serde_json::to_vec(&event).unwrap()
    }

    fn captured(order_id: OrderId) -> Vec<u8> {
        let object = json!({ "id": "pi_1", "metadata": { "order_id": order_id } });
        body("payment_intent.succeeded", &object)
    }

    #[test]
    fn the_signature_is_the_one_that_stripe_makes() {
        // By `printf '1800000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
        let expected = "482e6337ac5272392d375c6fdc4d52a7e615dc2facedab0ffe155ddfd6a56e66";
        assert_eq!(signature(SECRET, "1800000000", b"{}"), expected);
    }

    #[test]
    fn a_signed_event_is_read_and_travels_as_json() {
        let order_id = OrderId::generate();
        let body = captured(order_id);
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        let expected = PaymentEvent {
            id: "evt_1".to_owned(),
            payment_id: Some("pi_1".to_owned()),
            order_id: Some(order_id),
            kind: PaymentEventKind::Captured,
        };
        assert_eq!(event, expected);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PaymentEvent>(&sent).unwrap(), event);
    }

    #[test]
    fn a_refund_says_which_it_is_and_travels_as_json() {
        let (order_id, refund_id) = (OrderId::generate(), RefundId::generate());
        let refund = json!({
            "id": "re_1",
            "payment_intent": "pi_1",
            "status": "failed",
            "amount": 500,
            "metadata": { "order_id": order_id, "refund_id": refund_id },
        });
        let body = body("refund.failed", &refund);
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        assert_eq!(event.payment_id.as_deref(), Some("pi_1"));
        assert_eq!(event.order_id, Some(order_id));
        let sent = serde_json::to_string(&ProviderEvent::Payments(event)).unwrap();
        let ProviderEvent::Payments(came) = serde_json::from_str(&sent).unwrap() else {
            panic!("{sent}");
        };
        let PaymentEventKind::Refunded { refund } = came.kind else {
            panic!("{sent}");
        };
        assert_eq!(refund.refund_id(), Some(refund_id));
        assert_eq!(refund.status, RefundStatus::Failed);
    }

    #[test]
    fn an_event_of_another_kind_is_no_error() {
        let body = body("balance.available", &json!({ "object": "balance" }));
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        assert_eq!(event.kind, PaymentEventKind::Other);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PaymentEvent>(&sent).unwrap(), event);
    }

    #[test]
    fn one_fitting_signature_of_several_is_enough() {
        let body = captured(OrderId::generate());
        let signed = sign(&body);
        let (time, fitting) = signed.split_once(',').unwrap();
        let several = format!("{time},v1={},v0=abc,{fitting}", "0".repeat(64));
        assert!(verify(&headers(&several), &body, SECRET, now()).is_ok());
        let older_scheme = signed.replace("v1=", "v0=");
        assert_eq!(
            verify(&headers(&older_scheme), &body, SECRET, now()),
            Err(WebhookError::Forged)
        );
    }

    #[test]
    fn five_minutes_either_way_are_tolerated() {
        let body = captured(OrderId::generate());
        let headers = headers(&sign(&body));
        for (seconds, fits) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let at = Timestamp::from_second(SIGNED_AT + seconds).unwrap();
            let verified = verify(&headers, &body, SECRET, at);
            assert_eq!(verified.is_ok(), fits, "{seconds}");
            assert!(fits || verified == Err(WebhookError::Stale));
        }
    }

    #[test]
    fn what_is_not_signed_or_no_event_is_told_apart() {
        let body = captured(OrderId::generate());
        let missing = Err(WebhookError::Missing);
        assert_eq!(verify(&HeaderMap::new(), &body, SECRET, now()), missing);
        assert_eq!(verify(&headers("v1=00"), &body, SECRET, now()), missing);
        let other_secret = verify(&headers(&sign(&body)), &body, "whsec_other", now());
        assert_eq!(other_secret, Err(WebhookError::Forged));
        for no_event in [&b"{"[..], b"[]", br#"{"id":"evt_1"}"#] {
            let verified = verify(&headers(&sign(no_event)), no_event, SECRET, now());
            assert!(matches!(verified, Err(WebhookError::Unreadable(_))));
        }
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(at: prop::sample::Index, by in 1..=u8::MAX, of_body: bool) {
            let mut body = captured(OrderId(uuid::Uuid::nil()));
            let mut signature = sign(&body).into_bytes();
            let changed = if of_body { &mut body } else { &mut signature };
            let at = at.index(changed.len());
            changed[at] ^= by;
            let signature = String::from_utf8_lossy(&signature);
            prop_assert!(verify(&headers(&signature), &body, SECRET, now()).is_err());
        }
    }
}
