//! ShipEngine's events, signed with a private key whose public half it publishes.

use aws_lc_rs::{digest, signature::RSA_PKCS1_2048_8192_SHA256};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{WebhookError, check_age, parse, required_header, signed_payload};
use crate::{
    keys::KeySet,
    records::nullable,
    shipping::{Tracking, TrackingStatus},
};

/// The headers with the signature, the id of its key, and its time.
const SIGNATURE: &str = "x-shipengine-rsa-sha256-signature";
const KEY_ID: &str = "x-shipengine-rsa-sha256-key-id";
const TIMESTAMP: &str = "x-shipengine-timestamp";

/// The type of tracking events, the only ones that are accepted.
const TRACK: &str = "API_TRACK";

/// A change of a parcel's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackingEvent {
    /// A hash of the body, because the provider's events have no id. It is the same each time the
    /// event is delivered.
    pub id: String,
    /// The carrier's tracking number.
    pub tracking_number: Option<String>,
    /// The parcel's status.
    pub status: TrackingStatus,
}

#[derive(Deserialize)]
struct ShipEngineEvent {
    resource_type: String,
    #[serde(default, deserialize_with = "nullable")]
    data: Tracking,
}

/// Verifies that `body` was signed with one of the `keys` within five minutes of `now`. Returns its
/// event.
pub async fn verify(
    headers: &HeaderMap,
    body: &[u8],
    keys: &KeySet,
    now: Timestamp,
) -> Result<TrackingEvent, WebhookError> {
    let key_id = required_header(headers, KEY_ID)?;
    let signature = required_header(headers, SIGNATURE)?;
    let timestamp = required_header(headers, TIMESTAMP)?;
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| WebhookError::Forged)?;
    let key = keys.key(key_id, now).await?;
    let message = signed_payload(timestamp, body);
    key.verify(&RSA_PKCS1_2048_8192_SHA256, &message, &signature)
        .map_err(|_| WebhookError::Forged)?;
    let signed_at = timestamp
        .parse()
        .map_err(|_| WebhookError::Unreadable("its timestamp is invalid".to_owned()))?;
    check_age(signed_at, now)?;
    parse_event(body)
}

fn parse_event(body: &[u8]) -> Result<TrackingEvent, WebhookError> {
    let ShipEngineEvent {
        resource_type,
        data,
    } = parse(body)?;
    if resource_type != TRACK {
        let reason = format!("its type is {resource_type}");
        return Err(WebhookError::Unreadable(reason));
    }
    Ok(TrackingEvent {
        id: fingerprint(body),
        tracking_number: data.tracking_number,
        status: data.status,
    })
}

