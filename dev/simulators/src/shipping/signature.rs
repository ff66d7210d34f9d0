//! How ShipEngine signs its webhooks: with a private key, whose public half anybody can have.

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
    serve::Broken,
    storage::{Read, Storage},
};

/// The document that holds the key.
const SIGNING_KEY: &str = "signing_key";

/// The private key, as it is kept.
#[derive(Serialize, Deserialize)]
struct SigningKey {
    id: String,
    /// PKCS #8, in base64.
    private: String,
}

impl SigningKey {
    /// The key, which is made when it is needed for the first time.
    fn of(storage: &Storage) -> anyhow::Result<Self> {
        if let Some(kept) = storage.snapshot()?.get(SIGNING_KEY)? {
            return Ok(kept);
        }
        storage.transact_now(|state| {
            if let Some(kept) = state.get(SIGNING_KEY)? {
                return Ok(kept);
            }
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).context("no key was made")?;
            let private: Pkcs8V1Der<'_> = pair.as_der().context("the key was not written")?;
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
        RsaKeyPair::from_pkcs8(&private).context("the key was not read")
    }
}

/// The headers that sign `body`: the key's name, the time, and the signature of both time and body.
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
    .context("nothing was signed")?;
    Ok(vec![
        ("x-shipengine-rsa-sha256-key-id", key.id),
        ("x-shipengine-timestamp", time),
        (
            "x-shipengine-rsa-sha256-signature",
            BASE64_STANDARD.encode(signature),
        ),
    ])
}

/// The public key, in the form that JSON has for it.
pub(super) async fn key_set(
    Extract(storage): Extract<Arc<Storage>>,
) -> Result<Json<Value>, Broken> {
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
