//! ShipEngine's webhook signatures: RSA, with a public key that anyone can fetch.

use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{Json, extract::State as Extract};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use uuid::Uuid;

use crate::{
    clock,
    serve::SimulatorError,
    storage::{Read, Storage},
};

/// The document with the key.
const SIGNING_KEY: &str = "signing_key";

/// The private key, as it is stored.
#[derive(Serialize, Deserialize)]
struct SigningKey {
    id: String,
    /// PKCS #8, in base64.
    private: String,
}

impl SigningKey {
    /// The key. It is generated at the first use.
    fn of(storage: &Storage) -> anyhow::Result<Self> {
        if let Some(stored) = storage.snapshot()?.get(SIGNING_KEY)? {
            return Ok(stored);
        }
        storage.transact_now(|state| {
            if let Some(stored) = state.get(SIGNING_KEY)? {
                return Ok(stored);
            }
            let pair =
                RsaKeyPair::generate(KeySize::Rsa2048).context("cannot generate a signing key")?;
            let private: Pkcs8V1Der<'_> = pair.as_der().context("cannot encode the signing key")?;
            let key = Self {
                id: Uuid::new_v4().to_string(),
                private: BASE64_STANDARD.encode(private.as_ref()),
            };
            state.put(SIGNING_KEY, &key)?;
            Ok(key)
        })
    }

    fn pair(&self) -> anyhow::Result<RsaKeyPair> {
        let private = BASE64_STANDARD.decode(&self.private)?;
        RsaKeyPair::from_pkcs8(&private).context("cannot decode the signing key")
    }
}

/// The signature headers of `body`: the key's id, the time, and the signature of time and body.
pub(super) fn sign(
    storage: &Storage,
    _secret: &str,
    body: &str,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let key = SigningKey::of(storage)?;
    let pair = key.pair()?;
    let time = clock::now().to_string();
    let message = format!("{time}.{body}");
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .context("cannot sign the webhook")?;
    Ok(vec![
        ("x-shipengine-rsa-sha256-key-id", key.id),
        ("x-shipengine-timestamp", time),
        (
            "x-shipengine-rsa-sha256-signature",
            BASE64_STANDARD.encode(signature),
        ),
    ])
}

/// The public key, as a JSON Web Key Set.
pub(super) async fn key_set(
    Extract(storage): Extract<Arc<Storage>>,
) -> Result<Json<Value>, SimulatorError> {
    let key = SigningKey::of(&storage)?;
    let pair = key.pair()?;
    let public = pair.public_key();
    let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let key = json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key.id,
        "n": number(public.modulus().big_endian_without_leading_zero()),
        "e": number(public.exponent().big_endian_without_leading_zero()),
    });
    Ok(Json(json!({ "keys": [key] })))
}