fn fingerprint(body: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, body);
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::{KeyPair, KeySize},
        signature::RSA_PKCS1_SHA256,
    };
    use contracts::Contract;
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::keys::json_web_key;

    const SIGNED_AT: &str = "2026-11-24T12:00:00Z";

    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

    /// Keys that were fetched at `fetched_at`: only `k1`.
    fn keys(fetched_at: Timestamp) -> KeySet {
        KeySet::fetched(&[&json_web_key("k1", &KEY)], fetched_at)
    }

    fn now() -> Timestamp {
        SIGNED_AT.parse().unwrap()
    }

    fn sign(body: &[u8], time: &str) -> String {
        let mut signature = vec![0; KEY.public_modulus_len()];
        let message = signed_payload(time, body);
        KEY.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            &message,
            &mut signature,
        )
        .unwrap();
        BASE64_STANDARD.encode(signature)
    }

    fn headers(key_id: &str, time: &str, signature: &str) -> HeaderMap {
        [(KEY_ID, key_id), (TIMESTAMP, time), (SIGNATURE, signature)]
            .into_iter()
            .map(|(name, value)| {
                let value = value.parse().unwrap_or_else(|_| "?".parse().unwrap());
                (name.parse().unwrap(), value)
            })
            .collect()
    }

    fn signed_headers(body: &[u8]) -> HeaderMap {
        headers("k1", SIGNED_AT, &sign(body, SIGNED_AT))
    }

    fn delivery_event() -> Vec<u8> {
        let event = json!({
            "resource_url": "https://api.shipengine.com/v1/labels/se-1/track",
            "resource_type": "API_TRACK",
            "data": {
                "tracking_number": "9400001",
                "status_code": "DE",
                "status_description": "Delivered",
                "events": [],
            },
        });
        serde_json::to_vec(&event).unwrap()
    }

    #[tokio::test]
    async fn a_signed_event_is_read_and_can_be_serialized() {
        let body = delivery_event();
        let headers = signed_headers(&body);
        let event = verify(&headers, &body, &keys(now()), now()).await.unwrap();
        assert_eq!(event.tracking_number.as_deref(), Some("9400001"));
        assert_eq!(event.status, TrackingStatus::Delivered);
        let again = verify(&headers, &body, &keys(now()), now()).await.unwrap();
        assert_eq!(again.id, event.id);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<TrackingEvent>(&sent).unwrap(), event);
    }

    #[test]
    fn an_event_is_read_without_a_number_or_a_status() {
        for body in [
            json!({
                "resource_type": TRACK,
                "data": { "tracking_number": null, "status_code": null },
            }),
            json!({ "resource_type": TRACK, "data": { "status_description": "Unknown" } }),
            json!({ "resource_type": TRACK }),
        ] {
            let event = parse_event(body.to_string().as_bytes()).unwrap();
            assert_eq!(event.tracking_number, None);
            assert_eq!(event.status, TrackingStatus::Other);
        }
    }

    #[test]
    fn each_documented_event_is_read() {
        let contract = Contract::shipengine().unwrap();
        let schema = contract.event(TRACK).unwrap();
        let full = contract.full(&schema);
        let mut bodies = contract.variants(&schema);
        bodies.push((": minimal".to_owned(), contract.minimal(&schema)));
        for (place, data) in contract.variants(&contract.events.objects[TRACK]) {
            let mut body = full.clone();
            body["data"] = data;
            bodies.push((format!(".data{place}"), body));
        }
        // Events of other types are refused.
        bodies.retain(|(_, body)| body["resource_type"] == TRACK);
        for (place, body) in bodies {
            let event = parse_event(body.to_string().as_bytes());
            assert!(event.is_ok(), "{place}: {event:?}");
            let number = body["data"]["tracking_number"].as_str();
            assert_eq!(event.unwrap().tracking_number.as_deref(), number, "{place}");
        }
    }

    #[tokio::test]
    async fn a_signature_is_accepted_within_five_minutes_in_both_directions() {
        let body = delivery_event();
        let headers = signed_headers(&body);
        for (seconds, is_accepted) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let at = now() + SignedDuration::from_secs(seconds);
            let verified = verify(&headers, &body, &keys(at), at).await;
            assert_eq!(verified.is_ok(), is_accepted, "{seconds}");
            assert!(is_accepted || verified == Err(WebhookError::Stale));
        }
    }

    #[tokio::test]
    async fn unsigned_forged_and_unreadable_events_are_distinct_errors() {
        let body = delivery_event();
        for name in [KEY_ID, TIMESTAMP, SIGNATURE] {
            let mut headers = signed_headers(&body);
            headers.remove(name);
            let verified = verify(&headers, &body, &keys(now()), now()).await;
            assert_eq!(verified, Err(WebhookError::Missing), "{name}");
        }
        let other_kind = br#"{"resource_type":"API_BATCH","data":{}}"#;
        for no_event in [&b"{"[..], b"[]", other_kind] {
            let headers = signed_headers(no_event);
            let verified = verify(&headers, no_event, &keys(now()), now()).await;
            assert!(matches!(verified, Err(WebhookError::Unreadable(_))));
        }
        let unknown_key = headers("k2", SIGNED_AT, &sign(&body, SIGNED_AT));
        let verified = verify(&unknown_key, &body, &keys(now()), now()).await;
        assert_eq!(verified, Err(WebhookError::Forged));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn changing_any_byte_is_detected(
            at: prop::sample::Index, by in 1..=u8::MAX, part in 0..3_usize,
        ) {
            let mut body = delivery_event();
            let mut signature = sign(&body, SIGNED_AT).into_bytes();
            let mut time = SIGNED_AT.as_bytes().to_vec();
            let changed = [&mut body, &mut signature, &mut time].into_iter().nth(part).unwrap();
            let at = at.index(changed.len());
            changed[at] ^= by;
            let signature = String::from_utf8_lossy(&signature);
            let time = String::from_utf8_lossy(&time);
            let headers = headers("k1", &time, &signature);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let verified = runtime.block_on(verify(&headers, &body, &keys(now()), now()));
            prop_assert!(verified.is_err());
        }
    }
}
