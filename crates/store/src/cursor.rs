//! Pages of a list, and the opaque cursor that leads from one to the next.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::error::StoreError;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` rows. A query returns [`one_more`], which shows that there is a
    /// next page; `position` of the last item leads to it.
    pub(crate) fn read<R, P: Serialize>(
        rows: &[R],
        limit: u8,
        read: impl Fn(&R) -> Result<T, StoreError>,
        position: impl Fn(&T) -> P,
    ) -> Result<Self, StoreError> {
        let shown = rows.iter().take(limit.into());
        let items: Vec<T> = shown.map(read).collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| rows.len() > items.len());
        let next_cursor = last.map(|last| encode(&position(last)));
        Ok(Self { items, next_cursor })
    }
}

/// The number of rows to query for a page of `limit`.
pub(crate) fn one_more(limit: u8) -> i64 {
    i64::from(limit) + 1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_to_the_next_only_if_there_are_more_rows() {
        let page = |rows: &[i64]| Page::read(rows, 2, |row| Ok(*row), |last| *last).unwrap();
        assert_eq!(page(&[]).next_cursor, None);
        assert_eq!(page(&[1, 2]).next_cursor, None);
        let first = page(&[1, 2, 3]);
        assert_eq!(first.items, [1, 2]);
        assert_eq!(decode::<i64>(&first.next_cursor.unwrap()), Ok(2));
        assert_eq!(one_more(2), 3);
    }
}
