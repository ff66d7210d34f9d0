//! Idempotency keys as Stripe keeps them: the first answer of begun work is told again for 24 hours,
//! and a key stands for one endpoint and one set of parameters.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Refusal};
use crate::storage::{StorageError, Table, Transaction};

const KEYS: Table = TableDefinition::new("idempotency_keys");

/// How long a key is remembered.
const MEMORY: SignedDuration = SignedDuration::from_hours(24);

/// The longest key.
pub const MAX_KEY_CHARS: usize = 255;

#[derive(Serialize, Deserialize)]
struct Remembered {
    at: Timestamp,
    endpoint: String,
    params: String,
    answer: Answer,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// The key.
    pub key: &'a str,
    /// The path of the call.
    pub endpoint: &'a str,
    /// Its parameters in canonical form.
    pub params: &'a str,
}

impl Purpose<'_> {
    /// The answer that was given for the key, or a refusal when the key stood for something else.
    pub fn recall(
        self,
        transaction: &Transaction,
        now: Timestamp,
    ) -> Result<Option<Answer>, StorageError> {
        let found: Option<Remembered> = transaction.get(KEYS, self.key)?;
        let Some(first) = found.filter(|first| now.duration_since(first.at) < MEMORY) else {
            return Ok(None);
        };
        let key = self.key;
        let differs = if first.endpoint != self.endpoint {
            Some(format!(
                "Keys for idempotent requests can only be used for the same endpoint they were \
                 first used for ('{}' vs '{}'). Try using a key other than '{key}'.",
                self.endpoint, first.endpoint
            ))
        } else if first.params != self.params {
            Some(format!(
                "Keys for idempotent requests can only be used with the same parameters they \
                 were first used with. Try using a key other than '{key}'."
            ))
        } else {
            None
        };
        Ok(Some(match differs {
            Some(message) => Refusal::new(400, "idempotency_error", message).into(),
            None => Answer {
                replayed: true,
                ..first.answer
            },
        }))
    }

    /// Keeps the answer for the key.
    pub fn remember(
        self,
        transaction: &Transaction,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let remembered = Remembered {
            at: now,
            endpoint: self.endpoint.to_owned(),
            params: self.params.to_owned(),
            answer: answer.clone(),
        };
        transaction.put(KEYS, self.key, &remembered)
    }
}

/// The keys of the calls that are under way.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<String>>>);

/// Holds a key until the call ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    keys: InFlight,
    key: String,
}

impl InFlight {
    /// Claims a key, unless another call has it.
    pub fn claim(&self, key: &str) -> Result<Claim, Refusal> {
        if self.lock().insert(key.to_owned()) {
            return Ok(Claim {
                keys: self.clone(),
                key: key.to_owned(),
            });
        }
        let message = format!(
            "There is currently another in-progress request using this idempotency key: {key}."
        );
        Err(Refusal::new(409, "invalid_request_error", message).code("idempotency_key_in_use"))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}
