//! Erasing a person's data on request (`request_erasure` in `schema.sql`). The request is written
//! first, so that the retention job completes an erasure that was interrupted.

use jiff::{SignedDuration, Timestamp};
use orders::{OrderId, Shopper, ShopperId};
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use super::{Erasures, arguments::Timestamptz};
use crate::error::StoreError;

/// How long requests of a deleted account may still arrive: an access token lasts 15 minutes.
const TOKEN_GRACE: SignedDuration = SignedDuration::from_mins(20);

/// The maximum number of orders that one call erases.
const MAX_ORDERS: i32 = 500;

const REQUEST: &str = "select request_erasure($1) as id";

const OPEN: &str = "select id, shopper, order_id from erasures where ended_at is null order by requested_at limit $1";

const CARRY_OUT: &str = "select carry_out_erasure($1, $2, $3) as has_ended";

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureTarget {
    /// All data of an account, which is deleted.
    Account(Shopper),
    /// All orders of a guest.
    Guest(Shopper),
    /// One order of a guest.
    GuestOrder(Shopper, OrderId),
}

/// An erasure that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// The erasure's id.
    pub id: Uuid,
    /// The id of the account or the guest.
    pub shopper: Uuid,
    /// The only order to erase; none means all data of the person.
    pub order: Option<OrderId>,
}

/// The argument of `request_erasure`: a new row of `erasures`.
#[derive(Debug, Serialize)]
struct NewErasure<'a> {
    id: Uuid,
    shopper: ShopperId,
    order_id: Option<OrderId>,
    email: &'a str,
    requested_at: Timestamptz,
    ends_after: Timestamptz,
}

/// Why an erasure was not requested. Nothing was written.
#[derive(Debug, Error)]
pub enum EraseError {
    /// An order is not yet shipped or undone, or a refund is not completed: they need the person's
    /// data.
    #[error("orders are under way")]
    OrdersUnderWay,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ErasureTarget {
    fn parts(&self) -> (&Shopper, Option<OrderId>, SignedDuration) {
        match self {
            Self::Account(shopper) => (shopper, None, TOKEN_GRACE),
            Self::Guest(shopper) => (shopper, None, SignedDuration::ZERO),
            Self::GuestOrder(shopper, order) => (shopper, Some(*order), SignedDuration::ZERO),
        }
    }
}

impl Erasures<'_> {
    /// Records a request for erasure, or returns the one that was recorded before.
    pub async fn request(
        self,
        erase: &ErasureTarget,
        now: Timestamp,
    ) -> Result<Erasure, EraseError> {
        let (shopper, order, token_grace) = erase.parts();
        let erasure = Json(NewErasure {
            id: Uuid::now_v7(),
            shopper: shopper.id,
            order_id: order,
            email: &shopper.email,
            requested_at: Timestamptz(now),
            ends_after: Timestamptz(now + token_grace),
        });
        let row = self.0.write_one(REQUEST, &[&erasure]).await;
        let row = row.map_err(|error| match error.db_error() {
            Some(refusal) if refusal.code().code() == "CA020" => EraseError::OrdersUnderWay,
            _ => error.into(),
        })?;
        Ok(Erasure {
            id: row.try_get("id").map_err(StoreError::from)?,
            shopper: shopper.id.0,
            order,
        })
    }

    /// Lists at most `limit` erasures that have not ended, the oldest first.
    pub async fn list_open(self, limit: i64) -> Result<Vec<Erasure>, StoreError> {
        let rows = self.0.read(OPEN, &[&limit]).await?;
        rows.iter().map(read).collect()
    }

    /// Erases the requested data, except for unfinished orders, and at most 500 orders in a call.
    /// Returns whether the erasure has ended.
    pub async fn carry_out(self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let row = self
            .0
            .write_one(CARRY_OUT, &[&id, &now, &MAX_ORDERS])
            .await?;
        Ok(row.try_get("has_ended")?)
    }
}

fn read(row: &Row) -> Result<Erasure, StoreError> {
    Ok(Erasure {
        id: row.try_get("id")?,
        shopper: row.try_get("shopper")?,
        order: row.try_get::<_, Option<_>>("order_id")?.map(OrderId),
    })
}
