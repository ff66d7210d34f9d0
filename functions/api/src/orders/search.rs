//! Staff's search for orders.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
};
use jiff::Timestamp;
use orders::{Email, FulfilmentStatus, OrderId, OrderStatus, PaymentStatus};
use store::{OrderSearch, SearchFrom};
use strum::VariantNames;

use crate::{
    Failures, Shop, page,
    problem::{Kind, Problem},
    request::Caller,
    views::FoundOrders,
};

/// Orders of anybody that are as they must be, the newest first.
#[utoipa::path(get, path = "/v1/orders/search", operation_id = "search_orders", tag = "orders", security(("token" = ["orders:read-any"])), params(
    ("order" = Option<String>, Query, description = "The order's id or number"),
    ("email" = Option<Email>, Query, description = "The whole address, in small letters or capital ones"),
    ("status" = Option<OrderStatus>, Query),
    ("payment" = Option<PaymentStatus>, Query),
    ("fulfilment" = Option<FulfilmentStatus>, Query),
    ("placed_from" = Option<Timestamp>, Query, description = "Placed then or later"),
    ("placed_to" = Option<Timestamp>, Query, description = "Placed before then"),
    ("limit" = Option<u8>, Query, description = "1 to 100 orders, 24 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses((status = 200, body = FoundOrders), Failures))]
pub(crate) async fn find(
    State(shop): State<Arc<Shop>>,
    _: Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<FoundOrders>, Problem> {
    let (search, from, limit) = wanted(parameters)?;
    let orders = shop.database.find_orders(&search, from, limit).await?;
    Ok(Json(FoundOrders {
        items: orders.items.iter().map(Into::into).collect(),
        next_cursor: orders.next_cursor,
    }))
}

type Wanted = (OrderSearch, SearchFrom, u8);

fn wanted(parameters: Vec<(String, String)>) -> Result<Wanted, Problem> {
    let (mut search, mut from, mut limit) = (
        OrderSearch::default(),
        SearchFrom::NEWEST,
        page::DEFAULT_LIMIT,
    );
    for (name, value) in parameters {
        let invalid = |rule: String| Problem::new(Kind::Validation, rule).at(name.as_str());
        match name.as_str() {
            "order" => {
                search.id = value.parse().ok().map(OrderId);
                if search.id.is_none() {
                    let number = value.parse();
                    let rule = "must be the id or the number of an order";
                    search.number = Some(number.map_err(|_| invalid(rule.to_owned()))?);
                }
            }
            "email" => {
                let email = value.parse::<Email>();
                search.email = Some(email.map_err(|rule| invalid(rule.to_string()))?);
            }
            "status" => search.status = Some(one_of(&value).map_err(invalid)?),
            "payment" => search.payment = Some(one_of(&value).map_err(invalid)?),
            "fulfilment" => search.fulfilment = Some(one_of(&value).map_err(invalid)?),
            "placed_from" => search.placed_from = Some(time(&value).map_err(invalid)?),
            "placed_to" => search.placed_to = Some(time(&value).map_err(invalid)?),
            "limit" => limit = page::limit(&value)?,
            "cursor" => from = value.parse()?,
            _ => return Err(invalid("is not a parameter of this list".to_owned())),
        }
    }
    Ok((search, from, limit))
}

fn one_of<T: FromStr + VariantNames>(value: &str) -> Result<T, String> {
    let rule = |_| format!("must be one of {}", T::VARIANTS.join(", "));
    value.parse().map_err(rule)
}

/// A time as late as computers tell it; the database does not know all earlier ones.
fn time(value: &str) -> Result<Timestamp, String> {
    let time = value.parse().ok();
    time.filter(|time| *time >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| "must be a time, such as 2026-11-25T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(parameters: &[(&str, &str)]) -> Result<Wanted, Problem> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        wanted(parameters.iter().map(owned).collect())
    }

    #[test]
    fn an_order_is_asked_for_by_its_id_or_its_number() {
        let id = OrderId::generate();
        let (by_id, ..) = search(&[("order", &id.to_string())]).unwrap();
        assert_eq!((by_id.id, by_id.number), (Some(id), None));
        let sloppy = id.number().as_str().to_lowercase();
        let (by_number, ..) = search(&[("order", &sloppy)]).unwrap();
        assert_eq!(by_number.number, Some(id.number()));
    }

    #[test]
    fn what_nothing_can_be_is_refused_by_its_name() {
        for (name, value) in [
            ("order", ""),
            ("order", "<script>alert(1)</script>"),
            ("email", "ana"),
            ("status", "captured"),
            ("payment", "Captured"),
            ("fulfilment", ""),
            ("placed_from", "yesterday"),
            ("placed_to", "-000044-03-15T12:00:00Z"),
            ("limit", "0"),
            ("cursor", "nonsense"),
            ("colour", "red"),
        ] {
            let problem = search(&[(name, value)]).unwrap_err().summary();
            assert_eq!(problem["field"], name, "{problem}");
        }
        let problem = search(&[("status", "new")]).unwrap_err().summary();
        let rule = "must be one of pending, confirmed, completed, cancelled";
        assert_eq!(problem["detail"], rule);
    }
}
