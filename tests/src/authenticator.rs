//! An authenticator app as on a phone: time-based one-time passwords (RFC 6238).

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Person, Response, Stack};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How long a code is valid, in seconds.
const STEP: i64 = 30;

/// An authenticator with the secret of one account.
#[derive(Debug, Clone)]
pub struct Authenticator(Vec<u8>);

impl Authenticator {
    /// Registers an authenticator through Cognito's API, with the person's access token.
    pub async fn of(stack: &Stack, person: &Person) -> Self {
        let call = async |action: &str, input: Value| -> Value {
            let target = format!("AWSCognitoIdentityProviderService.{action}");
            let response = Response::of(stack.aws_request(&target, &input)).await;
            response.with_status(200).json()
        };
        let token = &person.token;
        let begun = call("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        let secret = begun["SecretCode"].as_str();
        let authenticator = Self(decode_base32(secret.expect("Cognito should give a secret")));
        let code = json!({ "AccessToken": token, "UserCode": authenticator.code() });
        call("VerifySoftwareToken", code).await;
        let on = json!({ "Enabled": true, "PreferredMfa": true });
        let preference = json!({ "AccessToken": token, "SoftwareTokenMfaSettings": on });
        call("SetUserMFAPreference", preference).await;
        authenticator
    }

    /// The current code.
    pub fn code(&self) -> String {
        let counter = (Timestamp::now().as_second() / STEP).to_be_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &counter);
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0xf);
        let mut number = [0; 4];
        number.copy_from_slice(&tag[offset..offset + 4]);
        let number = u32::from_be_bytes(number) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

/// Decodes base 32. Other characters are ignored.
fn decode_base32(text: &str) -> Vec<u8> {
    let values = text
        .bytes()
        .filter_map(|letter| ALPHABET.iter().position(|it| *it == letter));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_usize, 0_u32);
    for value in values {
        bits = (bits << 5 | value) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
        }
    }
    bytes
}
