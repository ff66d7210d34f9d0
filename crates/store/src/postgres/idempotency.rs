//! Idempotency keys: each request under a key is carried out once, and repeated requests get the
//! response of the first.

use orders::{IdempotencyKey, RequestHash, ShopperId};
use tokio_postgres::Row;

use super::{IdempotencyKeys, database::Parameters};
use crate::error::StoreError;

/// A caller's claim to have a request carried out once.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The caller. The same key of another caller is a different key.
    pub owner: ShopperId,
    /// The key.
    pub key: IdempotencyKey,
    /// The hash of the request.
    pub request: RequestHash,
}

/// The response to a request under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The body, byte for byte that of the first response.
    pub body: String,
    /// Whether an earlier call did the work.
    pub replayed: bool,
}

/// What an idempotency key has been used for.
#[derive(Debug)]
pub enum KeyUse {
    /// Nothing.
    None,
    /// The same request, and its response.
    Same(StoredResponse),
    /// Another request.
    Other,
}

const KEY_USE: &str =
    "select request_hash, answer from idempotency_keys where owner = $1 and key = $2";

impl IdempotencyKeys<'_> {
    /// Returns the response body of the first request with the key, even if that was a different
    /// request.
    pub async fn find_response(
        self,
        owner: ShopperId,
        key: &IdempotencyKey,
    ) -> Result<Option<String>, StoreError> {
        let row = self.find_key(owner, key).await?;
        Ok(row.map(|row| row.try_get("answer")).transpose()?)
    }

    /// Returns what the claim's key has been used for so far.
    pub async fn find_use(self, claim: &Claim) -> Result<KeyUse, StoreError> {
        let Some(row) = self.find_key(claim.owner, &claim.key).await? else {
            return Ok(KeyUse::None);
        };
        Ok(
            if row.try_get::<_, &[u8]>("request_hash")? == claim.request.0 {
                KeyUse::Same(StoredResponse {
                    body: row.try_get("answer")?,
                    replayed: true,
                })
            } else {
                KeyUse::Other
            },
        )
    }

    async fn find_key(
        self,
        owner: ShopperId,
        key: &IdempotencyKey,
    ) -> Result<Option<Row>, StoreError> {
        let parameters: Parameters<'_> = &[&owner.0, &key.as_str()];
        self.0.read_optional(KEY_USE, parameters).await
    }
}
