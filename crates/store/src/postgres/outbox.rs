//! The outbox: what is not finished. A row comes with the order or the refund, in the same commit, and
//! goes when that is done or undone; until then the sweep looks after it.

use jiff::{Timestamp, ToSpan};
use orders::{Hold, Order, OrderId, RefundId};
use tokio_postgres::{Row, types::Json};

use super::Outbox;
use crate::{
    error::StoreError,
    work::{Unfinished, Work},
};

/// How long after it was last looked after a row is looked after again, at the least.
const SOONEST_SECONDS: i32 = 30;

/// And at the most; in between, as long as the work is old.
const LATEST_MINUTES: i32 = 10;

const TAKE_DUE: &str = "with due as (
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

const STILL_HELD: &str = "update orders set hold = $2 where id = $1 and hold = $3";

const CALLS: &str = "update orders set updated_at = $2 where id = $1";

const LOOK_NOW: &str = "update outbox set check_at = $2 where order_id = $1";

impl Outbox<'_> {
    /// At most `limit` pieces of work that are to be looked after at `now`, each for nobody else.
    pub async fn claim_due(
        self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Unfinished>, StoreError> {
        let (soonest, latest) = (
            now + SOONEST_SECONDS.seconds(),
            now + LATEST_MINUTES.minutes(),
        );
        let rows = self
            .0
            .write(TAKE_DUE, &[&now, &limit, &soonest, &latest])
            .await?;
        rows.iter().map(read_unfinished).collect()
    }

    /// Lets another execution take the place of one that is gone; false if that was done already.
    pub async fn advance_execution(self, of: Unfinished) -> Result<bool, StoreError> {
        let (order, refund) = of.work.ids();
        let changed = self
            .0
            .change(NEXT_EXECUTION, &[&order, &refund, &of.execution])
            .await?;
        Ok(changed > 0)
    }

    /// Takes finished work out of the outbox. It waits for nobody any more.
    pub async fn finish(self, work: Work) -> Result<(), StoreError> {
        let (order, refund) = work.ids();
        self.0.change(FINISH, &[&order, &refund]).await?;
        Ok(())
    }

    /// Notes how an order waits now that waited before, unless that has changed meanwhile. It is no
    /// call: since when one's outcome shows is not touched.
    pub async fn still_held(self, order: &Order, hold: &Hold) -> Result<(), StoreError> {
        let before = order.hold.as_ref().map(Json);
        self.0
            .change(STILL_HELD, &[&order.id.0, &Json(hold), &before])
            .await?;
        Ok(())
    }

    /// Notes that a provider is about to be called once more, so that it is known since when what
    /// that does can be looked up.
    pub async fn touch_last_call(self, id: OrderId, now: Timestamp) -> Result<(), StoreError> {
        self.0.change(CALLS, &[&id.0, &now]).await?;
        Ok(())
    }

    /// Has the next sweep look after an order; false if there is nothing left to do for it.
    pub async fn check_at_once(self, id: OrderId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.0.change(LOOK_NOW, &[&id.0, &now]).await? > 0)
    }
}

fn read_unfinished(row: &Row) -> Result<Unfinished, StoreError> {
    let order = OrderId(row.try_get(0)?);
    let refund = row.try_get::<_, Option<_>>(1)?.map(RefundId);
    Ok(Unfinished {
        work: Work::new(order, refund),
        execution: row.try_get(2)?,
    })
}
