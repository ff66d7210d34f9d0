//! Places, lists, reads and cancels orders.

pub(crate) mod search;

use std::sync::Arc;

use access::Scope;
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use orders::{
    CancelledBy, Currency, CurrencyRules, Order, OrderEvent, OrderId, OrderStatus, Placement,
    Shopper, ShopperId, catalogue::Language,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Claim, Command, Database, Executions, KeyUse, OrderCursor, OrderToAccept, Queue,
    StoredResponse, UnpaidLimits, Work, catalogue::Catalogue,
};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    audit::{Changed, PersonalDataRead},
    authorization::Caller,
    page::PageQuery,
    problem::{Problem, ProblemType},
    query::Query,
    request::{AcceptLanguage, Body, Key, Origin, Reason},
    views::{OrderList, OrderView, RefundsView, Timeline},
};

/// The limit of orders of one shopper.
const ORDERS_PER_MINUTE: i32 = 60;

/// Places an order.
///
/// The order is stored; payment and shipping follow. A repeated request with the same key gets the
/// first response again.
///
/// `409 out-of-stock`, `422 order-too-large`, `429 too-many-orders` or `429 too-much-unpaid` if the
/// order was not placed.
#[utoipa::path(post, path = "/v1/orders", operation_id = "place_order", tag = "orders", request_body = Placement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    origin: Origin,
    AcceptLanguage(language): AcceptLanguage,
    key: Key,
    Body(placement): Body<Placement>,
) -> Result<Response, Problem> {
    let claim = key.claim(caller.id, "POST /v1/orders", &placement);
    let shopper = Shopper {
        id: caller.id,
        email: caller.email,
    };
    let order = NewOrder {
        placement,
        shopper,
        origin,
        language,
        orders_per_minute: ORDERS_PER_MINUTE,
    };
    Ok(respond_created(
        state.order_desk().place(order, &claim).await?,
    ))
}

/// The caller's order that was placed with the key, or 204 if there is none.
///
/// For a caller that got no response and cannot or will not repeat the request: the body does not
/// matter. Until `IdempotencyHours` have passed, 204 means that no request with the key has been
/// accepted so far; one that is still in progress may be. The key must be hard to guess.
#[utoipa::path(post, path = "/v1/orders/placed", operation_id = "find_placed_order", tag = "orders",
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), (status = 204, description = "None was placed with the key"), Failures))]
pub(crate) async fn placed(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    key: Key,
) -> Result<Response, Problem> {
    find_placed_with(&state.database, &key, caller.id).await
}

/// An order to place.
pub(crate) struct NewOrder {
    pub(crate) placement: Placement,
    pub(crate) shopper: Shopper,
    /// The network of the request.
    pub(crate) origin: Origin,
    /// The language of the products' titles in the order.
    pub(crate) language: Language,
    /// The limit of orders of the shopper.
    pub(crate) orders_per_minute: i32,
}

/// The caller's orders, the newest first.
#[utoipa::path(get, path = "/v1/orders", operation_id = "list_orders", tag = "orders",
    params(PageQuery), responses((status = 200, body = OrderList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<OrderList>, Problem> {
    let (from, limit) = page.resolve(OrderCursor::NEWEST)?;
    let orders = state
        .database
        .orders()
        .list_by_shopper(caller.id, from, limit)
        .await?;
    let items = orders.items.iter().map(Into::into).collect();
    Ok(Json(OrderList {
        items,
        next_cursor: orders.next_cursor,
    }))
}

/// An order of the caller, or any order with `orders:read-any`.
///
/// With that scope, the order has `for_staff`.
#[utoipa::path(get, path = "/v1/orders/{id}", operation_id = "get_order", tag = "orders",
    params(("id" = OrderId, Path)), responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = find_visible_order(&state, &caller, &id).await?;
    let mut view = OrderView::from(&order);
    if caller.holds(Scope::OrdersReadAny) {
        let (events, approvals) = tokio::try_join!(
            state.database.orders().timeline(order.id),
            state
                .database
                .refunds()
                .list_approvals_of(order.id, Timestamp::now()),
        )?;
        let refunds = RefundsView {
            approvals,
            approval_above_cents: state.refund_rules.approval_above,
        };
        view = view.with_staff_part(&order, &events, refunds);
    }
    let read = PersonalDataRead::unless_own(&caller, order.shopper.id);
    Ok((read, Json(view)))
}

/// The events of an order of the caller, or of any order with `orders:read-any`.
///
/// With that scope, the events include the reasons that staff have given.
#[utoipa::path(get, path = "/v1/orders/{id}/events", operation_id = "list_order_events", tag = "orders",
    params(("id" = OrderId, Path)), responses((status = 200, body = Timeline), Failures))]
