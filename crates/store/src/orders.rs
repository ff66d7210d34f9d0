//! Reading orders and their timelines.

use std::{error::Error, str::FromStr};

use jiff::Timestamp;
use orders::{Cents, Event, Order, OrderId, Shopper, ShopperId};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use crate::{
    cursor::{self, BadCursor, Page},
    database::Database,
    error::StoreError,
};

/// The columns of an order, its lines gathered into one.
macro_rules! select_orders {
    ($condition:literal) => {
        concat!(
            "select id, number, shopper, email, status, payment, fulfilment, hold, currency,
                total_cents, shipping_address, payment_method, payment_id, label, placed_at,
                updated_at, version, (
                    select jsonb_agg(jsonb_build_object('sku', sku, 'title', title,
                        'quantity', quantity, 'unit_cents', unit_cents) order by position)
                    from order_lines where order_id = id
                ) as lines
            from orders ",
            $condition
        )
    };
}

const BY_ID: &str = select_orders!("where id = $1");

const BY_SHOPPER: &str = select_orders!("where shopper = $1 and id < $2 order by id desc limit $3");

const TIMELINE: &str = "select jsonb_build_object('at', at, 'kind', kind, 'data', data)
    from order_events where order_id = $1 order by version";

/// An order with the number of events that led to it.
pub(crate) struct Versioned {
    pub(crate) order: Order,
    pub(crate) version: i32,
}

/// Where a page of a shopper's orders ended.
#[derive(Serialize, Deserialize)]
struct Position {
    before: Uuid,
}

impl Database {
    /// The order, if there is one of that id.
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.versioned(id).await?.map(|versioned| versioned.order))
    }

    pub(crate) async fn versioned(&self, id: OrderId) -> Result<Option<Versioned>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(BY_ID).await?;
        let row = client.query_opt(&statement, &[&id.0]).await?;
        row.as_ref().map(read_order).transpose()
    }

    /// A shopper's orders from `cursor` on, the newest first.
    pub async fn orders_of(
        &self,
        shopper: ShopperId,
        from: OrdersFrom,
        limit: u8,
    ) -> Result<Page<Order>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(BY_SHOPPER).await?;
        // One more than asked for tells whether there is a next page.
        let rows = client
            .query(
                &statement,
                &[&shopper.0, &from.before, &(i64::from(limit) + 1)],
            )
            .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit.into()) {
            items.push(read_order(row)?.order);
        }
        let last = items.last().filter(|_| rows.len() > items.len());
        let next_cursor = last.map(|order| cursor::encode(&Position { before: order.id.0 }));
        Ok(Page { items, next_cursor })
    }

    /// What has happened to the order, the oldest first.
    pub async fn timeline(&self, id: OrderId) -> Result<Vec<Event>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(TIMELINE).await?;
        let rows = client.query(&statement, &[&id.0]).await?;
        rows.iter()
            .map(|row| Ok(row.try_get::<_, Json<Event>>(0)?.0))
            .collect()
    }
}

/// Where a page of orders begins.
#[derive(Debug, Clone, Copy)]
pub struct OrdersFrom {
    before: Uuid,
}

impl OrdersFrom {
    /// With the newest order.
    pub const NEWEST: Self = Self {
        before: Uuid::max(),
    };
}

impl FromStr for OrdersFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode::<Position>(cursor).map(|Position { before }| Self { before })
    }
}

fn read_order(row: &Row) -> Result<Versioned, StoreError> {
    let id = OrderId(row.try_get("id")?);
    let order = Order {
        id,
        number: id.number(),
        shopper: Shopper {
            id: ShopperId(row.try_get("shopper")?),
            email: row.try_get("email")?,
        },
        status: text(row, "status")?,
        payment: text(row, "payment")?,
        fulfilment: text(row, "fulfilment")?,
        hold: optional_json(row, "hold")?,
        currency: text(row, "currency")?,
        total: Cents::try_from(row.try_get::<_, i64>("total_cents")?)
            .map_err(|error| StoreError::unreadable("total_cents", error))?,
        lines: row.try_get::<_, Json<_>>("lines")?.0,
        shipping_address: row.try_get::<_, Json<_>>("shipping_address")?.0,
        payment_method: text(row, "payment_method")?,
        payment_id: row.try_get("payment_id")?,
        label: optional_json(row, "label")?,
        placed_at: row.try_get::<_, Timestamp>("placed_at")?,
        updated_at: row.try_get::<_, Timestamp>("updated_at")?,
    };
    Ok(Versioned {
        order,
        version: row.try_get("version")?,
    })
}

fn text<T>(row: &Row, column: &'static str) -> Result<T, StoreError>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.try_get::<_, &str>(column)?
        .parse()
        .map_err(|error| StoreError::unreadable(column, error))
}

fn optional_json<T>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: for<'a> Deserialize<'a>,
{
    Ok(row
        .try_get::<_, Option<Json<T>>>(column)?
        .map(|Json(value)| value))
}
