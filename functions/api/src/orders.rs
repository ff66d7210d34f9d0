//! Placing orders, following them, finding them, calling them off.

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
use store::{Acceptance, Claim, KeyUse, OrdersFrom, StoredResponse, UnpaidLimits, Work};
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

/// The most orders that one shopper may place in a minute.
const ORDERS_A_MINUTE: i32 = 60;

/// Places an order. Sent again with the same key, it is answered the same again.
#[utoipa::path(post, path = "/v1/orders", operation_id = "place_order", tag = "orders", request_body = Placement,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = OrderView), Failures))]
pub(crate) async fn place(
    State(shop): State<Arc<AppState>>,
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
    let wanted = NewOrder {
        placement,
        shopper,
        origin,
        language,
        orders_a_minute: ORDERS_A_MINUTE,
    };
    Ok(created(shop.place(wanted, &claim).await?))
}

/// The caller's order that was placed with the key, also by a request with another body; 204 if there
/// is none.
///
/// It is for a caller who got no answer and no longer has the request, or wants something else by
/// now. Until `IdempotencyHours` have passed, a 204 means that no request with the key was accepted;
/// one that is still under way may be. The key must be hard to guess.
#[utoipa::path(post, path = "/v1/orders/placed", operation_id = "find_placed_order", tag = "orders",
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), (status = 204, description = "None was placed with the key"), Failures))]
pub(crate) async fn placed(
    State(shop): State<Arc<AppState>>,
    caller: Caller,
    key: Key,
) -> Result<Response, Problem> {
    shop.placed_with(&key, caller.id).await
}

/// An order that somebody wants to place.
pub(crate) struct NewOrder {
    pub(crate) placement: Placement,
    pub(crate) shopper: Shopper,
    /// The network that it comes from.
    pub(crate) origin: Origin,
    /// What its products are to be called in.
    pub(crate) language: Language,
    /// The most orders that the shopper may place in a minute.
    pub(crate) orders_a_minute: i32,
}

/// The caller's orders, the newest first.
#[utoipa::path(get, path = "/v1/orders", operation_id = "list_orders", tag = "orders",
    params(PageQuery), responses((status = 200, body = OrderList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<AppState>>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<OrderList>, Problem> {
    let (from, limit) = page.resolve(OrdersFrom::NEWEST)?;
    let orders = shop
        .database
        .orders()
        .list_of_shopper(caller.id, from, limit)
        .await?;
    let items = orders.items.iter().map(Into::into).collect();
    Ok(Json(OrderList {
        items,
        next_cursor: orders.next_cursor,
    }))
}

/// One order of the caller's; of anybody's with `orders:read-any`.
#[utoipa::path(get, path = "/v1/orders/{id}", operation_id = "get_order", tag = "orders",
    params(("id" = OrderId, Path)), responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn get(
    State(shop): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = visible(&shop, &caller, &id).await?;
    let mut view = OrderView::from(&order);
    if caller.holds(Scope::OrdersReadAny) {
        let (events, approvals) = tokio::try_join!(
            shop.database.orders().timeline(order.id),
            shop.database
                .refunds()
                .list_approvals_of(order.id, Timestamp::now()),
        )?;
        let refunds = RefundsView {
            approvals,
            approval_above_cents: shop.refund_rules.approval_above,
        };
        view = view.with_staff_part(&order, &events, refunds);
    }
    let read = PersonalDataRead::unless_own(&caller, order.shopper.id);
    Ok((read, Json(view)))
}

/// What has happened to one order of the caller's; to anybody's with `orders:read-any`.
///
/// With that scope, the reasons that staff have given are told, too.
#[utoipa::path(get, path = "/v1/orders/{id}/events", operation_id = "list_order_events", tag = "orders",
    params(("id" = OrderId, Path)), responses((status = 200, body = Timeline), Failures))]
pub(crate) async fn events(
    State(shop): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = visible(&shop, &caller, &id).await?;
    let mut items = shop.database.orders().timeline(order.id).await?;
    if !caller.holds(Scope::OrdersReadAny) {
        items = items
            .into_iter()
            .filter_map(orders::TimelineEntry::for_shopper)
            .collect();
    }
    let read = PersonalDataRead::unless_own(&caller, order.shopper.id);
    Ok((read, Json(Timeline { items })))
}

/// Why an order is cancelled.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// Why, for staff alone. It must be given for an order of somebody else.
    reason: Option<Reason>,
}

/// Calls off one order of the caller's, as long as no parcel can be on its way; with
/// `orders:cancel-any`, anybody's.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", request_body = Option<CancelRequest>,
    params(("id" = OrderId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OrderView), Failures))]
