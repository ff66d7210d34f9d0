//! The page of a list: its cursor and its size.

use std::str::FromStr;

use orders::Invalid;
use serde::{Deserialize, Serialize};
use store::BadCursor;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemType};

const DEFAULT_LIMIT: u8 = 24;
const MAX_LIMIT: u8 = 100;

/// The most items of one page.
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

/// The parameters of a list that has no filters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// 1 to 100, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl PageQuery {
    /// Where the page begins, which is `first` without a cursor, and its limit.
    pub(crate) fn resolve<F>(self, first: F) -> Result<(F, u8), BadCursor>
    where
        F: FromStr<Err = BadCursor>,
    {
        let from = self.cursor.map(|cursor| cursor.parse()).transpose()?;
        Ok((from.unwrap_or(first), self.limit.get()))
    }
}

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(ProblemType::InvalidCursor, error.to_string()).at("cursor")
    }
}
