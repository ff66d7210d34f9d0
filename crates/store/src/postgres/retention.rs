//! Data with a retention period, and its erasure afterwards (`migrations/V14__people.sql`).

use jiff::Timestamp;
use strum::{EnumIter, IntoStaticStr};

use super::RetainedData;
use crate::error::StoreError;

/// A kind of data with a retention period. Its name is a value of a metric's dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RetainedKind {
    /// Responses under an idempotency key, among them orders with their addresses.
    IdempotencyAnswers,
    /// How many orders a shopper placed in the minute of the last one.
    OrderRates,
    /// How often a network address or a guest attempted something.
    Attempts,
    /// How much a member of staff refunded on a day.
    RefundAllowances,
    /// The personal data in a guest's order.
    GuestOrders,
    /// The personal data in the order of an account.
    AccountOrders,
    /// Whole orders.
    Orders,
    /// Entries of the audit log, and resolved attention items.
    Audit,
    /// The names of staff in stock adjustments.
    StockAdjusters,
    /// Ended erasures of persons' data.
    Erasures,
}

impl RetainedKind {
    /// The name, such as `guest_orders`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The SQL that erases at most `$2` items from before `$1`, and returns how many it erased.
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
    /// Erases at most `limit` items from before a time. Returns how many it erased.
    pub async fn erase_old(
        self,
        kept: RetainedKind,
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
