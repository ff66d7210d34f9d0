//! Verifies access tokens in containers, where there is no API Gateway to do it.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use providers::{KeyError, KeySet};
use serde_json::{Map, Value};

use crate::problem::{Problem, ProblemType};

/// The claims of a token, by name.
pub(crate) type Claims = Map<String, Value>;

/// Verifies the tokens of one user pool for one app client.
pub struct TokenVerifier {
    keys: KeySet,
    validation: Validation,
    client: String,
}

impl TokenVerifier {
    /// Accepts tokens that `issuer` signed with one of its `keys` for the app `client`.
    pub fn new(keys: KeySet, issuer: &str, client: String) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Access tokens of Cognito have `client_id` instead.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[issuer]);
        Self {
            keys,
            validation,
            client,
        }
    }

    /// The claims of a valid token. 401 for an invalid one, 503 while the issuer's keys are not
    /// available.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, Problem> {
        let id = decode_header(token).ok().and_then(|header| header.kid);
        let id = id.ok_or_else(Problem::unauthorized)?;
        let key = self.keys.key(&id, Timestamp::now()).await;
        let key = key.map_err(|error| match error {
            KeyError::Unknown => Problem::unauthorized(),
            KeyError::Unavailable(error) => {
                tracing::error!(%error, "token.keys_unavailable");
                let detail = "The access token cannot be verified now. Retry in five seconds.";
                Problem::new(ProblemType::Unavailable, detail).retry_after(5)
            }
        })?;
        let key = DecodingKey::from_rsa_raw_components(&key.n, &key.e);
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|_| Problem::unauthorized())?
            .claims;
        let names_client = |name| claims.get(name).and_then(Value::as_str) == Some(&self.client);
        if names_client("client_id") || names_client("aud") {
            Ok(claims)
        } else {
            Err(Problem::unauthorized())
        }
    }
}
