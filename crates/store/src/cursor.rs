//! Pages of a list, and the opaque cursor that leads from one to the next.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

/// Text that no page of this list returned as its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this cursor does not come from a page of this list")]
pub struct BadCursor;

pub(crate) fn encode(position: &impl Serialize) -> String {
    // Positions hold strings, ids and numbers, so their serialization cannot fail.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

pub(crate) fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, BadCursor> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .map_err(|_| BadCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| BadCursor)
}
