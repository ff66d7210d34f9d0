//! The search for orders by staff.

use std::str::FromStr;

use jiff::Timestamp;
use orders::{Email, FulfilmentStatus, Order, OrderId, OrderNumber, OrderStatus, PaymentStatus};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::read_order;
use crate::postgres::Orders;
use crate::{
    cursor::{self, BadCursor, Page, one_more},
    error::StoreError,
};

/// The conditions of a search for orders. A condition that is not given matches every order.
#[derive(Debug, Clone, Default)]
pub struct OrderSearch {
    /// The order's id.
    pub id: Option<OrderId>,
    /// The order number that people use.
    pub number: Option<OrderNumber>,
    /// The shopper's e-mail address, compared case-insensitively.
    pub email: Option<Email>,
    /// The status of the whole order.
    pub status: Option<OrderStatus>,
    /// The status of its payment.
    pub payment: Option<PaymentStatus>,
    /// The status of its fulfilment.
    pub fulfilment: Option<FulfilmentStatus>,
    /// The start of the period in which it was placed, inclusive.
    pub placed_from: Option<Timestamp>,
    /// The end of the period in which it was placed, exclusive.
    pub placed_to: Option<Timestamp>,
}

/// The start of a page of found orders.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OrderSearchCursor {
    before: (Timestamp, Uuid),
}

impl OrderSearchCursor {
    /// The newest order.
    pub const NEWEST: Self = Self {
        before: (Timestamp::MAX, Uuid::max()),
    };
}

impl FromStr for OrderSearchCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        let from: Self = cursor::decode(cursor)?;
        // A forged cursor could hold a time that is too early for PostgreSQL.
        let is_supported = from.before.0 >= Timestamp::UNIX_EPOCH;
        is_supported.then_some(from).ok_or(BadCursor)
    }
}

type Parameter = Box<dyn ToSql + Sync + Send>;

impl OrderSearch {
    /// The given conditions, each with a question mark in place of its parameter.
    fn conditions(&self) -> Vec<(&'static str, Parameter)> {
        fn text(value: &impl ToString) -> Parameter {
            Box::new(value.to_string())
        }
        let time = |time: Timestamp| -> Parameter { Box::new(time) };
        let number = self.number.as_ref().map(OrderNumber::as_str);
        let all = [
            ("id = ?", self.id.map(|id| Box::new(id.0) as Parameter)),
            ("number = ?", number.map(|it| text(&it))),
            ("lower(email) = lower(?)", self.email.as_ref().map(text)),
            ("status = ?", self.status.as_ref().map(text)),
            ("payment = ?", self.payment.as_ref().map(text)),
            ("fulfilment = ?", self.fulfilment.as_ref().map(text)),
            ("placed_at >= ?", self.placed_from.map(time)),
            ("placed_at < ?", self.placed_to.map(time)),
        ];
        all.into_iter()
            .filter_map(|(condition, parameter)| Some((condition, parameter?)))
            .collect()
    }
}

/// The query with the given conditions only, so that its plan fits them.
fn query(conditions: &[(&'static str, Parameter)]) -> String {
    let mut query = select_orders!("where (placed_at, id) < ($1, $2)").to_owned();
    for ((condition, _), place) in conditions.iter().zip(4..) {
        query.push_str(" and ");
        query.push_str(&condition.replace('?', &format!("${place}")));
    }
    query.push_str(" order by placed_at desc, id desc limit $3");
    query
}

impl Orders<'_> {
    /// Returns the orders that match, the newest first.
    pub async fn search(
        self,
        search: &OrderSearch,
        from: OrderSearchCursor,
        limit: u8,
    ) -> Result<Page<Order>, StoreError> {
        let conditions = search.conditions();
        let (at, id) = from.before;
        let one_more = one_more(limit);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&at, &id, &one_more];
        for (_, parameter) in &conditions {
            parameters.push(parameter.as_ref());
        }
        let rows = self.0.read(&query(&conditions), &parameters).await?;
        let read = |row: &Row| Ok(read_order(row)?.order);
        Page::read(&rows, limit, read, |last| OrderSearchCursor {
            before: (last.placed_at, last.id.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_has_only_the_given_conditions() {
        let without = query(&OrderSearch::default().conditions());
        assert!(without.ends_with("< ($1, $2) order by placed_at desc, id desc limit $3"));
        let search = OrderSearch {
            email: "ana@example.com".parse().ok(),
            payment: Some(PaymentStatus::Unknown),
            placed_to: Some(Timestamp::UNIX_EPOCH),
            ..OrderSearch::default()
        };
        let with_some = query(&search.conditions());
        let conditions =
            "and lower(email) = lower($4) and payment = $5 and placed_at < $6 order by";
        assert!(with_some.contains(conditions), "{with_some}");
    }

    #[test]
    fn a_forged_cursor_is_refused() {
        let cursor = cursor::encode(&OrderSearchCursor::NEWEST);
        let read: OrderSearchCursor = cursor.parse().unwrap();
        assert_eq!(read.before, OrderSearchCursor::NEWEST.before);
        let before = (Timestamp::MIN, Uuid::max());
        let too_early = cursor::encode(&OrderSearchCursor { before });
        for bad in ["", "nonsense", &too_early, &cursor::encode(&"x")] {
            assert!(bad.parse::<OrderSearchCursor>().is_err(), "{bad}");
        }
    }
}
