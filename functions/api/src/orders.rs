//! Placing orders, following them, finding them, calling them off.

pub(crate) mod search;

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{
    CancelledBy, Kind as Event, Order, OrderId, OrderStatus, Placement, Shopper,
    catalogue::Language,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Acceptance, Answer, Claim, KeyUse, OrdersFrom, Work};
use utoipa::ToSchema;

use crate::{
    Failures, Shop,
    audit::Changed,
    page,
    problem::{Kind, Problem},
    request::{Body, Caller, Key, Reason, Speaks},
    views::{OrderList, OrderView, Timeline},
};

/// The most orders that one shopper may place in a minute.
const ORDERS_A_MINUTE: i32 = 60;

/// Places an order. Sent again with the same key, it is answered the same again.
#[utoipa::path(post, path = "/v1/orders", operation_id = "place_order", tag = "orders", security(("token" = ["orders:write"])), request_body = Placement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Speaks(language): Speaks,
    key: Key,
    Body(placement): Body<Placement>,
) -> Result<Response, Problem> {
    let claim = key.claim(caller.id, "POST /v1/orders", &placement);
    let shopper = Shopper {
        id: caller.id,
        email: caller.email,
    };
    let wanted = Wanted {
        placement,
        shopper,
        language,
        orders_a_minute: ORDERS_A_MINUTE,
    };
    Ok(created(shop.place(wanted, &claim).await?))
}

/// An order that somebody wants to place.
pub(crate) struct Wanted {
    pub(crate) placement: Placement,
    pub(crate) shopper: Shopper,
    /// What its products are to be called in.
    pub(crate) language: Language,
    /// The most orders that the shopper may place in a minute.
    pub(crate) orders_a_minute: i32,
}

/// The caller's orders, the newest first.
#[utoipa::path(get, path = "/v1/orders", operation_id = "list_orders", tag = "orders", security(("token" = ["orders:read"])), params(
    ("limit" = Option<u8>, Query, description = "1 to 100 orders, 24 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses((status = 200, body = OrderList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<OrderList>, Problem> {
    let (from, limit) = page::of(OrdersFrom::NEWEST, parameters)?;
    let orders = shop.database.orders_of(caller.id, from, limit).await?;
    let items = orders.items.iter().map(Into::into).collect();
    Ok(Json(OrderList {
        items,
        next_cursor: orders.next_cursor,
    }))
}

/// One order of the caller's; of anybody's with `orders:read-any`.
#[utoipa::path(get, path = "/v1/orders/{id}", operation_id = "get_order", tag = "orders", security(("token" = ["orders:read"])),
    params(("id" = OrderId, Path)), responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn get(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<OrderView>, Problem> {
    let order = visible(&shop, &caller, &id).await?;
    let view = OrderView::from(&order);
    if !caller.reads_any_order() {
        return Ok(Json(view));
    }
    let events = shop.database.timeline(order.id).await?;
    Ok(Json(view.with_staff_part(&order, &events)))
}

/// What has happened to one order of the caller's; to anybody's with `orders:read-any`.
///
/// With that scope, the reasons that staff have given are told, too.
#[utoipa::path(get, path = "/v1/orders/{id}/events", operation_id = "list_order_events", tag = "orders", security(("token" = ["orders:read"])),
    params(("id" = OrderId, Path)), responses((status = 200, body = Timeline), Failures))]
pub(crate) async fn events(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Timeline>, Problem> {
    let order = visible(&shop, &caller, &id).await?;
    let mut items = shop.database.timeline(order.id).await?;
    if !caller.reads_any_order() {
        items = items.into_iter().map(orders::Event::for_shopper).collect();
    }
    Ok(Json(Timeline { items }))
}

/// Why an order is called off.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// Why, for staff alone. It must be given for an order of somebody else.
    reason: Option<Reason>,
}

/// Calls off one order of the caller's, as long as no parcel can be on its way; with
/// `orders:cancel-any`, anybody's.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", security(("token" = ["orders:write"])), request_body = Option<CancelRequest>,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    request: Option<Body<CancelRequest>>,
) -> Result<Response, Problem> {
    let order = visible(&shop, &caller, &id).await?;
    let reason = request.and_then(|Body(request)| request.reason);
    let end = end(&caller, &order, reason)?;
    let claim = key.claim(caller.id, "POST /v1/orders/{id}/cancel", &(order.id, &end));
    let answer = shop.cancel(order.id, end, &claim).await?;
    let changed = Changed::new(
        &json!({ "status": order.status }),
        &json!({ "status": OrderStatus::Cancelled }),
    );
    Ok((Extension(changed), answered(StatusCode::OK, answer)).into_response())
}

