//! Orders without an account. A guest is known by the address and the order's number alone, so each
//! try is counted, and whatever is wrong with it is answered the same.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use jiff::{Timestamp, tz::TimeZone};
use orders::{
    Address, CancelledBy, Currency, Email, Event, Kind as Happened, Order, OrderNumber,
    PaymentMethod, Placement, RequestedLines, Shopper, ShopperId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Failures, Shop,
    orders::{Wanted, answered},
    problem::{Kind, Problem},
    request::{Body, Key, Origin, Speaks},
    views::{GuestOrder, OrderView},
};

/// The most orders that are taken in a minute for one address, postal or electronic: nobody vouches
/// for a guest.
const ORDERS_A_MINUTE: i32 = 10;

/// How often in a minute one may try to find an order, and for one e-mail address.
const TRIES_A_MINUTE: i32 = 10;

/// An order without an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestPlacement {
    /// Where messages about the order go; the order is found again by it.
    email: Email,
    /// The currency the guest was shown.
    currency: Currency,
    /// What is wanted.
    lines: RequestedLines,
    /// Where it goes.
    shipping_address: Address,
    /// What it is paid with.
    payment_method: PaymentMethod,
}

impl GuestPlacement {
    fn split(self) -> (Shopper, Placement) {
        let placement = Placement {
            currency: self.currency,
            lines: self.lines,
            shipping_address: self.shipping_address,
            payment_method: self.payment_method,
        };
        (Shopper::guest(&self.email), placement)
    }
}

/// What a guest knows of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestRequest {
    /// The order's number.
    number: OrderNumber,
    /// The address that it was placed with.
    email: Email,
}

/// Places an order without an account. Sent again with the same key, it is answered the same again.
#[utoipa::path(post, path = "/v1/guest/orders", operation_id = "place_guest_order", tag = "guests", request_body = GuestPlacement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(shop): State<Arc<Shop>>,
    Origin(origin): Origin,
    Speaks(language): Speaks,
    key: Key,
    Body(request): Body<GuestPlacement>,
) -> Result<Response, Problem> {
    let (shopper, placement) = request.split();
    let claim = key.claim(shopper.id, "POST /v1/guest/orders", &placement);
    // Those for one e-mail address are counted where the order is accepted.
    let name = format!("guest.place {origin}");
    shop.count(&[&name], ORDERS_A_MINUTE, Kind::TooManyOrders)
        .await?;
    let wanted = Wanted {
        placement,
        shopper,
        language,
        orders_a_minute: ORDERS_A_MINUTE,
    };
    Ok(answered(
        StatusCode::CREATED,
        shop.place(wanted, &claim).await?,
    ))
}

/// An order that was placed without an account, with what has happened to it.
#[utoipa::path(post, path = "/v1/guest/orders/find", operation_id = "find_guest_order", tag = "guests", request_body = GuestRequest,
    responses((status = 200, body = GuestOrder), Failures))]
pub(crate) async fn find(
    State(shop): State<Arc<Shop>>,
    origin: Origin,
    Body(request): Body<GuestRequest>,
) -> Result<Json<GuestOrder>, Problem> {
    let order = shop.guest_order(&origin, &request).await?;
    let events = shop.database.timeline(order.id).await?;
    Ok(Json(GuestOrder {
        order: (&order).into(),
        events: events.into_iter().map(Event::for_shopper).collect(),
    }))
}

/// Calls off an order that was placed without an account, as long as no parcel can be on its way.
#[utoipa::path(post, path = "/v1/guest/orders/cancel", operation_id = "cancel_guest_order", tag = "guests", request_body = GuestRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(shop): State<Arc<Shop>>,
    origin: Origin,
    key: Key,
    Body(request): Body<GuestRequest>,
) -> Result<Response, Problem> {
    let order = shop.guest_order(&origin, &request).await?;
    let claim = key.claim(order.shopper.id, "POST /v1/guest/orders/cancel", &order.id);
    let end = Happened::cancelled_by(CancelledBy::Shopper);
    let answer = shop.cancel(order.id, end, &claim).await?;
    Ok(answered(StatusCode::OK, answer))
}

impl Shop {
    /// The guest's order. An account's is as good as none, even if number and address are right.
    async fn guest_order(
        &self,
        Origin(origin): &Origin,
        wanted: &GuestRequest,
    ) -> Result<Order, Problem> {
        let guest = ShopperId::guest(&wanted.email);
        let names = [
            format!("guest.find {origin}"),
            format!("guest.find {}", guest.0),
        ];
        let names = names.each_ref().map(String::as_str);
        self.count(&names, TRIES_A_MINUTE, Kind::TooManyTries)
            .await?;
        let order = self.database.order_of_number(&wanted.number).await?;
        order
            .filter(|order| order.shopper.id == guest)
            .ok_or_else(|| Problem::not_found("order"))
    }

    /// Counts one more try under each of these names, unless there were too many in this minute.
    async fn count(&self, names: &[&str], limit: i32, kind: Kind) -> Result<(), Problem> {
        let now = Timestamp::now();
        if self.database.count_attempt(names, now).await? <= limit {
            return Ok(());
        }
        let next_minute = 60 - now.to_zoned(TimeZone::UTC).second().unsigned_abs();
        Err(Problem::new(kind, "Please wait a minute.").after(next_minute.into()))
    }
}
