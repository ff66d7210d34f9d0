//! What is kept for a time only, and how it is erased when that is over (`migrations/V14__people.sql`).

use jiff::Timestamp;
use strum::{EnumIter, IntoStaticStr};

use super::RetainedData;
use crate::error::StoreError;

/// What is kept for a time only. Its name is that of a metric's dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kept {
    /// What requests under an idempotency key were answered; orders with their addresses are among it.
    IdempotencyAnswers,
    /// When a shopper placed the last order.
    OrderRates,
    /// How often a network address or a guest has tried something.
    Attempts,
    /// How much a member of staff has refunded on a day.
    RefundAllowances,
    /// The person in a guest's order.
    GuestOrders,
    /// The person in the order of an account.
    AccountOrders,
    /// Whole orders.
    Orders,
    /// Rows of the audit log, and what staff have resolved.
    Audit,
    /// The members of staff in adjustments of the stock.
    StockAdjusters,
    /// That a person was erased.
    Erasures,
}

impl Kept {
    /// Its name, such as `guest_orders`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Erases at most $2 that are older than $1, the oldest first, and tells how many.
    const fn statement(self) -> &'static str {
        match self {
            Self::IdempotencyAnswers => {
                "with erased as (
                    delete from idempotency_keys where (owner, key) in (
                        select owner, key from idempotency_keys where created_at < $1
                        order by created_at limit $2::integer)
                    returning 1
                ) select count(*) from erased"
            }
            Self::OrderRates => {
                "with erased as (
                    delete from order_rates where shopper in (
                        select shopper from order_rates where minute < $1 limit $2::integer
                        for update skip locked)
                    returning 1
                ) select count(*) from erased"
            }
            Self::Attempts => {
                "with erased as (
                    delete from attempts where name in (
                        select name from attempts where minute < $1 order by minute limit $2::integer
                        for update skip locked)
                    returning 1
                ) select count(*) from erased"
            }
            Self::RefundAllowances => "select delete_old_refund_allowances($1, $2)",
            Self::GuestOrders => "select erase_old_orders(true, $1, $2)",
            Self::AccountOrders => "select erase_old_orders(false, $1, $2)",
            Self::Orders => "select delete_old_orders($1, $2)",
            Self::Audit => "select delete_old_audit($1, $2)",
            Self::StockAdjusters => "select erase_old_adjusters($1, $2)",
            Self::Erasures => {
                "with erased as (
                    delete from erasures where id in (
                        select id from erasures where ended_at < $1 order by ended_at limit $2::integer)
                    returning 1
                ) select count(*) from erased"
            }
        }
    }
}

impl RetainedData<'_> {
    /// Erases at most `limit` of these that are from before a time; how many there were.
    pub async fn erase_old(
        self,
        kept: Kept,
        before: Timestamp,
        limit: i32,
    ) -> Result<i64, StoreError> {
        let row = self
            .0
            .write_one(kept.statement(), &[&before, &limit])
            .await?;
        Ok(row.try_get(0)?)
    }
}
