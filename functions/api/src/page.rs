//! How much of a list one page holds.

use std::str::FromStr;

use orders::Invalid;
use serde::{Deserialize, Serialize};
use store::BadCursor;
use utoipa::ToSchema;

use crate::problem::{Kind, Problem};

pub(crate) const DEFAULT_LIMIT: u8 = 24;
const MAX_LIMIT: u8 = 100;

/// How much of a list one page holds, as the body of a search says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = u8, minimum = 1, maximum = 100, default = 24)]
pub(crate) struct PageLimit(u8);

impl PageLimit {
    pub(crate) const fn get(self) -> u8 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl TryFrom<i64> for PageLimit {
    type Error = Invalid;

    fn try_from(limit: i64) -> Result<Self, Invalid> {
        match u8::try_from(limit) {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(Self(limit)),
            _ => Err(Invalid("must be 1 to 100")),
        }
    }
}

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