pub(crate) async fn events(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = find_visible_order(&state, &caller, &id).await?;
    let mut items = state.database.orders().timeline(order.id).await?;
    if !caller.holds(Scope::OrdersReadAny) {
        items = items
            .into_iter()
            .filter_map(orders::TimelineEntry::for_shopper)
            .collect();
    }
    let read = PersonalDataRead::unless_own(&caller, order.shopper.id);
    Ok((read, Json(Timeline { items })))
}

/// The reason for a cancellation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// Visible to staff only. Required for an order of another shopper.
    reason: Option<Reason>,
}

/// Cancels an order of the caller, or any order with `orders:cancel-any`.
///
/// `409 order-not-cancellable` once a parcel may be on its way. A repeated request with the same
/// key gets the first response again.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", request_body = Option<CancelRequest>,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    request: Option<Body<CancelRequest>>,
) -> Result<Response, Problem> {
    let order = find_visible_order(&state, &caller, &id).await?;
    let reason = request.and_then(|Body(request)| request.reason);
    let cancelled = cancelled_event(&caller, &order, reason)?;
    let claim = key.claim(
        caller.id,
        "POST /v1/orders/{id}/cancel",
        &(order.id, &cancelled),
    );
    let answer = state
        .order_desk()
        .cancel(order.id, cancelled, &claim)
        .await?;
    let changed = Changed::new(
        &json!({ "status": order.status }),
        &json!({ "status": OrderStatus::Cancelled }),
    );
    Ok((Extension(changed), respond(StatusCode::OK, answer)).into_response())
}

/// The event that cancels the order, by its shopper or by staff, who must give a reason.
fn cancelled_event(
    caller: &Caller,
    order: &Order,
    reason: Option<Reason>,
) -> Result<OrderEvent, Problem> {
    let by = match &reason {
        _ if order.shopper.id == caller.id => CancelledBy::Shopper,
        _ if !caller.holds(Scope::OrdersCancelAny) => {
            let detail = "You may read the order, but not cancel it.";
            return Err(Problem::new(ProblemType::Forbidden, detail));
        }
        None => {
            let rule = "must be given for an order of another shopper";
            return Err(Problem::new(ProblemType::Validation, rule).at("reason"));
        }
        Some(_) => CancelledBy::Staff,
    };
    let reason = reason.map(|reason| reason.as_str().to_owned());
    Ok(OrderEvent::Cancelled {
        by,
        reason: reason.unwrap_or_default(),
    })
}

/// The order, or 404 if the caller may not read it.
async fn find_visible_order(state: &AppState, caller: &Caller, id: &str) -> Result<Order, Problem> {
    let order = state.database.orders().find(parse_order_id(id)?).await?;
    order
        .filter(|order| order.shopper.id == caller.id || caller.holds(Scope::OrdersReadAny))
        .ok_or_else(|| Problem::not_found("order"))
}

/// Parses an order's id in a path. 404 if it is not a UUID.
pub(crate) fn parse_order_id(id: &str) -> Result<OrderId, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("order"))?;
    Ok(OrderId(id))
}

/// What it takes to accept and to cancel orders.
pub(crate) struct OrderDesk<'a> {
    database: &'a Database,
    catalogue: &'a Catalogue,
    executions: &'a Executions,
    releases: &'a Queue<Command>,
    max_unpaid: UnpaidLimits,
}

impl AppState {
    pub(crate) const fn order_desk(&self) -> OrderDesk<'_> {
        OrderDesk {
            database: &self.database,
            catalogue: &self.catalogue,
            executions: &self.executions,
            releases: &self.releases,
            max_unpaid: self.max_unpaid,
        }
    }
}

