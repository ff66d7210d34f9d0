//! The outbox: unfinished work. A row is written in the same commit as its order or refund, and
//! deleted once that is done or undone. Until then, the sweep checks it.

use jiff::{Timestamp, ToSpan};
use orders::{OrderId, RefundId};
use tokio_postgres::Row;

use super::Outbox;
use crate::{
    error::StoreError,
    work::{UnfinishedWork, Work},
};

/// The shortest time between two checks of a row.
const MIN_CHECK_SECONDS: i32 = 30;

/// The longest time between two checks of a row. Between these bounds, it is the age of the work.
const MAX_CHECK_MINUTES: i32 = 10;

const CLAIM_DUE: &str = "with due as (
        select order_id, refund_id from outbox where check_at <= $1
        order by check_at limit $2
        for update skip locked
    )
    update outbox
    set check_at = least(greatest($1 + ($1 - created_at), $3), $4)
    from due
    where outbox.order_id = due.order_id and outbox.refund_id is not distinct from due.refund_id
    returning outbox.order_id, outbox.refund_id, execution";

const NEXT_EXECUTION: &str = "update outbox set execution = execution + 1
    where order_id = $1 and refund_id is not distinct from $2 and execution = $3";

const FINISH: &str = "with finished as (
        delete from outbox where order_id = $1 and refund_id is not distinct from $2
    )
    update orders set hold = null where id = $1 and hold is not null and $2::uuid is null";

const CHECK_AT_ONCE: &str = "update outbox set check_at = $2 where order_id = $1";

impl Outbox<'_> {
    /// Claims at most `limit` pieces of work whose check is due at `now`. Concurrent calls claim
    /// different work.
    pub async fn claim_due(
        self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<UnfinishedWork>, StoreError> {
        let (earliest, latest) = (
            now + MIN_CHECK_SECONDS.seconds(),
            now + MAX_CHECK_MINUTES.minutes(),
        );
        let rows = self
            .0
            .write(CLAIM_DUE, &[&now, &limit, &earliest, &latest])
            .await?;
        rows.iter().map(read_unfinished).collect()
    }

    /// Replaces an execution that is gone by the next one. Returns false if that was done already.
    pub async fn advance_execution(self, unfinished: UnfinishedWork) -> Result<bool, StoreError> {
        let (order, refund) = unfinished.work.ids();
        let changed = self
            .0
            .change(NEXT_EXECUTION, &[&order, &refund, &unfinished.execution])
            .await?;
        Ok(changed > 0)
    }

    /// Deletes finished work from the outbox. A finished order no longer waits.
    pub async fn finish(self, work: Work) -> Result<(), StoreError> {
        let (order, refund) = work.ids();
        self.0.change(FINISH, &[&order, &refund]).await?;
        Ok(())
    }

    /// Makes the next sweep check an order's work. Returns false if no work is left.
    pub async fn check_at_once(self, id: OrderId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.0.change(CHECK_AT_ONCE, &[&id.0, &now]).await? > 0)
    }
}

fn read_unfinished(row: &Row) -> Result<UnfinishedWork, StoreError> {
    let order = OrderId(row.try_get(0)?);
    let refund = row.try_get::<_, Option<_>>(1)?.map(RefundId);
    Ok(UnfinishedWork {
        work: Work::new(order, refund),
        execution: row.try_get(2)?,
    })
}
