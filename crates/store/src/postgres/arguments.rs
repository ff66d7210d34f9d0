//! Arguments of the database's functions. Each function takes one JSON object, whose members have
//! the names of columns (`migrations/V19__named_arguments.sql`). The types here write a value as
//! exactly as a parameter of the column's type does.

use std::fmt;

use jiff::Timestamp;
use orders::{IdempotencyKey, ShopperId};
use serde::{Serialize, Serializer};

use super::idempotency::Claim;

/// A `timestamptz`, truncated to microseconds as a parameter is: PostgreSQL would round the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamptz(pub(crate) Timestamp);

/// A `bytea`, in hexadecimal.
#[derive(Clone, Copy)]
pub(crate) struct Bytea<'a>(pub(crate) &'a [u8]);

/// A claim and the response to its request: a row of `idempotency_keys`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct AnsweredClaim<'a> {
    owner: ShopperId,
    key: &'a IdempotencyKey,
    request_hash: Bytea<'a>,
    answer: &'a str,
}

impl<'a> AnsweredClaim<'a> {
    pub(crate) fn new(claim: &'a Claim, answer: &'a str) -> Self {
        Self {
            owner: claim.owner,
            key: &claim.key,
            request_hash: Bytea(&claim.request.0),
            answer,
        }
    }
}

impl Serialize for Timestamptz {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

impl fmt::Debug for Bytea<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r"\x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Bytea<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use orders::RequestHash;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_timestamp_is_truncated_to_microseconds() {
        for (exact, written) in [
            (
                "2026-11-30T21:00:00.123456789Z",
                "2026-11-30T21:00:00.123456Z",
            ),
            (
                "2026-11-30T21:00:00.9999999Z",
                "2026-11-30T21:00:00.999999Z",
            ),
            ("2026-11-30T21:00:00Z", "2026-11-30T21:00:00.000000Z"),
        ] {
            let timestamp = Timestamptz(exact.parse().unwrap());
            assert_eq!(serde_json::to_value(timestamp).unwrap(), json!(written));
        }
    }

    #[test]
    fn a_claim_is_a_row_of_idempotency_keys() {
        let mut request = RequestHash([0; 32]);
        request.0[0] = 0xa0;
        request.0[31] = 0x0f;
        let claim = Claim {
            owner: ShopperId(Uuid::nil()),
            key: "a-key".parse().unwrap(),
            request,
        };
        let row = serde_json::to_value(AnsweredClaim::new(&claim, "{}")).unwrap();
        let expected = json!({
            "owner": "00000000-0000-0000-0000-000000000000",
            "key": "a-key",
            "request_hash": format!(r"\xa0{}0f", "00".repeat(30)),
            "answer": "{}",
        });
        assert_eq!(row, expected);
    }
}
