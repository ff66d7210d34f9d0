//! Orders without an account. A guest is known by the address and the order's number alone, so each
//! try is counted, and every wrong one gets the same answer.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use orders::{
    Address, CancelledBy, Currency, Email, Order, OrderEvent, OrderNumber, PaymentMethod,
    Placement, RequestedLines, Shopper, ShopperId, TimelineEntry,
};
use serde::Deserialize;
use store::{Counter, Limit};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    orders::{NewOrder, answered},
    problem::{Problem, ProblemType},
    request::{AcceptLanguage, Body, Key, Origin},
    views::{GuestOrder, OrderView},
};

/// The most orders in a minute from one network, and for one e-mail address: nobody vouches for a
/// guest.
const ORDERS_A_MINUTE: i32 = 10;

/// The most orders from one network.
const ORDERS: Limit = Limit::new(ORDERS_A_MINUTE, 1);

/// How often one network may try to find an order.
const TRIES: Limit = Limit::new(10, 1);

/// How often anybody may try to find an order of one e-mail address. It takes ten networks that try
/// all the time to lock a guest out. An order's number has 50 random bits: they find none.
const TRIES_OF_ALL: Limit = Limit::new(6_000, 60);

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

/// Whose order is looked for by its key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacedRequest {
    /// The address that it was placed with.
    email: Email,
}

/// Places an order without an account. Sent again with the same key, it is answered the same again.
#[utoipa::path(post, path = "/v1/guest/orders", operation_id = "place_guest_order", tag = "guests", request_body = GuestPlacement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(shop): State<Arc<AppState>>,
    origin: Origin,
    AcceptLanguage(language): AcceptLanguage,
    key: Key,
    Body(request): Body<GuestPlacement>,
) -> Result<Response, Problem> {
    let (shopper, placement) = request.split();
    let claim = key.claim(shopper.id, "POST /v1/guest/orders", &placement);
    // An answer that got lost is given again, however many others of the network order now.
    if let Some(answer) = shop.replay(&claim).await? {
        return Ok(answered(StatusCode::CREATED, answer));
    }
    // Those for one e-mail address are counted where the order is accepted.
    let counters = origin.counters("guest.place", ORDERS);
    shop.count(&counters, ProblemType::TooManyOrders).await?;
    let wanted = NewOrder {
        placement,
        shopper,
        origin,
        language,
        orders_a_minute: ORDERS_A_MINUTE,
    };
    Ok(answered(
        StatusCode::CREATED,
        shop.place(wanted, &claim).await?,
    ))
}

/// The guest's order that was placed with the key, as `POST /v1/orders/placed` answers for accounts;
/// 204 if there is none.
#[utoipa::path(post, path = "/v1/guest/orders/placed", operation_id = "find_placed_guest_order", tag = "guests", request_body = PlacedRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), (status = 204, description = "None was placed with the key"), Failures))]
pub(crate) async fn placed(
    State(shop): State<Arc<AppState>>,
    origin: Origin,
    key: Key,
    Body(request): Body<PlacedRequest>,
) -> Result<Response, Problem> {
    let counters = origin.counters("guest.placed", TRIES);
    shop.count(&counters, ProblemType::TooManyTries).await?;
    let guest = ShopperId::guest(&request.email);
    shop.placed_with(&key, guest).await
}

/// An order that was placed without an account, with what has happened to it.
#[utoipa::path(post, path = "/v1/guest/orders/find", operation_id = "find_guest_order", tag = "guests", request_body = GuestRequest,
    responses((status = 200, body = GuestOrder), Failures))]
pub(crate) async fn find(
    State(shop): State<Arc<AppState>>,
    origin: Origin,
    Body(request): Body<GuestRequest>,
) -> Result<Json<GuestOrder>, Problem> {
    let order = shop.guest_order(&origin, &request).await?;
    let events = shop.database.orders().timeline(order.id).await?;
    Ok(Json(GuestOrder {
        order: (&order).into(),
        events: events
            .into_iter()
            .filter_map(TimelineEntry::for_shopper)
            .collect(),
    }))
}

/// Calls off an order that was placed without an account, as long as no parcel can be on its way.
#[utoipa::path(post, path = "/v1/guest/orders/cancel", operation_id = "cancel_guest_order", tag = "guests", request_body = GuestRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(shop): State<Arc<AppState>>,
    origin: Origin,
    key: Key,
    Body(request): Body<GuestRequest>,
) -> Result<Response, Problem> {
    let order = shop.guest_order(&origin, &request).await?;
    let claim = key.claim(order.shopper.id, "POST /v1/guest/orders/cancel", &order.id);
    let end = OrderEvent::cancelled_by(CancelledBy::Shopper);
    let answer = shop.cancel(order.id, end, &claim).await?;
    Ok(answered(StatusCode::OK, answer))
}

impl AppState {
    /// The guest's order. An account's is as good as none, even if number and address are right.
    pub(crate) async fn guest_order(
        &self,
        origin: &Origin,
        wanted: &GuestRequest,
    ) -> Result<Order, Problem> {
        let guest = ShopperId::guest(&wanted.email);
        let mut counters = origin.counters("guest.find", TRIES);
        counters.push(Counter {
            name: format!("guest.find {}", guest.0),
            limit: TRIES_OF_ALL,
        });
        self.count(&counters, ProblemType::TooManyTries).await?;
        let order = self
            .database
            .orders()
            .find_by_number(&wanted.number)
            .await?;
        order
            .filter(|order| order.shopper.id == guest)
            .ok_or_else(|| Problem::not_found("order"))
    }
}
