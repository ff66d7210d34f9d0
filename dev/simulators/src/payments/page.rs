//! Lists a page at a time, as the provider shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Answer, params::Params, view};
use crate::clock::meant;
#[cfg(doc)]
use crate::storage::new_id;

/// How many things a list shows, and the most that it can be asked for.
const DEFAULT_PAGE: i64 = 10;
const MAX_PAGE: i64 = 100;

/// Which part of a list is asked for.
pub(super) struct Page {
    limit: usize,
    /// The name after which it begins, if not with the newest.
    pub(super) after: Option<String>,
    created_from: Option<i64>,
    created_before: Option<i64>,
}

/// The part that was asked for, the newest first.
pub(super) struct Cut<T> {
    data: Vec<T>,
    has_more: bool,
}

impl Page {
    /// The page that begins after the thing that the parameter `cursor` names.
    pub(super) fn of(params: &Params, cursor: &str) -> Result<Self, Answer> {
        let limit = params.number("limit")?.unwrap_or(DEFAULT_PAGE);
        Ok(Self {
            limit: usize::try_from(limit.min(MAX_PAGE)).unwrap_or_default(),
            after: params.get(cursor).map(str::to_owned),
            created_from: params.number("created[gte]")?,
            created_before: params.number("created[lt]")?,
        })
    }

    /// The name before which everything lies that can be on it, of things that [`new_id`] named so.
    pub(super) fn end(&self, kind: &str) -> Option<String> {
        // A name begins with its time in milliseconds, which is taken a moment before `created`.
        let in_time = self
            .created_before
            .map(|second| format!("{kind}_{:012x}", meant_ms(second)));
        match (self.after.clone(), in_time) {
            (Some(after), Some(in_time)) => Some(after.min(in_time)),
            (after, in_time) => after.or(in_time),
        }
    }

    /// Cuts the page out of things that come the newest first, and looks at no more of them than it
    /// needs.
    pub(super) fn cut<T>(
        &self,
        things: impl Iterator<Item = anyhow::Result<T>>,
        created: impl Fn(&T) -> Timestamp,
    ) -> anyhow::Result<Cut<T>> {
        let mut data = Vec::new();
        for thing in things {
            let thing = thing?;
            let second = view::second(created(&thing));
            if self.created_before.is_some_and(|end| second >= end) {
                continue;
            }
            if self.created_from.is_some_and(|start| second < start) {
                break;
            }
            if data.len() == self.limit {
                return Ok(Cut {
                    data,
                    has_more: true,
                });
            }
            data.push(thing);
        }
        Ok(Cut {
            data,
            has_more: false,
        })
    }
}

/// The millisecond in which a second begins on the provider's clock.
fn meant_ms(second: i64) -> i64 {
    let begin = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    meant(begin).as_millisecond()
}

impl<T> Cut<T> {
    /// What the next page begins after, if there is one.
    pub(super) fn next(&self) -> Option<&T> {
        self.data.last().filter(|_| self.has_more)
    }

    pub(super) fn view(&self, kind: &str, url: &str, view: impl Fn(&T) -> Value) -> Value {
        let data: Vec<Value> = self.data.iter().map(view).collect();
        json!({ "object": kind, "url": url, "has_more": self.has_more, "data": data })
    }
}
