//! Stripe's events, signed with a shared secret.

use std::fmt::Write;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use jiff::Timestamp;
use orders::{OrderId, PaymentId};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{WebhookError, check_age, parse, required_header, signed_payload};
use crate::{
    payments::Refund,
    records::{Reference, id_or_object},
};

/// The header with the time and the signatures.
const SIGNATURE: &str = "stripe-signature";

/// An event of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// The provider's id of the event. It is the same each time the event is delivered.
    pub id: String,
    /// The payment, by the provider's id; `None` if the event does not concern one.
    pub payment_id: Option<PaymentId>,
    /// The shop that the payment or refund names, if any.
    #[serde(default)]
    pub shop: Option<String>,
    /// The order that the payment or refund names; `None` if we did not create it.
    pub order_id: Option<OrderId>,
    /// The kind of event.
    #[serde(flatten)]
    pub kind: PaymentEventKind,
}

/// The kinds of events of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PaymentEventKind {
    /// The money is held on the card.
    Authorized,
    /// The card was declined.
    Failed,
    /// The bank requires an action of the shopper, such as 3-D Secure.
    RequiresAction,
    /// The money was captured.
    Captured,
    /// The authorization was voided, or it has expired.
    Canceled,
    /// A refund was created, updated or has failed.
    Refunded {
        /// The refund at the time of the event.
        refund: Refund,
    },
    /// A dispute was opened or has changed. A dispute names no order; its payment does.
    Disputed {
        /// The provider's id of the dispute.
        dispute_id: String,
    },
    /// One of the kinds above, but the object in the event cannot be read.
    Unreadable {
        /// The object's id; empty if it has none.
        object_id: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// Any other event.
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

/// The common fields of payments, refunds and disputes.
#[derive(Deserialize)]
struct EventObject {
    id: String,
    #[serde(default, deserialize_with = "id_or_object")]
    payment_intent: Option<PaymentId>,
}

/// Verifies that `body` was signed with `secret` within five minutes of `now`. Returns its event.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secret: &str,
    now: Timestamp,
) -> Result<PaymentEvent, WebhookError> {
    let header = required_header(headers, SIGNATURE)?;
    let parts = || header.split(',').filter_map(|part| part.split_once('='));
    let value_of = |name| move |(key, value)| (key == name).then_some(value);
    let time = parts()
        .find_map(value_of("t"))
        .ok_or(WebhookError::Missing)?;
    let expected = signature(secret, time, body);
    // While the secret is rotated, the header has a signature with each secret.
    let is_valid =
        |given: &str| verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok();
    if !parts().filter_map(value_of("v1")).any(is_valid) {
        return Err(WebhookError::Forged);
    }
    let unreadable = || WebhookError::Unreadable("its timestamp is invalid".to_owned());
    let second = time.parse().map_err(|_| unreadable())?;
    check_age(
        Timestamp::from_second(second).map_err(|_| unreadable())?,
        now,
    )?;
    Ok(to_payment_event(parse(body)?))
}

/// Returns the signature in Stripe's form: lower-case hexadecimal digits.
fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &signed_payload(time, body));
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn to_payment_event(event: StripeEvent) -> PaymentEvent {
    let StripeEvent { id, kind, data } = event;
    let object = data.object;
    let reference = Reference::of_stripe(&object);
    let (kind, payment_id) = match read_object(&kind, &object) {
        Ok(kind_and_payment) => kind_and_payment,
        // If the event were refused, Stripe would send it again for days.
        Err(error) => {
            let unreadable = PaymentEventKind::Unreadable {
                object_id: object["id"].as_str().unwrap_or_default().to_owned(),
                reason: error.to_string(),
            };
            (unreadable, None)
        }
    };
    PaymentEvent {
        id,
        payment_id,
        shop: reference.shop,
        order_id: reference.order_id,
        kind,
    }
}

