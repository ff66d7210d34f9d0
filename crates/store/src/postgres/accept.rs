//! Accepting an order: one round trip, one commit (`accept_order` in `schema.sql`).

use orders::{
    Address, Cents, Currency, Line, Order, OrderId, OrderNumber, PaymentMethod, ShopperId, Sku,
};
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::{error::DbError, types::Json};

use super::{
    Orders,
    arguments::{AnsweredClaim, Timestamptz},
    idempotency::{Claim, StoredResponse},
};
use crate::error::StoreError;

/// An order that is ready to be accepted.
#[derive(Debug)]
pub struct OrderToAccept<'a> {
    /// The order.
    pub order: &'a Order,
    /// The request's claim of its idempotency key.
    pub claim: &'a Claim,
    /// The response body, for the request and for each repetition of it.
    pub answer: String,
    /// The maximum number of orders per shopper and minute.
    pub orders_a_minute: i32,
    /// The network that the request comes from, as text.
    pub network: &'a str,
    /// The limits on unpaid orders: for the network, the shopper and the card each.
    pub max_unpaid: UnpaidLimits,
}

/// The limits on the unpaid orders of one network, one shopper or one card, this order included.
///
/// Without them, made-up cards could reserve all stock while the payment provider is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpaidLimits {
    /// The number of units.
    pub units: i64,
    /// The total price, in cents. It may be more than one order can cost.
    pub cents: i64,
}

impl UnpaidLimits {
    /// Whether the order alone exceeds these limits, regardless of other unpaid orders.
    fn are_exceeded_by(self, order: &Order) -> bool {
        let quantities = order.lines.iter().map(|line| line.quantity.get());
        let units: i64 = quantities.map(i64::from).sum();
        units > self.units || order.total.get() > self.cents
    }
}

/// The argument of `accept_order`.
#[derive(Debug, Serialize)]
struct AcceptOrder<'a> {
    order: OrderColumns<'a>,
    lines: &'a [Line],
    claim: AnsweredClaim<'a>,
    network: &'a str,
    limits: Limits,
}

/// A new row of `orders`, without the columns that are the same for every new order.
#[derive(Debug, Serialize)]
struct OrderColumns<'a> {
    id: OrderId,
    number: &'a OrderNumber,
    shopper: ShopperId,
    email: &'a str,
    currency: &'a Currency,
    total_cents: Cents,
    shipping_address: &'a Address,
    payment_method: &'a PaymentMethod,
    placed_at: Timestamptz,
}

#[derive(Debug, Serialize)]
struct Limits {
    orders_a_minute: i32,
    max_unpaid_units: i64,
    max_unpaid_cents: i64,
}

impl<'a> AcceptOrder<'a> {
    fn new(new: &'a OrderToAccept<'_>) -> Self {
        let order = new.order;
        Self {
            order: OrderColumns {
                id: order.id,
                number: &order.number,
                shopper: order.shopper.id,
                email: &order.shopper.email,
                currency: &order.currency,
                total_cents: order.total,
                shipping_address: &order.shipping_address,
                payment_method: &order.payment_method,
                placed_at: Timestamptz(order.placed_at),
            },
            lines: &order.lines,
            claim: AnsweredClaim::new(new.claim, &new.answer),
            network: new.network,
            limits: Limits {
                orders_a_minute: new.orders_a_minute,
                max_unpaid_units: new.max_unpaid.units,
                max_unpaid_cents: new.max_unpaid.cents,
            },
        }
    }
}

/// Why an order was not accepted. Nothing was written.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The shopper has placed too many orders this minute.
    #[error("too many orders in this minute")]
    TooManyOrders,
    /// There is not enough stock of these SKUs.
    #[error("not enough stock")]
    OutOfStock(Vec<Sku>),
    /// The unpaid orders of the network, the shopper or the card would exceed these limits.
    #[error("the limit on unpaid orders would be exceeded")]
    TooMuchUnpaid(UnpaidLimits),
    /// The order alone exceeds these limits on unpaid orders.
    #[error("the order alone exceeds the limit on unpaid orders")]
    OrderTooLarge(UnpaidLimits),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const ACCEPT: &str = "select replayed, answer from accept_order($1)";

impl Orders<'_> {
    /// Reserves the stock, writes the order and adds it to the outbox; or returns the response of
    /// an earlier call with the same key.
    pub async fn accept(self, new: OrderToAccept<'_>) -> Result<StoredResponse, AcceptError> {
        let request = Json(AcceptOrder::new(&new));
        match self.0.write_one(ACCEPT, &[&request]).await {
            Ok(row) => Ok(StoredResponse {
                body: row.try_get("answer").map_err(StoreError::from)?,
                replayed: row.try_get("replayed").map_err(StoreError::from)?,
            }),
            Err(error) => Err(refusal(&error, &new).unwrap_or_else(|| error.into())),
        }
    }
}

/// The refusal that `accept_order` raised, if it was one.
fn refusal(error: &StoreError, new: &OrderToAccept<'_>) -> Option<AcceptError> {
    let error = error.db_error()?;
    let max_unpaid = new.max_unpaid;
    match error.code().code() {
        "CA001" => Some(AcceptError::KeyReused),
        "CA002" => Some(AcceptError::TooManyOrders),
        "CA003" => Some(out_of_stock(error)),
        "CA004" if max_unpaid.are_exceeded_by(new.order) => {
            Some(AcceptError::OrderTooLarge(max_unpaid))
        }
        "CA004" => Some(AcceptError::TooMuchUnpaid(max_unpaid)),
        _ => None,
    }
}

fn out_of_stock(error: &DbError) -> AcceptError {
    match serde_json::from_str(error.detail().unwrap_or_default()) {
        Ok(skus) => AcceptError::OutOfStock(skus),
        Err(error) => StoreError::unreadable("the list of SKUs out of stock", error).into(),
    }
}
