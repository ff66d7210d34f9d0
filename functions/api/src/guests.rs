//! Orders without an account.
//!
//! The e-mail address and the order's number are a guest's only credentials. So each attempt is
//! counted, and every wrong one gets the same 404.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use orders::{
    Address, CancelledBy, Currency, Email, Order, OrderEvent, OrderNumber, PaymentMethod,
    Placement, RequestedLines, Shopper, ShopperId, TimelineEntry,
};
use serde::Deserialize;
use store::{Counter, Database, Limit};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    attempts::count_attempt,
    orders::{NewOrder, find_placed_with, replay, respond},
    problem::{Problem, ProblemType},
    request::{AcceptLanguage, Body, Key, Origin},
    views::{GuestOrder, OrderView},
};

/// The limit of orders in a minute from one network, and for one e-mail address. It is lower than a
/// shopper's, as a guest needs no account.
const ORDERS_PER_MINUTE: i32 = 10;

/// The limit of orders from one network.
const ORDERS: Limit = Limit::new(ORDERS_PER_MINUTE, 1);

/// The limit of look-ups from one network.
const LOOKUPS: Limit = Limit::new(10, 1);

/// The limit of look-ups for one e-mail address from all networks. Ten networks that try all the
/// time are needed to lock a guest out. They cannot guess a number, which has 50 random bits.
const LOOKUPS_FOR_EMAIL: Limit = Limit::new(6_000, 60);

/// An order without an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestPlacement {
    /// Receives messages about the order, and finds it again together with its number.
    email: Email,
    /// The currency of the prices that the guest was shown.
    currency: Currency,
    /// The products and their quantities.
    lines: RequestedLines,
    shipping_address: Address,
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

/// The number and the e-mail address of a guest's order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestRequest {
    /// The order's number.
    number: OrderNumber,
    /// The e-mail address that it was placed with.
    email: Email,
}

/// The guest whose order is looked up by its key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacedRequest {
    /// The e-mail address that the order was placed with.
    email: Email,
}

/// Places an order without an account.
///
/// A repeated request with the same key gets the first response again.
///
/// `409 out-of-stock`, `422 order-too-large`, `429 too-many-orders` or `429 too-much-unpaid` if the
/// order was not placed.
#[utoipa::path(post, path = "/v1/guest/orders", operation_id = "place_guest_order", tag = "guests", request_body = GuestPlacement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    AcceptLanguage(language): AcceptLanguage,
    key: Key,
    Body(request): Body<GuestPlacement>,
) -> Result<Response, Problem> {
    let (shopper, placement) = request.split();
    let claim = key.claim(shopper.id, "POST /v1/guest/orders", &placement);
    // Before the network's limit: a replay of a lost response is not another order.
    if let Some(answer) = replay(&state.database, &claim).await? {
        return Ok(respond(StatusCode::CREATED, answer));
    }
    // The orders for one e-mail address are counted when the order is accepted.
    let counters = origin.counters("guest.place", ORDERS);
    count_attempt(&state.database, &counters, ProblemType::TooManyOrders).await?;
    let order = NewOrder {
        placement,
        shopper,
        origin,
        language,
        orders_per_minute: ORDERS_PER_MINUTE,
    };
    Ok(respond(
        StatusCode::CREATED,
        state.order_desk().place(order, &claim).await?,
    ))
}

/// The guest's order that was placed with the key, or 204 if there is none.
///
/// The same as `POST /v1/orders/placed` for accounts. `429 too-many-tries` limits each network.
#[utoipa::path(post, path = "/v1/guest/orders/placed", operation_id = "find_placed_guest_order", tag = "guests", request_body = PlacedRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), (status = 204, description = "None was placed with the key"), Failures))]
pub(crate) async fn placed(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    key: Key,
    Body(request): Body<PlacedRequest>,
) -> Result<Response, Problem> {
    let counters = origin.counters("guest.placed", LOOKUPS);
    count_attempt(&state.database, &counters, ProblemType::TooManyTries).await?;
    let guest = ShopperId::guest(&request.email);
    find_placed_with(&state.database, &key, guest).await
}

/// An order that was placed without an account, with its events.
///
/// 404 if the number and the e-mail address do not belong together, or if the order has an account.
/// `429 too-many-tries` limits each network and each e-mail address.
#[utoipa::path(post, path = "/v1/guest/orders/find", operation_id = "find_guest_order", tag = "guests", request_body = GuestRequest,
    responses((status = 200, body = GuestOrder), Failures))]
pub(crate) async fn find(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    Body(request): Body<GuestRequest>,
) -> Result<Json<GuestOrder>, Problem> {
    let order = find_guest_order(&state.database, &origin, &request).await?;
    let events = state.database.orders().timeline(order.id).await?;
    Ok(Json(GuestOrder {
        order: (&order).into(),
        events: events
            .into_iter()
            .filter_map(TimelineEntry::for_shopper)
            .collect(),
    }))
}

/// Cancels an order that was placed without an account.
///
/// `409 order-not-cancellable` once a parcel may be on its way. A repeated request with the same
/// key gets the first response again.
#[utoipa::path(post, path = "/v1/guest/orders/cancel", operation_id = "cancel_guest_order", tag = "guests", request_body = GuestRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    key: Key,
    Body(request): Body<GuestRequest>,
) -> Result<Response, Problem> {
    let order = find_guest_order(&state.database, &origin, &request).await?;
    let claim = key.claim(order.shopper.id, "POST /v1/guest/orders/cancel", &order.id);
    let cancelled = OrderEvent::cancelled_by(CancelledBy::Shopper);
    let answer = state
        .order_desk()
        .cancel(order.id, cancelled, &claim)
        .await?;
    Ok(respond(StatusCode::OK, answer))
}

/// The guest's order. 404 for an order with an account, even if number and address match.
pub(crate) async fn find_guest_order(
    database: &Database,
    origin: &Origin,
    request: &GuestRequest,
) -> Result<Order, Problem> {
    let guest = ShopperId::guest(&request.email);
    let mut counters = origin.counters("guest.find", LOOKUPS);
    counters.push(Counter {
        name: format!("guest.find {}", guest.0),
        limit: LOOKUPS_FOR_EMAIL,
    });
    count_attempt(database, &counters, ProblemType::TooManyTries).await?;
    let order = database.orders().find_by_number(&request.number).await?;
    order
        .filter(|order| order.shopper.id == guest)
        .ok_or_else(|| Problem::not_found("order"))
}
