//! Orders and refunds that wait for a provider.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use orders::{Hold, OrderId, Provider, RefundId};
use serde::Serialize;
use store::{ParkedFrom, ParkedWork, Resumed, StoreError, Work};
use utoipa::ToSchema;

use crate::{
    Failures, Shop,
    audit::Changed,
    orders::order_id,
    page,
    problem::{Kind, Problem},
};

/// Something that waits for a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Parked")]
pub(crate) struct ParkedView {
    order_id: OrderId,
    /// Which of the order's refunds it is, if it is one.
    refund_id: Option<RefundId>,
    /// What it will go on with, such as `BuyLabel`.
    step: String,
    hold: Hold,
}

/// A page of what waits for a provider, the oldest order first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedList {
    items: Vec<ParkedView>,
    /// Leads to the next page, if there is one.
    next_cursor: Option<String>,
}

impl From<&ParkedWork> for ParkedView {
    fn from(parked: &ParkedWork) -> Self {
        Self {
            order_id: parked.work.order(),
            refund_id: parked.work.refund(),
            step: parked.step.clone(),
            hold: parked.hold.clone(),
        }
    }
}

/// What waits for a provider, the oldest order first.
#[utoipa::path(get, path = "/v1/ops/parked", operation_id = "list_parked", tag = "operations", security(("token" = ["parked:read"])), params(
    ("provider" = Option<Provider>, Query, description = "For which provider; for both, if not given"),
    ("limit" = Option<u8>, Query, description = "1 to 100, 24 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses((status = 200, body = ParkedList), Failures))]
pub(crate) async fn list(
    State(shop): State<Arc<Shop>>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<ParkedList>, Problem> {
    let (provider, from, limit) = wanted(parameters)?;
    let page = match provider {
        Some(provider) => shop.parked.list(provider, from, limit.into()).await?,
        None => shop.parked.list_all(from, limit.into()).await?,
    };
    Ok(Json(ParkedList {
        items: page.items.iter().map(Into::into).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Lets an order go on that waits for a provider, or one of its refunds, before its turn.
#[utoipa::path(post, path = "/v1/ops/parked/{order}/release", operation_id = "release_parked", tag = "operations", security(("token" = ["parked:release"])),
    params(
        ("order" = OrderId, Path),
        ("refund" = Option<RefundId>, Query, description = "Which of the order's refunds; the order itself, if not given"),
    ), responses((status = 200, body = ParkedView), Failures))]
pub(crate) async fn release(
    State(shop): State<Arc<Shop>>,
    Path(order): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<(Extension<Changed>, Json<ParkedView>), Problem> {
    let work = work(order_id(&order)?, parameters)?;
    let not_parked = || Problem::new(Kind::OrderNotParked, "It may have gone on by itself.");
    let parked = shop.parked_work(work).await?.ok_or_else(not_parked)?;
    let resumed = shop.executions.resume(parked.token()).await?;
    shop.parked.remove(&parked).await?;
    match resumed {
        Resumed::Yes => {
            let view = ParkedView::from(&parked);
            Ok((Extension(Changed::new(&view, &())), Json(view)))
        }
        Resumed::Gone => Err(not_parked()),
    }
}

impl Shop {
    async fn parked_work(&self, work: Work) -> Result<Option<ParkedWork>, StoreError> {
        let of = |provider| self.parked.get(provider, work);
        let (payments, shipping) =
            tokio::try_join!(of(Provider::Payments), of(Provider::Shipping))?;
        Ok(payments.or(shipping))
    }
}

/// The order, or the refund of it that the parameters name.
fn work(order: OrderId, parameters: Vec<(String, String)>) -> Result<Work, Problem> {
    let mut work = Work::Order(order);
    for (name, value) in parameters {
        if name != "refund" {
            return Err(Problem::new(Kind::Validation, "is not a parameter here").at(name));
        }
        let refund = value.parse().map_err(|_| Problem::not_found("refund"))?;
        work = Work::Refund(order, RefundId(refund));
    }
    Ok(work)
}

type Wanted = (Option<Provider>, ParkedFrom, u8);

fn wanted(parameters: Vec<(String, String)>) -> Result<Wanted, Problem> {
    let (mut provider, mut from, mut limit) = (None, ParkedFrom::default(), page::DEFAULT_LIMIT);
    for (name, value) in parameters {
        let invalid = |rule: &str| Problem::new(Kind::Validation, rule).at(name.as_str());
        match name.as_str() {
            "provider" => {
                let known = value.parse::<Provider>();
                provider = Some(known.map_err(|_| invalid("must be payments or shipping"))?);
            }
            "limit" => limit = page::limit(&value)?,
            "cursor" => from = value.parse()?,
            _ => return Err(invalid("is not a parameter of this list")),
        }
    }
    Ok((provider, from, limit))
}
