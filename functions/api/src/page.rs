//! How much of a list one page holds.

use std::str::FromStr;

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

/// Where a page begins, `first` if not said, and how many it holds; of a list that has no other
/// parameters.
pub(crate) fn of<From: FromStr<Err = BadCursor>>(
    first: From,
    parameters: Vec<(String, String)>,
) -> Result<(From, u8), Problem> {
    let (mut from, mut limit) = (first, DEFAULT_LIMIT);
    for (name, value) in parameters {
        match name.as_str() {
            "limit" => limit = self::limit(&value)?,
            "cursor" => from = value.parse()?,
            _ => {
                let rule = "is not a parameter of this list";
                return Err(Problem::new(Kind::Validation, rule).at(name));
            }
        }
    }
    Ok((from, limit))
}

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(Kind::InvalidCursor, error.to_string()).at("cursor")
    }
}