impl OrderDesk<'_> {
    /// Prices the order, stores it and starts its execution. A claim that was carried out before
    /// gets its first response again.
    pub(crate) async fn place(
        &self,
        new: NewOrder,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let placement = new.placement;
        let products = self.catalogue.products(&placement.skus()).await?;
        let (id, now) = (OrderId::generate(), Timestamp::now());
        let order = placement
            .clone()
            .into_order(id, new.shopper, &products, new.language, now);
        let order = match order {
            Ok(order) => order,
            // A product may have been deleted since the first response.
            Err(error) => {
                return replay(self.database, claim)
                    .await?
                    .ok_or_else(|| error.into());
            }
        };
        let acceptance = OrderToAccept {
            order: &order,
            claim,
            answer: order_json(&order),
            orders_a_minute: new.orders_per_minute,
            network: &new.origin.network,
            max_unpaid: self.max_unpaid_in(&order.currency),
        };
        let accepted = self.accept(acceptance).await;
        accepted.map_err(|error| match error {
            store::AcceptError::OutOfStock(ref skus) => match placement.field_of(skus) {
                Some(field) => Problem::from(error).at(field),
                None => error.into(),
            },
            error => error.into(),
        })
    }

    /// The limits of unpaid orders, which are configured in euros, in the given currency.
    fn max_unpaid_in(&self, currency: &Currency) -> UnpaidLimits {
        let limits = self.max_unpaid;
        let rules = CurrencyRules::of(currency.as_str());
        rules.map_or(limits, |rules| UnpaidLimits {
            cents: rules.convert_from_euro(limits.cents),
            ..limits
        })
    }

    /// Accepts the order and starts its execution.
    async fn accept(
        &self,
        acceptance: OrderToAccept<'_>,
    ) -> Result<StoredResponse, store::AcceptError> {
        let order = acceptance.order;
        let answer = self.database.orders().accept(acceptance).await?;
        if !answer.replayed {
            tracing::info!(order_id = %order.id, total_cents = order.total.get(), "order.accepted");
            start_execution(self.executions, Work::Order(order.id)).await;
        }
        Ok(answer)
    }

    /// Records the cancellation, unless the order is cancelled already. The order's execution then
    /// voids its payment and label.
    pub(crate) async fn cancel(
        &self,
        id: OrderId,
        cancelled: OrderEvent,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let decide = |order: &Order| match order.status {
            OrderStatus::Cancelled => Vec::new(),
            _ => vec![cancelled.clone()],
        };
        let now = Timestamp::now();
        let recorded = self
            .database
            .orders()
            .record_once(id, now, claim, decide, order_json);
        let answer = recorded.await?;
        tracing::info!(order_id = %id, replayed = answer.replayed, "order.cancelled");
        if !answer.replayed {
            self.resume_cancelled(id).await;
        }
        Ok(answer)
    }

    /// Resumes the execution of a cancelled order if it waits. If the message is lost, the
    /// execution resumes at its own time.
    async fn resume_cancelled(&self, id: OrderId) {
        if let Err(error) = self.releases.undo(id).await {
            tracing::warn!(order_id = %id, %error, "order.not_resumed");
        }
    }
}

/// The response with the shopper's order that was placed with the key, or 204.
///
/// The routes are POSTs, so that the primary is read: a standby may not have the order yet.
/// They answer 204 and not 404, which a proxy or an older version of the API could send too.
pub(crate) async fn find_placed_with(
    database: &Database,
    key: &Key,
    shopper: ShopperId,
) -> Result<Response, Problem> {
    let answer = database
        .idempotency_keys()
        .find_response(shopper, key.get())
        .await?;
    let Some(id) = answer.as_deref().and_then(parse_body_id) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let order = database.orders().find(parse_order_id(&id)?).await?;
    let own = order.filter(|order| order.shopper.id == shopper);
    Ok(own.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |order| Json(OrderView::from(&order)).into_response(),
    ))
}

/// The response of an earlier call with the same claim. 422 if its request was different.
pub(crate) async fn replay(
    database: &Database,
    claim: &Claim,
) -> Result<Option<StoredResponse>, Problem> {
    match database.idempotency_keys().find_use(claim).await? {
        KeyUse::None => Ok(None),
        KeyUse::Same(answer) => Ok(Some(answer)),
        KeyUse::Other => Err(Problem::key_reused()),
    }
}

/// Starts an execution. If that fails, the sweep starts it later.
pub(crate) async fn start_execution(executions: &Executions, work: Work) {
    if let Err(error) = executions.start(work).await {
        tracing::warn!(%work, %error, "work.not_started");
    }
}

fn order_json(order: &Order) -> String {
    // Cannot fail: every value of an order is valid in JSON.
    serde_json::to_string(&OrderView::from(order)).unwrap_or_default()
}

/// A 201 whose `Location` has the id from the body, which may be that of an earlier call.
fn respond_created(answer: StoredResponse) -> Response {
    let id = parse_body_id(&answer.body).unwrap_or_default();
    let location = [(header::LOCATION, format!("/v1/orders/{id}"))];
    (location, respond(StatusCode::CREATED, answer)).into_response()
}

/// The `id` in a response body.
fn parse_body_id(body: &str) -> Option<String> {
    let body = serde_json::from_str::<serde_json::Value>(body).ok()?;
    Some(body.get("id")?.as_str()?.to_owned())
}

/// A response with a stored body. `Idempotent-Replayed: true` marks a replay.
pub(crate) fn respond(status: StatusCode, answer: StoredResponse) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let replayed = answer
        .replayed
        .then_some([(HeaderName::from_static("idempotent-replayed"), "true")]);
    match replayed {
        Some(replayed) => (status, json, replayed, answer.body).into_response(),
        None => (status, json, answer.body).into_response(),
    }
}