/// How the caller ends the order: as its shopper, or as staff, who say why.
fn end(caller: &Caller, order: &Order, reason: Option<Reason>) -> Result<Event, Problem> {
    let by = match &reason {
        _ if order.shopper.id == caller.id => CancelledBy::Shopper,
        _ if !caller.cancels_any_order() => {
            return Err(Problem::new(Kind::Forbidden, "You may only look at it."));
        }
        None => {
            let rule = "must be given for an order of somebody else";
            return Err(Problem::new(Kind::Validation, rule).at("reason"));
        }
        Some(_) => CancelledBy::Staff,
    };
    let reason = reason.map(|reason| reason.as_str().to_owned());
    Ok(Event::Cancelled {
        by,
        reason: reason.unwrap_or_default(),
    })
}

/// The order of that id, if the caller may look at it. Another is as good as none.
async fn visible(shop: &Shop, caller: &Caller, id: &str) -> Result<Order, Problem> {
    let order = shop.database.order(order_id(id)?).await?;
    order
        .filter(|order| order.shopper.id == caller.id || caller.reads_any_order())
        .ok_or_else(|| Problem::not_found("order"))
}

/// The id in a path. What is no id names no order.
pub(crate) fn order_id(id: &str) -> Result<OrderId, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("order"))?;
    Ok(OrderId(id))
}

impl Shop {
    /// Prices what is wanted, accepts it and starts its execution; or answers as before, if the claim
    /// is an old one.
    pub(crate) async fn place(&self, wanted: Wanted, claim: &Claim) -> Result<Answer, Problem> {
        let placement = wanted.placement;
        let products = self.catalogue.products(&placement.skus()).await?;
        let (id, now) = (OrderId::generate(), Timestamp::now());
        let order =
            placement
                .clone()
                .into_order(id, wanted.shopper, &products, wanted.language, now);
        let order = match order {
            Ok(order) => order,
            // Since the first answer, a product may have been taken out of the catalogue.
            Err(error) => return self.replay(claim).await?.ok_or_else(|| error.into()),
        };
        let accepted = self.accept(&order, claim, wanted.orders_a_minute).await;
        accepted.map_err(|error| match error {
            store::AcceptError::OutOfStock(ref skus) => match placement.field_of(skus) {
                Some(field) => Problem::from(error).at(field),
                None => error.into(),
            },
            error => error.into(),
        })
    }

    /// Accepts the order and starts its execution.
    async fn accept(
        &self,
        order: &Order,
        claim: &Claim,
        orders_a_minute: i32,
    ) -> Result<Answer, store::AcceptError> {
        let acceptance = Acceptance {
            order,
            claim,
            answer: body(order),
            orders_a_minute,
        };
        let answer = self.database.accept(acceptance).await?;
        if !answer.replayed {
            tracing::info!(order_id = %order.id, total_cents = order.total.get(), "order.accepted");
            self.start(Work::Order(order.id)).await;
        }
        Ok(answer)
    }

    /// Ends the order, unless that is done already; its execution undoes it.
    pub(crate) async fn cancel(
        &self,
        id: OrderId,
        end: Event,
        claim: &Claim,
    ) -> Result<Answer, Problem> {
        let decide = |order: &Order| match order.status {
            OrderStatus::Cancelled => Vec::new(),
            _ => vec![end.clone()],
        };
        let now = Timestamp::now();
        let recorded = self.database.record_once(id, now, claim, decide, body);
        let answer = recorded.await?;
        tracing::info!(order_id = %id, replayed = answer.replayed, "order.cancelled");
        Ok(answer)
    }

    /// What an earlier call with the claim was answered.
    async fn replay(&self, claim: &Claim) -> Result<Option<Answer>, Problem> {
        match self.database.key_use(claim).await? {
            KeyUse::None => Ok(None),
            KeyUse::Same(answer) => Ok(Some(answer)),
            KeyUse::Other => Err(Problem::key_reused()),
        }
    }

    /// Starts an execution; what cannot be started now, the sweep will.
    pub(crate) async fn start(&self, work: Work) {
        if let Err(error) = self.executions.start(work).await {
            tracing::warn!(%work, %error, "work.not_started");
        }
    }
}

fn body(order: &Order) -> String {
    // An order was read from JSON or from columns that JSON can hold.
    serde_json::to_string(&OrderView::from(order)).unwrap_or_default()
}

/// The order's address is in its body, which may be of an earlier call.
fn created(answer: Answer) -> Response {
    let id = serde_json::from_str::<serde_json::Value>(&answer.body)
        .ok()
        .and_then(|order| Some(order.get("id")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let location = [(header::LOCATION, format!("/v1/orders/{id}"))];
    (location, answered(StatusCode::CREATED, answer)).into_response()
}

pub(crate) fn answered(status: StatusCode, answer: Answer) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let replayed = answer
        .replayed
        .then_some([(HeaderName::from_static("idempotent-replayed"), "true")]);
    match replayed {
        Some(replayed) => (status, json, replayed, answer.body).into_response(),
        None => (status, json, answer.body).into_response(),
    }
}
