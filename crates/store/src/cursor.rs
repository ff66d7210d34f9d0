//! Pages of a list, and the opaque cursor that leads from one to the next.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Leads to the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// A cursor that no page of this list gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this cursor does not come from a page of this list")]
pub struct BadCursor;

pub(crate) fn encode(position: &impl Serialize) -> String {
    // Positions are strings and ids, which JSON can hold.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

pub(crate) fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, BadCursor> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .map_err(|_| BadCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| BadCursor)
}
