//! How much of a list one page holds.

use store::BadCursor;

use crate::problem::{Kind, Problem};

pub(crate) const DEFAULT_LIMIT: u8 = 24;
const MAX_LIMIT: u8 = 100;

/// The `limit` parameter.
pub(crate) fn limit(value: &str) -> Result<u8, Problem> {
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(Problem::new(Kind::Validation, "must be 1 to 100").at("limit")),
    }
}

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(Kind::InvalidCursor, error.to_string()).at("cursor")
    }
}
