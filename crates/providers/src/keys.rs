//! Public keys that somebody publishes as a JSON Web Key Set (RFC 7517), fetched when they are needed.

use std::collections::HashMap;

use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{CallError, call::send, shipping::refused};

/// How long keys are used before they are fetched anew, so that one that its owner gave up is given up
/// here, too.
const KEEP: SignedDuration = SignedDuration::from_hours(1);

/// How long an unknown key id is not asked for again: invented ids cost one call in this time.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// The modulus and the exponent, as they were published.
pub type PublicKey = RsaPublicKeyComponents<Vec<u8>>;

/// The RSA keys that are published at one address.
pub struct KeySet {
    http: Client,
    url: String,
    fetched: Mutex<Fetched>,
}

/// Why there is no key of an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Its owner publishes none.
    #[error("no key has this id")]
    Unknown,
    /// The keys could not be fetched.
    #[error("the public keys could not be fetched: {0}")]
    Unavailable(CallError),
}

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

impl KeySet {
    /// The keys that are published at `url`, such as `https://api.shipengine.com/jwks`.
    pub fn new(http: Client, url: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            fetched: Mutex::default(),
        }
    }

    /// The key of that id.
    pub async fn key(&self, id: &str, now: Timestamp) -> Result<PublicKey, KeyError> {
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
            (None, Some((_, Err(error)))) => Err(KeyError::Unavailable(error.clone())),
            (None, _) => Err(KeyError::Unknown),
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
impl KeySet {
    /// These keys, as they were published at `asked`; nothing can be fetched any more.
    pub(crate) fn known(keys: &[&serde_json::Value], asked: Timestamp) -> Self {
        let read = |key: &&serde_json::Value| {
            serde_json::from_value::<JsonWebKey>((*key).clone())
                .unwrap()
                .read()
        };
        Self {
            fetched: Mutex::new(Fetched {
                keys: keys.iter().filter_map(read).collect(),
                asked: Some((asked, Ok(()))),
            }),
            ..Self::new(crate::client().unwrap(), "http://127.0.0.1:1/jwks")
        }
    }
}

/// A key as its owner publishes it.
#[cfg(test)]
pub(crate) fn published(id: &str, key: &aws_lc_rs::rsa::KeyPair) -> serde_json::Value {
    use aws_lc_rs::signature::KeyPair;
    // PKCS #1: two headers and a sign byte before the 256 bytes of n, one header before e.
    let der = key.public_key().as_ref();
    let (n, e) = (&der[9..265], &der[267..]);
    serde_json::json!({
        "kty": "RSA",
        "alg": "RS256",
        "kid": id,
        "n": BASE64_URL_SAFE_NO_PAD.encode(n),
        "e": BASE64_URL_SAFE_NO_PAD.encode(e),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn while_the_keys_cannot_be_had_a_known_one_serves_and_an_unknown_one_is_not_judged() {
        let keys = KeySet::known(&[&published("k1", &KEY)], now());
        let later = now() + KEEP;
        assert!(keys.key("k1", later).await.is_ok());
        let unknown = keys.key("k2", later).await;
        assert!(matches!(unknown, Err(KeyError::Unavailable(_))));
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
                let set = json!({ "keys": [published(&format!("k{}", *count.borrow()), &KEY)] });
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
            assert_eq!(keys.key("k2", now()).await.err(), Some(KeyError::Unknown));
        }
        assert_eq!(*asked.borrow(), 1);
        assert!(keys.key("k2", now() + PAUSE).await.is_ok());
        assert_eq!(*asked.borrow(), 2);
    }
}
