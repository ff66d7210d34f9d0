//! Every route with who may call it, and the OpenAPI document that describes them. They are two lists, so that a cold
//! start does not build the descriptions; a test holds them together.

use access::Scope;
use axum::Json;
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    account, attempts, audit,
    authorization::{Access, Routes, Rule, scope},
    categories, consistency, guests, health,
    ops::{activity, attention, circuits, dead_letters, parked},
    orders, people,
    problem::ProblemBody,
    products::{self, editor, export, import},
    refunds::{self, approvals},
    stock, users, webhooks,
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
        orders::placed,
        orders::list,
        orders::search::find,
        orders::get,
        orders::events,
        orders::cancel,
        refunds::refund,
        approvals::list,
        approvals::approve,
        approvals::decline,
        guests::place,
        guests::placed,
        guests::find,
        guests::cancel,
        attempts::count,
        people::erase_guest_order,
        people::erase_guest,
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
        users::reset_second_factor,
        people::erase_user,
        audit::search::list,
        account::me,
        people::export,
        people::delete_me,
        health::healthz,
        health::readyz,
    )
)]
struct Document;

/// Every route, with its rule.
pub(crate) fn routes() -> Routes {
    catalogue()
        .and(orders_of_shoppers())
        .and(orders_of_guests())
        .and(operations())
        .and(people())
        .and(machines())
}

fn catalogue() -> Routes {
    let public = Rule::of(Access::Public);
    let products = scope(Scope::ProductsWrite);
    let stock = scope(Scope::StockWrite);
    Routes::default()
        .route("/v1/categories", public.get(categories::list))
        .route("/v1/products", public.get(products::list))
        .route("/v1/products/{sku}", public.get(products::get))
        .route(
            "/v1/products/{sku}",
            products.attempts("product.put").put(editor::put),
        )
        .route(
            "/v1/products/{sku}",
            products.attempts("product.delete").delete(editor::delete),
        )
        .route(
            "/v1/products/{sku}/document",
            products.get(editor::document),
        )
        .route("/v1/products/export", products.get(export::export))
        .route(
            "/v1/products/import",
            products
                .attempts("products.import")
                .body_limit(import::MAX_BYTES)
                .post(import::import),
        )
        .route("/v1/stock/{sku}", stock.get(stock::get))
        .route("/v1/stock/{sku}/adjustments", stock.get(stock::adjustments))
        .route(
            "/v1/stock/{sku}/adjustments",
            stock.attempts("stock.adjust").post(stock::adjust),
        )
}

fn orders_of_shoppers() -> Routes {
    let read = scope(Scope::OrdersRead).reads("order.read");
    let write = scope(Scope::OrdersWrite);
    let find = scope(Scope::OrdersReadAny).reads("orders.search");
    let refund = scope(Scope::OrdersRefund).attempts("order.refund");
    let decide = scope(Scope::OrdersRefundAnyAmount);
    Routes::default()
        .route("/v1/orders", write.post(orders::place))
        .route("/v1/orders", read.get(orders::list))
        .route("/v1/orders/placed", read.post(orders::placed))
        .route("/v1/orders/search", find.post(orders::search::find))
        .route("/v1/orders/{id}", read.get(orders::get))
        .route("/v1/orders/{id}/events", read.get(orders::events))
        .route(
            "/v1/orders/{id}/cancel",
            write.attempts("order.cancel").post(orders::cancel),
        )
        .route("/v1/orders/{id}/refunds", refund.post(refunds::refund))
        .route("/v1/refund-approvals", decide.get(approvals::list))
        .route(
            "/v1/refund-approvals/{id}/approve",
            decide.attempts("refund.approve").post(approvals::approve),
        )
        .route(
            "/v1/refund-approvals/{id}/decline",
            decide.attempts("refund.decline").post(approvals::decline),
        )
}

/// Guests have no account. Each of these has limits of its own.
fn orders_of_guests() -> Routes {
    let public = Rule::of(Access::Public);
    Routes::default()
        .route("/v1/guest/orders", public.post(guests::place))
        .route("/v1/guest/orders/placed", public.post(guests::placed))
        .route("/v1/guest/orders/find", public.post(guests::find))
        .route("/v1/guest/orders/cancel", public.post(guests::cancel))
        .route(
            "/v1/guest/orders/erase",
            public.post(people::erase_guest_order),
        )
}

