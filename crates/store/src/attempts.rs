//! How often something was tried in the current minute: who guesses has to try often.

use jiff::Timestamp;

use crate::{database::Database, error::StoreError};

/// Forgets a few more of the old ones than it adds, so that no more are kept than are of use. Names are
/// counted in their order, so that no two calls wait for each other.
const COUNT: &str = "with forgotten as (
        delete from attempts where name in (
            select name from attempts
            where minute < date_trunc('minute', $2::timestamptz) and name <> all ($1)
            order by minute limit 10
            for update skip locked
        )
    )
    insert into attempts as before (name, minute, tried)
    select name, date_trunc('minute', $2::timestamptz), 1 from unnest($1::text[]) as name order by name
    on conflict (name) do update
        set tried = case when before.minute = excluded.minute then before.tried + 1 else 1 end,
            minute = excluded.minute
    returning tried";

impl Database {
    /// Counts one more attempt under each of these names, which differ; answers the most that there
    /// were under one of them in this minute, with this one.
    pub async fn count_attempt(&self, names: &[&str], now: Timestamp) -> Result<i32, StoreError> {
        let rows = self.write(COUNT, &[&names, &now]).await?;
        let mut tried = rows.iter().map(|row| row.try_get(0));
        tried.try_fold(0, |most, tried| Ok(most.max(tried?)))
    }
}
