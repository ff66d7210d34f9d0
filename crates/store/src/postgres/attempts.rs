//! Rate limits: attempts are counted by name and time window, because guessing takes many attempts.

use jiff::{SignedDuration, Timestamp};

use super::Attempts;
use crate::error::StoreError;

/// Each row is one window of a name; `minute` is the window's last minute. Each call also deletes
/// up to ten ended windows, more than it adds, so that the table stays small.
const COUNT: &str = "with forgotten as (
        delete from attempts where name in (
            select name from attempts
            where minute < date_trunc('minute', $3::timestamptz) and name <> $1
            order by minute limit 10
            for update skip locked
        )
    )
    insert into attempts as before (name, minute, tried)
    values ($1, $2, 1)
    on conflict (name) do update
        set tried = case when before.minute = excluded.minute then before.tried + 1 else 1 end,
            minute = excluded.minute
    returning tried";

/// Leaves ended windows as they are, because they no longer count. Locks rows in the order of their
/// names, so that no two calls deadlock.
const UNCOUNT: &str = "update attempts set tried = tried - 1
    where name in (
        select name from attempts
        where name = any ($1) and minute >= date_trunc('minute', $2::timestamptz) and tried > 0
        order by name for update
    )";

const SECONDS_A_MINUTE: i64 = 60;

/// A limit of attempts in a time window. Windows follow each other without a gap, from 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The maximum number of attempts in a window.
    pub tries: i32,
    /// The length of a window, in minutes.
    pub minutes: u16,
}

/// A name under which attempts are counted. The window length of a name never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What is attempted, and by whom or with what.
    pub name: String,
    /// The limit for this name.
    pub limit: Limit,
}

/// Whether an attempt is within its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitStatus {
    /// The attempt is within the limit.
    Within,
    /// The attempt exceeds the limit. The window ends at this time.
    Exceeded(Timestamp),
}

impl Limit {
    /// A limit of `tries` attempts in a window of `minutes` minutes.
    pub const fn new(tries: i32, minutes: u16) -> Self {
        Self { tries, minutes }
    }

    /// The end of the window that contains `now`.
    fn window_end(self, now: Timestamp) -> Timestamp {
        let length = i64::from(self.minutes) * SECONDS_A_MINUTE;
        let left = length - now.as_second().rem_euclid(length.max(1));
        let whole = now - SignedDuration::from_nanos(now.subsec_nanosecond().into());
        whole + SignedDuration::from_secs(left)
    }
}

impl Attempts<'_> {
    /// Counts an attempt.
    pub async fn count(self, counter: &Counter, now: Timestamp) -> Result<LimitStatus, StoreError> {
        let Counter { name, limit } = counter;
        let end = limit.window_end(now);
        let last_minute = end - SignedDuration::from_secs(SECONDS_A_MINUTE);
        let row = self.0.write_one(COUNT, &[name, &last_minute, &now]).await?;
        let tried: i32 = row.try_get(0)?;
        Ok(if tried > limit.tries {
            LimitStatus::Exceeded(end)
        } else {
            LimitStatus::Within
        })
    }

    /// Subtracts an attempt that has succeeded from each counter, because only failures count.
    pub async fn uncount(self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError> {
        let names: Vec<_> = counters.iter().map(|it| it.name.as_str()).collect();
        self.0.write(UNCOUNT, &[&names, &now]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_when_the_next_begins() {
        for (minutes, now, end) in [
            (1, "2026-05-01T10:20:30.5Z", "2026-05-01T10:21:00Z"),
            (1, "2026-05-01T10:20:00Z", "2026-05-01T10:21:00Z"),
            (15, "2026-05-01T10:20:30Z", "2026-05-01T10:30:00Z"),
            (60, "2026-05-01T10:59:59.999Z", "2026-05-01T11:00:00Z"),
        ] {
            let now: Timestamp = now.parse().unwrap();
            assert_eq!(Limit::new(1, minutes).window_end(now).to_string(), end);
        }
    }
}
