//! Reading orders and their timelines.

use std::{collections::HashMap, error::Error, str::FromStr};

use jiff::Timestamp;
use orders::{
    Address, Cents, Order, OrderId, OrderNumber, Payment, Shopper, ShopperId, TimelineEntry,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use super::Orders;
use crate::{
    cursor::{self, BadCursor, Page, one_more},
    error::StoreError,
};

/// Selects orders. The lines and the disputes of an order are each aggregated into one column.
macro_rules! select_orders {
    ($condition:literal) => {
        select_orders!("", $condition)
    };
    ($more:literal, $condition:literal) => {
        concat!(
            "select id, number, shopper, email, status, payment, fulfilment, hold, currency,
                total_cents, shipping_address, payment_method, payment_id,
                authorize_round, capture_before, refunds, label, placed_at, updated_at, last_call_at,
                version, (
                    select jsonb_agg(jsonb_build_object('sku', sku, 'title', title,
                        'quantity', quantity, 'unit_cents', unit_cents) order by position)
                    from order_lines where order_id = orders.id
                ) as lines, (
                    select jsonb_agg(state order by recorded_at, id) from disputes
                    where order_id = orders.id
                ) as disputes",
            $more,
            " from orders ",
            $condition
        )
    };
}

pub(crate) mod search;

const BY_ID: &str = select_orders!("where id = $1");

const BY_SHOPPER: &str = select_orders!("where shopper = $1 and id < $2 order by id desc limit $3");

const BY_IDS: &str = select_orders!(
    ", exists (select from outbox where order_id = orders.id and refund_id is null) as unfinished",
    "where id = any ($1)"
);

const BY_NUMBER: &str = select_orders!("where number = $1");

const LABEL_REQUESTED: &str =
    "select 1 from order_events where order_id = $1 and kind = 'label_requested' limit 1";

const BY_TRACKING_NUMBER: &str = select_orders!("where label ->> 'tracking_number' = $1");

const TIMELINE: &str = "select jsonb_build_object('at', at, 'kind', kind, 'data', data)
    from order_events where order_id = $1 order by version";

const TIMELINES: &str = "select order_id, jsonb_build_object('at', at, 'kind', kind, 'data', data)
    from order_events where order_id = any ($1) order by order_id, version";

/// An order and its version, which is the number of its events.
pub(crate) struct VersionedOrder {
    pub(crate) order: Order,
    pub(crate) version: i32,
}

/// An order, and whether it is unfinished.
#[derive(Debug, Clone)]
pub struct OrderWithWork {
    /// The order.
    pub order: Order,
    /// Whether the order is in the outbox: an execution has yet to ship it or to undo it.
    pub unfinished: bool,
}

impl Orders<'_> {
    /// Returns the order with this id, if there is one.
    pub async fn find(self, id: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self
            .find_versioned(id)
            .await?
            .map(|versioned| versioned.order))
    }

    pub(crate) async fn find_versioned(
        self,
        id: OrderId,
    ) -> Result<Option<VersionedOrder>, StoreError> {
        let row = self.0.read_optional(BY_ID, &[&id.0]).await?;
        row.as_ref().map(read_order).transpose()
    }

    /// Returns those of the orders that exist, each with whether it is unfinished.
    pub async fn find_with_work(self, ids: &[OrderId]) -> Result<Vec<OrderWithWork>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.0.read(BY_IDS, &[&ids]).await?;
        rows.iter()
            .map(|row| {
                Ok(OrderWithWork {
                    order: read_order(row)?.order,
                    unfinished: row.try_get("unfinished")?,
                })
            })
            .collect()
    }

    /// Returns the order with this number, if there is one.
    pub async fn find_by_number(self, number: &OrderNumber) -> Result<Option<Order>, StoreError> {
        self.find_one(BY_NUMBER, number.as_str()).await
    }

    /// Returns the order whose parcel has this tracking number, if there is one.
    pub async fn find_by_tracking_number(
        self,
        tracking_number: &str,
    ) -> Result<Option<Order>, StoreError> {
        self.find_one(BY_TRACKING_NUMBER, tracking_number).await
    }

    /// Whether a label was ever requested for the order. That is recorded before the carrier is
    /// called, so the call may not have been made.
    pub async fn has_requested_label(self, id: OrderId) -> Result<bool, StoreError> {
        let requested = self.0.read_optional(LABEL_REQUESTED, &[&id.0]).await?;
        Ok(requested.is_some())
    }

    async fn find_one(self, query: &str, name: &str) -> Result<Option<Order>, StoreError> {
        let row = self.0.read_optional(query, &[&name]).await?;
        row.as_ref()
            .map(|row| Ok(read_order(row)?.order))
            .transpose()
    }

    /// Lists a shopper's orders, the newest first.
    pub async fn list_by_shopper(
        self,
        shopper: ShopperId,
        from: OrderCursor,
        limit: u8,
    ) -> Result<Page<Order>, StoreError> {
        let rows = self
            .0
            .read(BY_SHOPPER, &[&shopper.0, &from.before, &one_more(limit)])
            .await?;
        let read = |row: &Row| Ok(read_order(row)?.order);
        Page::read(&rows, limit, read, |last| OrderCursor { before: last.id.0 })
    }

    /// Returns the order's timeline, the oldest entry first.
    pub async fn timeline(self, id: OrderId) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows = self.0.read(TIMELINE, &[&id.0]).await?;
        rows.iter()
            .map(|row| Ok(row.try_get::<_, Json<TimelineEntry>>(0)?.0))
            .collect()
    }
}

