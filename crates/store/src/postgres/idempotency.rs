//! Idempotency keys: each request under a key is carried out once, and repeated requests get the
//! response of the first.

use orders::{IdempotencyKey, RequestHash, ShopperId};
use tokio_postgres::Row;

use super::{IdempotencyKeys, database::Parameters};
use crate::error::StoreError;

/// A caller's claim to have a request carried out once.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose key it is; the same key of another caller is another key.
    pub owner: ShopperId,
    /// The key.
    pub key: IdempotencyKey,
    /// What it was used for.
    pub request: RequestHash,
}

/// What a request under an idempotency key is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The body, byte for byte what the first call was answered.
    pub body: String,
    /// Whether it was an earlier call that did the work.
    pub replayed: bool,
}

/// What an idempotency key has been used for.
#[derive(Debug)]
pub enum KeyUse {
    /// Nothing.
    None,
    /// The same request, and how it was answered.
    Same(StoredResponse),
    /// Another request.
    Other,
}

const KEY_USE: &str =
    "select request_hash, answer from idempotency_keys where owner = $1 and key = $2";

impl IdempotencyKeys<'_> {
    /// The response body of the first request with the key, even if that asked for something else.
    pub async fn find_response(
        self,
        owner: ShopperId,
        key: &IdempotencyKey,
    ) -> Result<Option<String>, StoreError> {
        let row = self.find_key(owner, key).await?;
        Ok(row.map(|row| row.try_get("answer")).transpose()?)
    }

    /// What the claim's key has been used for so far.
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