pub(crate) async fn cancel(
    State(shop): State<Arc<AppState>>,
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
fn end(caller: &Caller, order: &Order, reason: Option<Reason>) -> Result<OrderEvent, Problem> {
    let by = match &reason {
        _ if order.shopper.id == caller.id => CancelledBy::Shopper,
        _ if !caller.holds(Scope::OrdersCancelAny) => {
            return Err(Problem::new(
                ProblemType::Forbidden,
                "You may only look at it.",
            ));
        }
        None => {
            let rule = "must be given for an order of somebody else";
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

/// The order of that id, if the caller may look at it. Another is as good as none.
async fn visible(shop: &AppState, caller: &Caller, id: &str) -> Result<Order, Problem> {
    let order = shop.database.orders().find(order_id(id)?).await?;
    order
        .filter(|order| order.shopper.id == caller.id || caller.holds(Scope::OrdersReadAny))
        .ok_or_else(|| Problem::not_found("order"))
}

/// The id in a path. What is no id names no order.
pub(crate) fn order_id(id: &str) -> Result<OrderId, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("order"))?;
    Ok(OrderId(id))
}

impl AppState {
    /// Prices what is wanted, accepts it and starts its execution; or answers as before, if the claim
    /// is an old one.
    pub(crate) async fn place(
        &self,
        wanted: NewOrder,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
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
        let acceptance = Acceptance {
            order: &order,
            claim,
            answer: body(&order),
            orders_a_minute: wanted.orders_a_minute,
            network: &wanted.origin.network,
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

    /// The limits of what may be unpaid, which are set in euros, in another currency.
    fn max_unpaid_in(&self, currency: &Currency) -> UnpaidLimits {
        let limits = self.max_unpaid;
        let rules = CurrencyRules::of(currency.as_str());
        rules.map_or(limits, |rules| UnpaidLimits {
            cents: rules.about(limits.cents),
            ..limits
        })
    }

    /// Accepts the order and starts its execution.
    async fn accept(
        &self,
        acceptance: Acceptance<'_>,
    ) -> Result<StoredResponse, store::AcceptError> {
        let order = acceptance.order;
        let answer = self.database.orders().accept(acceptance).await?;
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
        end: OrderEvent,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let decide = |order: &Order| match order.status {
            OrderStatus::Cancelled => Vec::new(),
            _ => vec![end.clone()],
        };
        let now = Timestamp::now();
        let recorded = self
            .database
            .orders()
            .record_once(id, now, claim, decide, body);
        let answer = recorded.await?;
        tracing::info!(order_id = %id, replayed = answer.replayed, "order.cancelled");
        if !answer.replayed {
            self.undo(id).await;
        }
        Ok(answer)
    }

    /// Resumes the order's execution if it waits. Should this get lost, it is undone when the execution
    /// goes on by itself.
    async fn undo(&self, id: OrderId) {
        if let Err(error) = self.releases.undo(id).await {
            tracing::warn!(order_id = %id, %error, "order.not_resumed");
        }
    }

    /// The shopper's order that was placed with the key. A POST asks for it, so that it is read at
    /// the primary: a standby may not have it yet. That there is none is a 204, so that no 404 of a
    /// proxy or of an API without this route is taken for it.
    pub(crate) async fn placed_with(
        &self,
        key: &Key,
        shopper: ShopperId,
    ) -> Result<Response, Problem> {
        let answer = self
            .database
            .idempotency_keys()
            .find_response(shopper, key.get())
            .await?;
        let Some(id) = answer.as_deref().and_then(id_in) else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let order = self.database.orders().find(order_id(&id)?).await?;
        let own = order.filter(|order| order.shopper.id == shopper);
        Ok(own.map_or_else(
            || StatusCode::NO_CONTENT.into_response(),
            |order| Json(OrderView::from(&order)).into_response(),
        ))
    }

    /// What an earlier call with the claim was answered.
    pub(crate) async fn replay(&self, claim: &Claim) -> Result<Option<StoredResponse>, Problem> {
        match self.database.idempotency_keys().find_use(claim).await? {
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
fn created(answer: StoredResponse) -> Response {
    let id = id_in(&answer.body).unwrap_or_default();
    let location = [(header::LOCATION, format!("/v1/orders/{id}"))];
    (location, answered(StatusCode::CREATED, answer)).into_response()
}

/// The id of what an answer shows.
fn id_in(body: &str) -> Option<String> {
    let shown = serde_json::from_str::<serde_json::Value>(body).ok()?;
    Some(shown.get("id")?.as_str()?.to_owned())
}

pub(crate) fn answered(status: StatusCode, answer: StoredResponse) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let replayed = answer
        .replayed
        .then_some([(HeaderName::from_static("idempotent-replayed"), "true")]);
    match replayed {
        Some(replayed) => (status, json, replayed, answer.body).into_response(),
        None => (status, json, answer.body).into_response(),
    }
}
