//! Erasing a person's data on request (`request_erasure` in `schema.sql`): the intent is written first, so that what breaks
//! off half way is finished by the retention job.

use jiff::{SignedDuration, Timestamp};
use orders::{OrderId, Shopper, ShopperId};
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use super::{Erasures, arguments::Timestamptz};
use crate::error::StoreError;

/// For how long what an account does may still arrive after it is deleted: an access token lasts 15 minutes.
const TOKENS_OUTLAST: SignedDuration = SignedDuration::from_mins(20);

/// How many orders one call erases.
const ORDERS_AT_ONCE: i32 = 500;

const REQUEST: &str = "select request_erasure($1) as id";

const OPEN: &str = "select id, shopper, order_id from erasures where ended_at is null order by requested_at limit $1";

const CARRY_OUT: &str = "select carry_out_erasure($1, $2, $3) as has_ended";

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erase {
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
    /// Its name.
    pub id: Uuid,
    /// The account or the guest.
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

/// Why nothing is erased.
#[derive(Debug, Error)]
pub enum EraseError {
    /// An order is not shipped or undone yet, or a refund is not done: these need the person's data.
    #[error("orders are under way")]
    OrdersUnderWay,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Erase {
    fn parts(&self) -> (&Shopper, Option<OrderId>, SignedDuration) {
        match self {
            Self::Account(shopper) => (shopper, None, TOKENS_OUTLAST),
            Self::Guest(shopper) => (shopper, None, SignedDuration::ZERO),
            Self::GuestOrder(shopper, order) => (shopper, Some(*order), SignedDuration::ZERO),
        }
    }
}

impl Erasures<'_> {
    /// Writes down that this is to be erased, or finds that it was before.
    pub async fn request(self, erase: &Erase, now: Timestamp) -> Result<Erasure, EraseError> {
        let (shopper, order, tokens_outlast) = erase.parts();
        let erasure = Json(NewErasure {
            id: Uuid::now_v7(),
            shopper: shopper.id,
            order_id: order,
            email: &shopper.email,
            requested_at: Timestamptz(now),
            ends_after: Timestamptz(now + tokens_outlast),
        });
        let row = self.0.write_one(REQUEST, &[&erasure]).await;
        let row = row.map_err(|error| match error.of_database() {
            Some(refusal) if refusal.code().code() == "CA020" => EraseError::OrdersUnderWay,
            _ => error.into(),
        })?;
        Ok(Erasure {
            id: row.try_get("id").map_err(StoreError::from)?,
            shopper: shopper.id.0,
            order,
        })
    }

    /// At most `limit` erasures that have not ended, the oldest first.
    pub async fn list_open(self, limit: i64) -> Result<Vec<Erasure>, StoreError> {
        let rows = self.0.read(OPEN, &[&limit]).await?;
        rows.iter().map(read).collect()
    }

    /// Erases what is finished of it, some hundred orders at a time; whether nothing is left.
    pub async fn carry_out(self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let row = self
            .0
            .write_one(CARRY_OUT, &[&id, &now, &ORDERS_AT_ONCE])
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
