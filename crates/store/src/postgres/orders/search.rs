//! Staff's search for orders.

use std::str::FromStr;

use jiff::Timestamp;
use orders::{Email, FulfilmentStatus, Order, OrderId, OrderNumber, OrderStatus, PaymentStatus};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::read_order;
use crate::postgres::Orders;
use crate::{
    cursor::{self, BadCursor, Page},
    error::StoreError,
};

/// What an order must be to be found. What is not asked for may be anything.
#[derive(Debug, Clone, Default)]
pub struct OrderSearch {
    /// Its name.
    pub id: Option<OrderId>,
    /// Its name for people.
    pub number: Option<OrderNumber>,
    /// Where its messages go, however the letters are written.
    pub email: Option<Email>,
    /// Where it stands as a whole.
    pub status: Option<OrderStatus>,
    /// Where its money stands.
    pub payment: Option<PaymentStatus>,
    /// Where its parcel stands.
    pub fulfilment: Option<FulfilmentStatus>,
    /// The first moment at which it may have been placed.
    pub placed_from: Option<Timestamp>,
    /// The first moment at which it may no longer have been placed.
    pub placed_to: Option<Timestamp>,
}

/// Where a page of found orders begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SearchFrom {
    before: (Timestamp, Uuid),
}

impl SearchFrom {
    /// With the newest order.
    pub const NEWEST: Self = Self {
        before: (Timestamp::MAX, Uuid::max()),
    };
}

impl FromStr for SearchFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        let from: Self = cursor::decode(cursor)?;
        // PostgreSQL knows no time as early as the earliest that a cursor could name.
        let is_known = from.before.0 >= Timestamp::UNIX_EPOCH;
        is_known.then_some(from).ok_or(BadCursor)
    }
}

type Parameter = Box<dyn ToSql + Sync + Send>;

impl OrderSearch {
    /// The conditions that are asked for, with a question mark for each one's parameter.
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

/// The query with those conditions and no others, so that it is planned by what it is about.
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
    /// The orders that are as they must be, the newest first.
    pub async fn search(
        self,
        search: &OrderSearch,
        from: SearchFrom,
        limit: u8,
    ) -> Result<Page<Order>, StoreError> {
        let conditions = search.conditions();
        let (at, id) = from.before;
        // One more than asked for tells whether there is a next page.
        let most = i64::from(limit) + 1;
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&at, &id, &most];
        for (_, parameter) in &conditions {
            parameters.push(parameter.as_ref());
        }
        let rows = self.0.read(&query(&conditions), &parameters).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit.into()) {
            items.push(read_order(row)?.order);
        }
        let last = items.last().filter(|_| rows.len() > items.len());
        let next_cursor = last.map(|order| {
            let before = (order.placed_at, order.id.0);
            cursor::encode(&SearchFrom { before })
        });
        Ok(Page { items, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_a_condition() {
        let nothing = query(&OrderSearch::default().conditions());
        assert!(nothing.ends_with("< ($1, $2) order by placed_at desc, id desc limit $3"));
        let search = OrderSearch {
            email: "ana@example.com".parse().ok(),
            payment: Some(PaymentStatus::Unknown),
            placed_to: Some(Timestamp::UNIX_EPOCH),
            ..OrderSearch::default()
        };
        let some = query(&search.conditions());
        let conditions =
            "and lower(email) = lower($4) and payment = $5 and placed_at < $6 order by";
        assert!(some.contains(conditions), "{some}");
    }

    #[test]
    fn a_cursor_that_no_page_gave_out_is_refused() {
        let cursor = cursor::encode(&SearchFrom::NEWEST);
        let read: SearchFrom = cursor.parse().unwrap();
        assert_eq!(read.before, SearchFrom::NEWEST.before);
        let before = (Timestamp::MIN, Uuid::max());
        let too_early = cursor::encode(&SearchFrom { before });
        for bad in ["", "nonsense", &too_early, &cursor::encode(&"x")] {
            assert!(bad.parse::<SearchFrom>().is_err(), "{bad}");
        }
    }
}
