//! What is where, and the OpenAPI document that says so. They are two lists, so that a cold start does not wait for
//! descriptions that nobody has asked for; a test holds them together.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, delete, get, post, put},
};
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    Shop, account,
    audit::{self, Audited},
    categories, consistency, guests, health,
    ops::{activity, attention, circuits, dead_letters, parked},
    orders,
    problem::ProblemBody,
    products::{self, editor, export, import},
    refunds, stock, users, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cauce",
        description = "The order desk's API. Amounts are integer cents. An answer may bear a `Consistency-Token`: \
            whoever sends the last one with what they read next finds what they have done."
    ),
    components(schemas(ProblemBody)),
    paths(
        categories::list,
        products::list,
        products::get,
        editor::document,
        editor::put,
        editor::delete,
        export::export,
        import::import,
        stock::get,
        stock::adjustments,
        stock::adjust,
        orders::place,
        orders::list,
        orders::search::find,
        orders::get,
        orders::events,
        orders::cancel,
        refunds::refund,
        guests::place,
        guests::find,
        guests::cancel,
        webhooks::payments,
        webhooks::shipping,
        activity::read,
        circuits::list,
        circuits::force,
        parked::list,
        parked::release,
        attention::list,
        attention::resolve,
        dead_letters::list,
        dead_letters::redrive,
        users::list,
        users::get,
        users::set_roles,
        users::disable,
        users::enable,
        users::sign_out,
        audit::search::list,
        account::me,
        health::healthz,
        health::readyz,
    )
)]
struct Document;

pub(crate) fn routes() -> Router<Arc<Shop>> {
    let import = attempts("products.import", post(import::import));
    Router::new()
        .route("/v1/categories", get(categories::list))
        .route("/v1/products", get(products::list))
        .route("/v1/products/{sku}", get(products::get))
        .route(
            "/v1/products/{sku}",
            attempts("product.put", put(editor::put)),
        )
        .route(
            "/v1/products/{sku}",
            attempts("product.delete", delete(editor::delete)),
        )
        .route("/v1/products/{sku}/document", get(editor::document))
        .route("/v1/products/export", get(export::export))
        .route(
            "/v1/products/import",
            import.layer(DefaultBodyLimit::max(import::MAX_BYTES)),
        )
        .route("/v1/stock/{sku}", get(stock::get))
        .route("/v1/stock/{sku}/adjustments", get(stock::adjustments))
        .route(
            "/v1/stock/{sku}/adjustments",
            attempts("stock.adjust", post(stock::adjust)),
        )
        .route("/v1/orders", post(orders::place).get(orders::list))
        .route("/v1/orders/search", get(orders::search::find))
        .route("/v1/orders/{id}", get(orders::get))
        .route("/v1/orders/{id}/events", get(orders::events))
        .route(
            "/v1/orders/{id}/cancel",
            attempts("order.cancel", post(orders::cancel)),
        )
        .route(
            "/v1/orders/{id}/refunds",
            attempts("order.refund", post(refunds::refund)),
        )
        .route("/v1/guest/orders", post(guests::place))
        .route("/v1/guest/orders/find", post(guests::find))
        .route("/v1/guest/orders/cancel", post(guests::cancel))
        .route(
            "/v1/webhooks/payments",
            refusals("webhook.payments", post(webhooks::payments)),
        )
        .route(
            "/v1/webhooks/shipping",
            refusals("webhook.shipping", post(webhooks::shipping)),
        )
        .route("/v1/ops/activity", get(activity::read))
        .route("/v1/ops/circuits", get(circuits::list))
        .route(
            "/v1/ops/circuits/{provider}",
            attempts("circuit.force", put(circuits::force)),
        )
        .route("/v1/ops/parked", get(parked::list))
        .route(
            "/v1/ops/parked/{order}/release",
            attempts("parked.release", post(parked::release)),
        )
        .route("/v1/ops/attention", get(attention::list))
        .route(
            "/v1/ops/attention/{id}/resolve",
            attempts("attention.resolve", post(attention::resolve)),
        )
        .route("/v1/ops/dead-letters", get(dead_letters::list))
        .route(
            "/v1/ops/dead-letters/redrive",
            attempts("dead_letters.redrive", post(dead_letters::redrive)),
        )
        .route("/v1/users", get(users::list))
        .route("/v1/users/{id}", get(users::get))
        .route(
            "/v1/users/{id}/roles",
            attempts("user.roles", put(users::set_roles)),
        )
        .route(
            "/v1/users/{id}/disable",
            attempts("user.disable", post(users::disable)),
        )
        .route(
            "/v1/users/{id}/enable",
            attempts("user.enable", post(users::enable)),
        )
        .route(
            "/v1/users/{id}/sign-out",
            attempts("user.sign_out", post(users::sign_out)),
        )
        .route("/v1/audit", get(audit::search::list))
        .route("/v1/me", get(account::me))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
}

/// Routes of which each attempt is written into the audit log.
fn attempts(action: &'static str, routes: MethodRouter<Arc<Shop>>) -> MethodRouter<Arc<Shop>> {
    let audited = Audited::Attempts(action);
    routes.layer(middleware::from_fn_with_state(audited, audit::attempt))
}

/// Routes of which refusals are written into the audit log, seldom enough not to fill it.
fn refusals(action: &'static str, routes: MethodRouter<Arc<Shop>>) -> MethodRouter<Arc<Shop>> {
    let audited = Audited::refusals(action);
    routes.layer(middleware::from_fn_with_state(audited, audit::attempt))
}

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components
        .security_schemes
        .insert("token".to_owned(), bearer.into());
    let reads = document
        .paths
        .paths
        .values_mut()
        .filter_map(|path| path.get.as_mut());
    for read in reads {
        read.parameters
            .get_or_insert_default()
            .push(consistency::parameter().into());
    }
    document
}
