//! ShipEngine's events, signed with a private key whose public half it publishes.

use std::collections::HashMap;

use aws_lc_rs::{
    digest,
    signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, header::HeaderMap};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{WebhookError, check_age, header, read, signed};
use crate::{
    CallError,
    call::send,
    shipping::{Tracking, TrackingStatus, refused},
};

/// The headers with the signature, the key it was made with, and its time.
const SIGNATURE: &str = "x-shipengine-rsa-sha256-signature";
const KEY_ID: &str = "x-shipengine-rsa-sha256-key-id";
const TIMESTAMP: &str = "x-shipengine-timestamp";

/// What the provider calls the one event that is listened to.
const TRACK: &str = "API_TRACK";

/// How long the provider's keys are used before they are fetched anew, so that one that it gave up
/// is given up here, too.
const KEEP: SignedDuration = SignedDuration::from_hours(1);

/// How long a key id that is not known stays so: whoever makes ids up costs one call in this time.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// A parcel that has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackingEvent {
    /// Made of what the event says, for the provider gives it no name: the same however often it is
    /// delivered.
    pub id: String,
    /// What the carrier tracks the parcel by.
    pub tracking_number: String,
    /// How far it has come.
    pub status: TrackingStatus,
}

/// The provider's public keys, fetched when they are needed.
pub struct KeySet {
    http: Client,
    url: String,
    fetched: Mutex<Fetched>,
}

type PublicKey = RsaPublicKeyComponents<Vec<u8>>;

#[derive(Default)]
struct Fetched {
    keys: HashMap<String, PublicKey>,
    /// When they were asked for the last time, and what went wrong then.
    asked: Option<(Timestamp, Result<(), CallError>)>,
}

#[derive(Deserialize)]
struct JsonWebKeys {
    keys: Vec<JsonWebKey>,
}

#[derive(Deserialize)]
struct JsonWebKey {
    kid: String,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct ShipEngineEvent {
    resource_type: String,
    data: Tracking,
}

/// The event in `body`, if it was signed with one of the `keys` within five minutes of `now`.
pub async fn verify(
    headers: &HeaderMap,
    body: &[u8],
    keys: &KeySet,
    now: Timestamp,
) -> Result<TrackingEvent, WebhookError> {
    let key_id = header(headers, KEY_ID)?;
    let signature = header(headers, SIGNATURE)?;
    let timestamp = header(headers, TIMESTAMP)?;
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| WebhookError::Forged)?;
    let key = keys.key(key_id, now).await?;
    let message = signed(timestamp, body);
    key.verify(&RSA_PKCS1_2048_8192_SHA256, &message, &signature)
        .map_err(|_| WebhookError::Forged)?;
    let signed_at = timestamp
        .parse()
        .map_err(|_| WebhookError::Unreadable("its time is no time".to_owned()))?;
    check_age(signed_at, now)?;
    event(body)
}