fn operations() -> Routes {
    let force = scope(Scope::CircuitsWrite).attempts("circuit.force");
    let release = scope(Scope::ParkedRelease).attempts("parked.release");
    let resolve = scope(Scope::AttentionResolve).attempts("attention.resolve");
    let redrive = scope(Scope::DeadLettersRedrive).attempts("dead_letters.redrive");
    Routes::default()
        .route(
            "/v1/ops/activity",
            scope(Scope::ActivityRead).get(activity::read),
        )
        .route(
            "/v1/ops/circuits",
            scope(Scope::CircuitsRead).get(circuits::list),
        )
        .route("/v1/ops/circuits/{provider}", force.put(circuits::force))
        .route("/v1/ops/parked", scope(Scope::ParkedRead).get(parked::list))
        .route(
            "/v1/ops/parked/{order}/release",
            release.post(parked::release),
        )
        .route(
            "/v1/ops/attention",
            scope(Scope::AttentionRead).get(attention::list),
        )
        .route(
            "/v1/ops/attention/{id}/resolve",
            resolve.post(attention::resolve),
        )
        .route(
            "/v1/ops/dead-letters",
            scope(Scope::DeadLettersRead).get(dead_letters::list),
        )
        .route(
            "/v1/ops/dead-letters/redrive",
            redrive.post(dead_letters::redrive),
        )
}

/// Users, what is kept about people, and the audit log.
fn people() -> Routes {
    let read = scope(Scope::UsersRead);
    let write = scope(Scope::UsersWrite);
    let delete = scope(Scope::ProfileDelete).attempts("account.delete");
    let audit = scope(Scope::AuditRead).reads("audit.search");
    Routes::default()
        .route("/v1/me", scope(Scope::ProfileRead).get(account::me))
        .route("/v1/me", delete.delete(people::delete_me))
        .route(
            "/v1/me/export",
            scope(Scope::ProfileExport).get(people::export),
        )
        .route(
            "/v1/users/search",
            read.reads("users.search").post(users::list),
        )
        .route("/v1/users/{id}", read.reads("user.read").get(users::get))
        .route(
            "/v1/users/{id}/roles",
            write.attempts("user.roles").put(users::set_roles),
        )
        .route(
            "/v1/users/{id}/disable",
            write.attempts("user.disable").post(users::disable),
        )
        .route(
            "/v1/users/{id}/enable",
            write.attempts("user.enable").post(users::enable),
        )
        .route(
            "/v1/users/{id}/sign-out",
            write.attempts("user.sign_out").post(users::sign_out),
        )
        .route(
            "/v1/users/{id}/second-factor/reset",
            write
                .attempts("user.second_factor_reset")
                .post(users::reset_second_factor),
        )
        .route(
            "/v1/users/{id}/erase",
            write.attempts("user.erase").post(people::erase_user),
        )
        .route(
            "/v1/guests/erase",
            write.attempts("guest.erase").post(people::erase_guest),
        )
        .route("/v1/audit/search", audit.post(audit::search::list))
}

/// What other programs call.
fn machines() -> Routes {
    let signed = Rule::of(Access::Signed);
    let probe = Rule::of(Access::Probe);
    let public = Rule::of(Access::Public);
    Routes::default()
        .route(
            "/v1/attempts",
            Rule::of(Access::Frontend).post(attempts::count),
        )
        .route(
            "/v1/webhooks/payments",
            signed.refusals("webhook.payments").post(webhooks::payments),
        )
        .route(
            "/v1/webhooks/shipping",
            signed.refusals("webhook.shipping").post(webhooks::shipping),
        )
        .route("/openapi.json", public.get(async || Json(openapi())))
        .route("/healthz", probe.get(health::healthz))
        .route("/readyz", probe.get(health::readyz))
}

/// Who may call what: each route such as `GET /v1/orders/{id}`.
pub fn access() -> impl Iterator<Item = (String, Access)> {
    routes().into_access()
}

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components
        .security_schemes
        .insert("token".to_owned(), bearer.into());
    let paths = document.paths.paths.iter_mut();
    let reads = paths.filter_map(|(path, item)| {
        if consistency::is_search(path) {
            item.post.as_mut()
        } else {
            item.get.as_mut()
        }
    });
    for read in reads {
        read.parameters
            .get_or_insert_default()
            .push(consistency::parameter().into());
    }
    document
}
