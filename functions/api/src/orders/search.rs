//! The search for orders by staff.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use orders::{Email, FulfilmentStatus, Invalid, OrderId, OrderNumber, OrderStatus, PaymentStatus};
use serde::Deserialize;
use store::{OrderSearch, OrderSearchCursor};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::PersonalDataRead,
    page::PageLimit,
    problem::Problem,
    request::{Body, Moment},
    views::FoundOrders,
};

/// Filters for orders. They are in a body to keep e-mail addresses out of URLs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderSearchRequest {
    /// The order's id or number.
    #[schema(value_type = Option<String>)]
    order: Option<OrderName>,
    /// The shopper's whole e-mail address, in any case.
    email: Option<Email>,
    status: Option<OrderStatus>,
    payment: Option<PaymentStatus>,
    fulfilment: Option<FulfilmentStatus>,
    /// Placed at this time or later.
    placed_from: Option<Moment>,
    /// Placed before this time.
    placed_to: Option<Moment>,
    /// 1 to 100 orders, 24 by default.
    #[serde(default)]
    limit: PageLimit,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// An order's id or number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum OrderName {
    Id(OrderId),
    Number(OrderNumber),
}

impl TryFrom<String> for OrderName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(OrderId(id)));
        }
        let number = text.parse().map(Self::Number);
        number.map_err(|_| Invalid("must be an order's id or number"))
    }
}

/// Searches the orders of all shoppers, the newest first.
#[utoipa::path(post, path = "/v1/orders/search", operation_id = "search_orders", tag = "orders", request_body = OrderSearchRequest,
    responses((status = 200, body = FoundOrders), Failures))]
pub(crate) async fn find(
    State(state): State<Arc<AppState>>,
    Body(request): Body<OrderSearchRequest>,
) -> Result<impl IntoResponse, Problem> {
    let limit = request.limit.get();
    let (search, from) = request.search()?;
    let orders = state.database.orders().search(&search, from, limit).await?;
    let found = FoundOrders {
        items: orders.items.iter().map(Into::into).collect(),
        next_cursor: orders.next_cursor,
    };
    Ok((PersonalDataRead::MARK, Json(found)))
}

impl OrderSearchRequest {
    fn search(self) -> Result<(OrderSearch, OrderSearchCursor), Problem> {
        let (id, number) = match self.order {
            Some(OrderName::Id(id)) => (Some(id), None),
            Some(OrderName::Number(number)) => (None, Some(number)),
            None => (None, None),
        };
        let search = OrderSearch {
            id,
            number,
            email: self.email,
            status: self.status,
            payment: self.payment,
            fulfilment: self.fulfilment,
            placed_from: self.placed_from.map(Moment::get),
            placed_to: self.placed_to.map(Moment::get),
        };
        let from = self.cursor.map(|cursor| cursor.parse()).transpose()?;
        Ok((search, from.unwrap_or(OrderSearchCursor::NEWEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_searched_by_its_id_or_its_number() {
        let id = OrderId::generate();
        assert_eq!(id.to_string().try_into(), Ok(OrderName::Id(id)));
        let sloppy = id.number().as_str().to_lowercase();
        assert_eq!(sloppy.try_into(), Ok(OrderName::Number(id.number())));
        for bad in ["", "<script>alert(1)</script>", "0000"] {
            assert!(OrderName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