fn event(body: &[u8]) -> Result<TrackingEvent, WebhookError> {
    let ShipEngineEvent {
        resource_type,
        data,
    } = read(body)?;
    if resource_type != TRACK {
        return Err(WebhookError::Unreadable(format!("it is a {resource_type}")));
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

impl KeySet {
    /// The keys that are published at `url`, such as `https://api.shipengine.com/jwks`.
    pub fn new(http: Client, url: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            fetched: Mutex::default(),
        }
    }

    /// The key of that id. An unknown one is forged, unless the keys could not be had.
    async fn key(&self, id: &str, now: Timestamp) -> Result<PublicKey, WebhookError> {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_due(id, now) {
            let answer = self.fetch().await;
            fetched.asked = Some((now, answer.as_ref().map(drop).map_err(Clone::clone)));
            if let Ok(keys) = answer {
                fetched.keys = keys;
            }
        }
        match (fetched.keys.get(id), &fetched.asked) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some((_, Err(error)))) => Err(WebhookError::NoKeys(error.clone())),
            (None, _) => Err(WebhookError::Forged),
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, PublicKey>, CallError> {
        let set: JsonWebKeys = send(self.http.get(&self.url), refused).await?;
        Ok(set.keys.into_iter().filter_map(JsonWebKey::read).collect())
    }
}

impl Fetched {
    fn is_due(&self, id: &str, now: Timestamp) -> bool {
        let lasts = if self.keys.contains_key(id) {
            KEEP
        } else {
            PAUSE
        };
        self.asked
            .as_ref()
            .is_none_or(|(at, _)| now.duration_since(*at) >= lasts)
    }
}

impl JsonWebKey {
    /// Its id and itself; nothing, if it is no RSA key.
    fn read(self) -> Option<(String, PublicKey)> {
        let number = |text: Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text?).ok();
        let (n, e) = (number(self.n)?, number(self.e)?);
        Some((self.kid, RsaPublicKeyComponents { n, e }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::{KeyPair, KeySize},
        signature::{KeyPair as _, RSA_PKCS1_SHA256},
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const SIGNED_AT: &str = "2026-11-24T12:00:00Z";

    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

    /// The key as the provider publishes it.
    fn published(id: &str) -> Value {
        // PKCS #1: two headers and a sign byte before the 256 bytes of n, one header before e.
        let der = KEY.public_key().as_ref();
        let (n, e) = (&der[9..265], &der[267..]);
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "kid": id,
            "n": BASE64_URL_SAFE_NO_PAD.encode(n),
            "e": BASE64_URL_SAFE_NO_PAD.encode(e),
        })
    }

    /// Keys that were fetched at `asked` and hold the one of the id `k1`.
    fn keys(asked: Timestamp) -> KeySet {
        // Nobody listens there: what is fetched anew fails.
        let keys = KeySet::new(crate::client().unwrap(), "http://127.0.0.1:1/jwks");
        let key: JsonWebKey = serde_json::from_value(published("k1")).unwrap();
        let fetched = Fetched {
            keys: key.read().into_iter().collect(),
            asked: Some((asked, Ok(()))),
        };
        KeySet {
            fetched: Mutex::new(fetched),
            ..keys
        }
    }

    fn now() -> Timestamp {
        SIGNED_AT.parse().unwrap()
    }

    fn sign(body: &[u8], time: &str) -> String {
        let mut signature = vec![0; KEY.public_modulus_len()];
        let message = signed(time, body);
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

    fn delivered() -> Vec<u8> {
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
    async fn a_signed_event_is_read_and_travels_as_json() {
        let body = delivered();
        let headers = signed_headers(&body);
        let event = verify(&headers, &body, &keys(now()), now()).await.unwrap();
        assert_eq!(event.tracking_number, "9400001");
        assert_eq!(event.status, TrackingStatus::Delivered);
        let again = verify(&headers, &body, &keys(now()), now()).await.unwrap();
        assert_eq!(again.id, event.id);
        let sent = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<TrackingEvent>(&sent).unwrap(), event);
    }

    #[tokio::test]
    async fn five_minutes_either_way_are_tolerated() {
        let body = delivered();
        let headers = signed_headers(&body);
        for (seconds, fits) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let at = now() + SignedDuration::from_secs(seconds);
            let verified = verify(&headers, &body, &keys(at), at).await;
            assert_eq!(verified.is_ok(), fits, "{seconds}");
            assert!(fits || verified == Err(WebhookError::Stale));
        }
    }

    #[tokio::test]
    async fn what_is_not_signed_or_no_event_is_told_apart() {
        let body = delivered();
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

    #[tokio::test]
    async fn while_the_keys_cannot_be_had_a_known_one_serves_and_an_unknown_one_is_not_judged() {
        let keys = keys(now());
        let later = now() + KEEP;
        assert!(keys.key("k1", later).await.is_ok());
        let unknown = keys.key("k2", later).await;
        assert!(
            matches!(unknown, Err(WebhookError::NoKeys(_))),
            "{unknown:?}"
        );
    }

    /// Publishes a set of one key that has another id each time, and says how often it was asked.
    async fn publisher() -> (String, tokio::sync::watch::Receiver<u32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (count, counted) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                let mut request = [0; 4096];
                assert_ne!(socket.read(&mut request).await.unwrap(), 0);
                let set = json!({ "keys": [published(&format!("k{}", *count.borrow()))] });
                let set = set.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{set}",
                    set.len()
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, counted)
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_for_an_unknown_id_once_a_minute() {
        let (url, asked) = publisher().await;
        let keys = KeySet::new(crate::client().unwrap(), url);
        for _ in 0..3 {
            assert!(keys.key("k1", now()).await.is_ok());
            assert_eq!(
                keys.key("k2", now()).await.err(),
                Some(WebhookError::Forged)
            );
        }
        assert_eq!(*asked.borrow(), 1);
        assert!(keys.key("k2", now() + PAUSE).await.is_ok());
        assert_eq!(*asked.borrow(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_byte_can_be_changed(at: prop::sample::Index, by in 1..=u8::MAX, part in 0..3_usize) {
            let mut body = delivered();
            let mut signature = sign(&body, SIGNED_AT).into_bytes();
            let mut time = SIGNED_AT.as_bytes().to_vec();
            let changed = [&mut body, &mut signature, &mut time].into_iter().nth(part).unwrap();
            let at = at.index(changed.len());
            changed[at] ^= by;
            let (signature, time) = (String::from_utf8_lossy(&signature), String::from_utf8_lossy(&time));
            let headers = headers("k1", &time, &signature);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let verified = runtime.block_on(verify(&headers, &body, &keys(now()), now()));
            prop_assert!(verified.is_err());
        }
    }
}
