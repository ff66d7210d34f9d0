//! Activity: the orders of each minute, and the backlogs of unfinished work.

use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::Activity;
use crate::error::StoreError;

const MINUTES: &str = "with happened as materialized (
        select date_bin('1 minute', at, $1) as minute, kind from order_events
        where at >= $1 and at < $2 and kind in ('accepted', 'shipped', 'cancelled')
    )
    select minute,
        count(*) filter (where kind = 'accepted') as accepted,
        count(*) filter (where kind = 'shipped') as shipped,
        count(*) filter (where kind = 'cancelled') as cancelled
    from generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', '1 minute') as minute
    left join happened using (minute)
    group by minute order by minute";

const BACKLOGS: &str = "select unfinished.*, waiting.*, open.*
    from (
        select count(*) filter (where refund_id is null),
            min(created_at) filter (where refund_id is null),
            count(refund_id), min(created_at) filter (where refund_id is not null)
        from outbox
    ) as unfinished (orders, first_order, refunds, first_refund)
    cross join (
        select count(*) filter (where provider = 'payments'),
            min(since) filter (where provider = 'payments'),
            count(*) filter (where provider = 'shipping'),
            min(since) filter (where provider = 'shipping')
        from (
            select hold ->> 'provider', (hold ->> 'since')::timestamptz
            from orders join outbox on order_id = id and refund_id is null
        ) as waits (provider, since)
    ) as waiting (payments, first_payment, shipping, first_shipping)
    cross join (
        select count(*), min(raised_at) from attention where resolved_at is null
    ) as open (attention, first_attention)";

/// How many orders were accepted, shipped and cancelled in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Minute {
    /// The start of the minute.
    pub at: Timestamp,
    /// How many orders were accepted.
    pub accepted: i64,
    /// How many orders were shipped, whenever they were accepted.
    pub shipped: i64,
    /// How many orders were cancelled, for any reason.
    pub cancelled: i64,
}

/// How many items are waiting, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Backlog {
    /// The number of items.
    pub count: i64,
    /// The time since which the first of them has been waiting; none if there are no items.
    pub since: Option<Timestamp>,
}

/// The backlogs of unfinished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Backlogs {
    /// Orders that are neither shipped nor undone; `since` is when the first was accepted.
    pub orders: Backlog,
    /// Orders that wait for the payment provider; `since` is when the first began to wait.
    pub payments: Backlog,
    /// Orders that wait for the shipping provider; `since` is when the first began to wait.
    pub shipping: Backlog,
    /// Refunds that are not completed; `since` is when the first was requested.
    pub refunds: Backlog,
    /// Items that need a person's decision; `since` is when the first was raised.
    pub attention: Backlog,
}

impl Activity<'_> {
    /// Lists the last `count` minutes, the oldest first. The last one contains `now`.
    pub async fn list_minutes(self, now: Timestamp, count: i64) -> Result<Vec<Minute>, StoreError> {
        let end = (now.as_second().div_euclid(60) + 1) * 60;
        let end = Timestamp::from_second(end).unwrap_or(now);
        let start = end - count.minutes();
        let rows = self.0.read(MINUTES, &[&start, &end]).await?;
        rows.iter().map(read_minute).collect()
    }

    /// Returns the backlogs of unfinished work.
    pub async fn backlogs(self) -> Result<Backlogs, StoreError> {
        let row = self.0.read_one(BACKLOGS, &[]).await?;
        let backlog = |count, since| {
            Ok::<_, StoreError>(Backlog {
                count: row.try_get(count)?,
                since: row.try_get(since)?,
            })
        };
        Ok(Backlogs {
            orders: backlog("orders", "first_order")?,
            payments: backlog("payments", "first_payment")?,
            shipping: backlog("shipping", "first_shipping")?,
            refunds: backlog("refunds", "first_refund")?,
            attention: backlog("attention", "first_attention")?,
        })
    }
}

fn read_minute(row: &Row) -> Result<Minute, StoreError> {
    Ok(Minute {
        at: row.try_get("minute")?,
        accepted: row.try_get("accepted")?,
        shipped: row.try_get("shipped")?,
        cancelled: row.try_get("cancelled")?,
    })
}
