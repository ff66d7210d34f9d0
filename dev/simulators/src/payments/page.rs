//! Pagination of lists.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiResponse, params::Params, view};
use crate::clock::from_shown;
#[cfg(doc)]
use crate::storage::new_id;

/// The default and the largest page size.
const DEFAULT_PAGE: i64 = 10;
const MAX_PAGE: i64 = 100;

/// The page of a list that a call requests.
pub(super) struct PageRequest {
    limit: usize,
    /// The id after which it begins; `None` for the first page.
    pub(super) after: Option<String>,
    /// Unix seconds, inclusive.
    created_from: Option<i64>,
    /// Unix seconds, exclusive.
    created_before: Option<i64>,
}

/// A page of objects, newest first.
pub(super) struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

impl PageRequest {
    /// Reads the parameters; `cursor` is the name of the one with the last id of the page before.
    pub(super) fn of(params: &Params, cursor: &str) -> Result<Self, ApiResponse> {
        let limit = params.number("limit")?.unwrap_or(DEFAULT_PAGE);
        Ok(Self {
            limit: usize::try_from(limit.min(MAX_PAGE)).unwrap_or_default(),
            after: params.get(cursor).map(str::to_owned),
            created_from: params.number("created[gte]")?,
            created_before: params.number("created[lt]")?,
        })
    }

    /// The id before which all ids of the page are, for ids by [`new_id`] with this prefix.
    pub(super) fn end(&self, kind: &str) -> Option<String> {
        // An id begins with its time in milliseconds, which is read just before `created`.
        let in_time = self
            .created_before
            .map(|second| format!("{kind}_{:012x}", true_ms(second)));
        match (self.after.clone(), in_time) {
            (Some(after), Some(in_time)) => Some(after.min(in_time)),
            (after, in_time) => after.or(in_time),
        }
    }

    /// Selects the page from objects, newest first. Reads no more of them than needed.
    pub(super) fn select<T>(
        &self,
        objects: impl Iterator<Item = anyhow::Result<T>>,
        created: impl Fn(&T) -> Timestamp,
    ) -> anyhow::Result<Page<T>> {
        let mut data = Vec::new();
        for object in objects {
            let object = object?;
            let second = view::second(created(&object));
            if self.created_before.is_some_and(|end| second >= end) {
                continue;
            }
            if self.created_from.is_some_and(|start| second < start) {
                break;
            }
            if data.len() == self.limit {
                return Ok(Page {
                    data,
                    has_more: true,
                });
            }
            data.push(object);
        }
        Ok(Page {
            data,
            has_more: false,
        })
    }
}

/// The true millisecond at which a second of the provider's clock begins.
fn true_ms(second: i64) -> i64 {
    let begin = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    from_shown(begin).as_millisecond()
}

impl<T> Page<T> {
    /// The last object of this page, if there is a next page.
    pub(super) fn next(&self) -> Option<&T> {
        self.data.last().filter(|_| self.has_more)
    }

    pub(super) fn view(&self, kind: &str, url: &str, view: impl Fn(&T) -> Value) -> Value {
        let data: Vec<Value> = self.data.iter().map(view).collect();
        json!({ "object": kind, "url": url, "has_more": self.has_more, "data": data })
    }
}