/// Returns the kind of the event, and the id of its payment.
fn read_object(
    kind: &str,
    object: &Value,
) -> Result<(PaymentEventKind, Option<PaymentId>), serde_json::Error> {
    let read = || EventObject::deserialize(object);
    let of_payment = |kind| {
        let id = read()?.id.parse().map_err(serde::de::Error::custom)?;
        Ok((kind, Some(id)))
    };
    match kind {
        "payment_intent.amount_capturable_updated" => of_payment(PaymentEventKind::Authorized),
        "payment_intent.payment_failed" => of_payment(PaymentEventKind::Failed),
        "payment_intent.requires_action" => of_payment(PaymentEventKind::RequiresAction),
        "payment_intent.succeeded" => of_payment(PaymentEventKind::Captured),
        "payment_intent.canceled" => of_payment(PaymentEventKind::Canceled),
        "refund.created" | "refund.updated" | "refund.failed" => {
            let refund = Refund::deserialize(object)?;
            let payment_id = refund.payment_intent.clone();
            Ok((PaymentEventKind::Refunded { refund }, payment_id))
        }
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => {
            let EventObject { id, payment_intent } = read()?;
            Ok((
                PaymentEventKind::Disputed { dispute_id: id },
                payment_intent,
            ))
        }
        _ => Ok((PaymentEventKind::Other, None)),
    }
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
        let metadata = json!({ "shop": "cauce", "order_id": order_id });
        let object = json!({ "id": "pi_1", "metadata": metadata });
        body("payment_intent.succeeded", &object)
    }

    #[test]
    fn the_signature_equals_the_one_of_openssl() {
        // Computed by `printf '1800000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
        let expected = "482e6337ac5272392d375c6fdc4d52a7e615dc2facedab0ffe155ddfd6a56e66";
        assert_eq!(signature(SECRET, "1800000000", b"{}"), expected);
    }

    #[test]
    fn a_signed_event_is_read_and_can_be_serialized() {
        let order_id = OrderId::generate();
        let body = captured(order_id);
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        let expected = PaymentEvent {
            id: "evt_1".to_owned(),
            payment_id: "pi_1".parse().ok(),
            shop: Some("cauce".to_owned()),
            order_id: Some(order_id),
            kind: PaymentEventKind::Captured,
        };
        assert_eq!(event, expected);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PaymentEvent>(&sent).unwrap(), event);
    }

    #[test]
    fn a_refund_has_its_id_and_can_be_serialized() {
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
        assert_eq!(event.payment_id, "pi_1".parse().ok());
        assert_eq!(event.order_id, Some(order_id));
        let sent = serde_json::to_string(&ProviderEvent::Payments(event)).unwrap();
        let ProviderEvent::Payments(received) = serde_json::from_str(&sent).unwrap() else {
            panic!("{sent}");
        };
        let PaymentEventKind::Refunded { refund } = received.kind else {
            panic!("{sent}");
        };
        assert_eq!(refund.refund_id(), Some(refund_id));
        assert_eq!(refund.status, RefundStatus::Failed);
    }

    #[test]
    fn an_event_of_another_kind_is_accepted() {
        let body = body("balance.available", &json!({ "object": "balance" }));
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        assert_eq!(event.kind, PaymentEventKind::Other);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PaymentEvent>(&sent).unwrap(), event);
    }

    fn event_of(kind: &str, object: &Value) -> PaymentEvent {
        let body = body(kind, object);
        let event = verify(&headers(&sign(&body)), &body, SECRET, now()).unwrap();
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PaymentEvent>(&sent).unwrap(), event);
        event
    }

    #[test]
    fn every_event_of_a_dispute_names_it_and_its_payment() {
        let dispute = json!({
            "id": "du_1", "object": "dispute", "payment_intent": "pi_1", "metadata": {},
        });
        for kind in [
            "created",
            "updated",
            "closed",
            "funds_withdrawn",
            "funds_reinstated",
        ] {
            let event = event_of(&format!("charge.dispute.{kind}"), &dispute);
            let expected = PaymentEventKind::Disputed {
                dispute_id: "du_1".to_owned(),
            };
            assert_eq!(event.kind, expected);
            assert_eq!(event.payment_id, "pi_1".parse().ok());
            assert_eq!((event.shop, event.order_id), (None, None));
        }
    }

    #[test]
    fn an_unreadable_object_still_has_its_reference() {
        let refund = json!({
            "id": "re_1", "amount": 100_000_000_000_i64, "payment_intent": null, "status": null,
            "metadata": { "shop": "other" },
        });
        let event = event_of("refund.created", &refund);
        let PaymentEventKind::Unreadable { object_id, .. } = event.kind else {
            panic!("{event:?}");
        };
        assert_eq!(
            (object_id.as_str(), event.shop.as_deref()),
            ("re_1", Some("other"))
        );
        let no_payment = event_of("payment_intent.succeeded", &json!({ "metadata": null }));
        assert!(matches!(
            no_payment.kind,
            PaymentEventKind::Unreadable { .. }
        ));
    }

    #[test]
    fn one_valid_signature_of_several_is_enough() {
        let body = captured(OrderId::generate());
        let signed = sign(&body);
        let (time, valid) = signed.split_once(',').unwrap();
        let several = format!("{time},v1={},v0=abc,{valid}", "0".repeat(64));
        assert!(verify(&headers(&several), &body, SECRET, now()).is_ok());
        let older_scheme = signed.replace("v1=", "v0=");
        assert_eq!(
            verify(&headers(&older_scheme), &body, SECRET, now()),
            Err(WebhookError::Forged)
        );
    }

    #[test]
    fn a_signature_is_accepted_within_five_minutes_in_both_directions() {
        let body = captured(OrderId::generate());
        let headers = headers(&sign(&body));
        for (seconds, is_accepted) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let at = Timestamp::from_second(SIGNED_AT + seconds).unwrap();
            let verified = verify(&headers, &body, SECRET, at);
            assert_eq!(verified.is_ok(), is_accepted, "{seconds}");
            assert!(is_accepted || verified == Err(WebhookError::Stale));
        }
    }

    #[test]
    fn unsigned_forged_and_unreadable_events_are_distinct_errors() {
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
        fn changing_any_byte_is_detected(
            at: prop::sample::Index, by in 1..=u8::MAX, of_body: bool,
        ) {
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
