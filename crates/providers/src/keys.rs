//! Public keys from a JSON Web Key Set (RFC 7517), fetched when they are needed.

use std::collections::HashMap;

use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{CallError, call::send, shipping::parse_error};

/// How long keys are used before they are fetched again, so that a revoked key is not accepted for
/// longer.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

/// The shortest time between two fetches because of an unknown key id. It limits the calls that
/// forged ids cause.
const MIN_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The modulus and the exponent of a published key.
pub type PublicKey = RsaPublicKeyComponents<Vec<u8>>;

/// The RSA keys that are published at one URL.
pub struct KeySet {
    http: Client,
    url: String,
    fetched: Mutex<Fetched>,
}

/// Why a key is not returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No published key has this id.
    #[error("no key has this id")]
    Unknown,
    /// The keys could not be fetched.
    #[error("the public keys could not be fetched: {0}")]
    Unavailable(CallError),
}

#[derive(Default)]
struct Fetched {
    keys: HashMap<String, PublicKey>,
    /// The time and the result of the last fetch.
    last_fetch: Option<(Timestamp, Result<(), CallError>)>,
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
    /// Returns the keys that are published at `url`, such as `https://api.shipengine.com/jwks`.
    pub fn new(http: Client, url: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            fetched: Mutex::default(),
        }
    }

    /// Returns the key with this id. Fetches the keys if they are too old or the id is unknown.
    pub async fn key(&self, id: &str, now: Timestamp) -> Result<PublicKey, KeyError> {
        let mut fetched = self.fetched.lock().await;
        if fetched.needs_fetch(id, now) {
            let result = self.fetch().await;
            fetched.last_fetch = Some((now, result.as_ref().map(drop).map_err(Clone::clone)));
            if let Ok(keys) = result {
                fetched.keys = keys;
            }
        }
        match (fetched.keys.get(id), &fetched.last_fetch) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some((_, Err(error)))) => Err(KeyError::Unavailable(error.clone())),
            (None, _) => Err(KeyError::Unknown),
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, PublicKey>, CallError> {
        let set: JsonWebKeys = send(self.http.get(&self.url), parse_error).await?;
        Ok(set
            .keys
            .into_iter()
            .filter_map(JsonWebKey::into_rsa)
            .collect())
    }
}

impl Fetched {
    fn needs_fetch(&self, id: &str, now: Timestamp) -> bool {
        let interval = if self.keys.contains_key(id) {
            MAX_AGE
        } else {
            MIN_INTERVAL
        };
        self.last_fetch
            .as_ref()
            .is_none_or(|(at, _)| now.duration_since(*at) >= interval)
    }
}

impl JsonWebKey {
    /// Returns the key and its id, or `None` if it is not an RSA key.
    fn into_rsa(self) -> Option<(String, PublicKey)> {
        let number = |text: Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text?).ok();
        let (n, e) = (number(self.n)?, number(self.e)?);
        Some((self.kid, RsaPublicKeyComponents { n, e }))
    }
}

#[cfg(test)]
impl KeySet {
    /// Returns a set with these keys, fetched at `fetched_at`. Another fetch fails.
    pub(crate) fn fetched(keys: &[&serde_json::Value], fetched_at: Timestamp) -> Self {
        let read = |key: &&serde_json::Value| {
            serde_json::from_value::<JsonWebKey>((*key).clone())
                .unwrap()
                .into_rsa()
        };
        Self {
            fetched: Mutex::new(Fetched {
                keys: keys.iter().filter_map(read).collect(),
                last_fetch: Some((fetched_at, Ok(()))),
            }),
            ..Self::new(crate::client().unwrap(), "http://127.0.0.1:1/jwks")
        }
    }
}

/// Returns a key as a JSON Web Key.
#[cfg(test)]
pub(crate) fn json_web_key(id: &str, key: &aws_lc_rs::rsa::KeyPair) -> serde_json::Value {
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
    async fn without_the_publisher_a_known_key_is_used_and_an_unknown_one_is_unavailable() {
        let keys = KeySet::fetched(&[&json_web_key("k1", &KEY)], now());
        let later = now() + MAX_AGE;
        assert!(keys.key("k1", later).await.is_ok());
        let unknown = keys.key("k2", later).await;
        assert!(matches!(unknown, Err(KeyError::Unavailable(_))));
    }

    /// Publishes a set of one key, with another id at each fetch: `k1`, `k2` and so on. Returns the
    /// URL and the number of fetches.
    async fn start_publisher() -> (String, tokio::sync::watch::Receiver<u32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (count, fetches) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                let mut request = [0; 4096];
                assert_ne!(socket.read(&mut request).await.unwrap(), 0);
                let set = json!({ "keys": [json_web_key(&format!("k{}", *count.borrow()), &KEY)] });
                let set = set.to_string();
                let response = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{set}",
                    set.len()
                );
                socket.write_all(response.as_bytes()).await.unwrap();
            }
        });
        (url, fetches)
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_for_an_unknown_id_once_a_minute() {
        let (url, fetches) = start_publisher().await;
        let keys = KeySet::new(crate::client().unwrap(), url);
        for _ in 0..3 {
            assert!(keys.key("k1", now()).await.is_ok());
            assert_eq!(keys.key("k2", now()).await.err(), Some(KeyError::Unknown));
        }
        assert_eq!(*fetches.borrow(), 1);
        assert!(keys.key("k2", now() + MIN_INTERVAL).await.is_ok());
        assert_eq!(*fetches.borrow(), 2);
    }
}
