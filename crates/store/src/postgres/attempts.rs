//! How often something was tried: guessing takes many tries.

use jiff::{SignedDuration, Timestamp};

use super::Attempts;
use crate::error::StoreError;

/// Each row is one window of a name; `minute` is the window's last one. Forgets a few more ended
/// windows than it adds, so that no more are kept than are of use.
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

/// Windows that have ended are left as they are: their rows are of no use any more. Rows are locked
/// by name, so that no two calls wait for each other.
const TAKE_BACK: &str = "update attempts set tried = tried - 1
    where name in (
        select name from attempts
        where name = any ($1) and minute >= date_trunc('minute', $2::timestamptz) and tried > 0
        order by name for update
    )";

const SECONDS_A_MINUTE: i64 = 60;

/// At most so many tries in a window. Windows follow each other without a gap, from 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many tries are within the limit.
    pub tries: i32,
    /// How long a window is, in minutes.
    pub minutes: u16,
}

/// A name to count under. Its window's length never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What is tried, and by whom or with what.
    pub name: String,
    /// The limit for this name.
    pub limit: Limit,
}

/// What counting one more try has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It is within the limit.
    Within,
    /// It is beyond the limit, whose window ends then.
    Beyond(Timestamp),
}

impl Limit {
    /// At most so many tries in a window of so many minutes.
    pub const fn new(tries: i32, minutes: u16) -> Self {
        Self { tries, minutes }
    }

    /// When the window that `now` falls into ends.
    fn ends(self, now: Timestamp) -> Timestamp {
        let length = i64::from(self.minutes) * SECONDS_A_MINUTE;
        let left = length - now.as_second().rem_euclid(length.max(1));
        let whole = now - SignedDuration::from_nanos(now.subsec_nanosecond().into());
        whole + SignedDuration::from_secs(left)
    }
}

impl Attempts<'_> {
    /// Counts one more try under the name.
    pub async fn count(self, counter: &Counter, now: Timestamp) -> Result<Counted, StoreError> {
        let Counter { name, limit } = counter;
        let end = limit.ends(now);
        let last_minute = end - SignedDuration::from_secs(SECONDS_A_MINUTE);
        let row = self.0.write_one(COUNT, &[name, &last_minute, &now]).await?;
        let tried: i32 = row.try_get(0)?;
        Ok(if tried > limit.tries {
            Counted::Beyond(end)
        } else {
            Counted::Within
        })
    }

    /// Takes back one try under each of these names: it has succeeded, and only failures count.
    pub async fn uncount(self, counters: &[Counter], now: Timestamp) -> Result<(), StoreError> {
        let names: Vec<_> = counters.iter().map(|it| it.name.as_str()).collect();
        self.0.write(TAKE_BACK, &[&names, &now]).await?;
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
            assert_eq!(Limit::new(1, minutes).ends(now).to_string(), end);
        }
    }
}