impl Orders<'_> {
    /// Returns the timelines of these orders, each with the oldest entry first.
    pub async fn timelines(
        self,
        ids: &[OrderId],
    ) -> Result<HashMap<OrderId, Vec<TimelineEntry>>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut timelines: HashMap<OrderId, Vec<TimelineEntry>> = HashMap::new();
        for row in self.0.read(TIMELINES, &[&ids]).await? {
            let events = timelines.entry(OrderId(row.try_get(0)?)).or_default();
            events.push(row.try_get::<_, Json<TimelineEntry>>(1)?.0);
        }
        Ok(timelines)
    }
}

/// The start of a page of orders.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OrderCursor {
    before: Uuid,
}

impl OrderCursor {
    /// The newest order.
    pub const NEWEST: Self = Self {
        before: Uuid::max(),
    };
}

impl FromStr for OrderCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor)
    }
}

fn read_order(row: &Row) -> Result<VersionedOrder, StoreError> {
    let id = OrderId(row.try_get("id")?);
    let order = Order {
        id,
        number: id.number(),
        shopper: Shopper {
            id: ShopperId(row.try_get("shopper")?),
            email: row.try_get("email")?,
        },
        status: parse_text(row, "status")?,
        payment: read_payment(row)?,
        fulfilment: parse_text(row, "fulfilment")?,
        wait: optional_json(row, "hold")?,
        currency: parse_text(row, "currency")?,
        total: Cents::try_from(row.try_get::<_, i64>("total_cents")?)
            .map_err(|error| StoreError::unreadable("total_cents", error))?,
        lines: row.try_get::<_, Json<_>>("lines")?.0,
        shipping_address: Address::from_stored(row.try_get("shipping_address")?)
            .map_err(|error| StoreError::unreadable("shipping_address", error))?,
        payment_method: parse_text(row, "payment_method")?,
        refunds: row.try_get::<_, Json<_>>("refunds")?.0,
        disputes: optional_json(row, "disputes")?.unwrap_or_default(),
        label: optional_json(row, "label")?,
        placed_at: row.try_get::<_, Timestamp>("placed_at")?,
        updated_at: row.try_get::<_, Timestamp>("updated_at")?,
        last_call_at: row.try_get("last_call_at")?,
    };
    Ok(VersionedOrder {
        order,
        version: row.try_get("version")?,
    })
}

fn read_payment(row: &Row) -> Result<Payment, StoreError> {
    Payment::from_parts(
        parse_text(row, "payment")?,
        row.try_get("authorize_round")?,
        optional_text(row, "payment_id")?,
        row.try_get("capture_before")?,
    )
    .map_err(|error| StoreError::unreadable("payment_id", error))
}

fn parse_text<T>(row: &Row, column: &'static str) -> Result<T, StoreError>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.try_get::<_, &str>(column)?
        .parse()
        .map_err(|error| StoreError::unreadable(column, error))
}

fn optional_text<T>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(str::parse)
        .transpose()
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
