//! Declares every route once: its handler, whose `#[utoipa::path]` has the method and the path, and
//! its rule. The router, the OpenAPI document and the routes of API Gateway are generated from it.
//! A cold start builds only the router.

use access::Scope;
use axum::Json;
use utoipa::{
    OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    account, attempts, audit,
    authorization::{Access, GatewayRoute, Routes, Rule, Throttle, endpoint, scope},
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
        description = "The API of the shop and its staff desk. Amounts are integers in the unit in \
            which the payment provider counts the currency, such as cents. A response to a write may \
            have a `Consistency-Token`: a read that sends it back includes that write. Errors are \
            problem+json (RFC 9457)."
    ),
    components(schemas(ProblemBody))
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
    let public = Rule::of(Access::Public, Throttle::Catalogue);
    let products = scope(Scope::ProductsWrite, Throttle::Staff);
    let stock = scope(Scope::StockWrite, Throttle::Staff);
    let put = products.attempts("product.put");
    let delete = products.attempts("product.delete");
    let all = products.throttle(Throttle::Costly);
    let import = all.attempts("products.import");
    let adjust = stock.attempts("stock.adjust");
    Routes::default()
        .route(public, endpoint!(categories::list))
        .route(public, endpoint!(products::list))
        .route(public, endpoint!(products::get))
        .route(put, endpoint!(editor::put))
        .route(delete, endpoint!(editor::delete))
        .route(products, endpoint!(editor::document))
        .route(all, endpoint!(export::export))
        .route(
            import.body_limit(import::MAX_BYTES),
            endpoint!(import::import),
        )
        .route(stock, endpoint!(stock::get))
        .route(stock, endpoint!(stock::adjustments))
        .route(adjust, endpoint!(stock::adjust))
}

fn orders_of_shoppers() -> Routes {
    let read = scope(Scope::OrdersRead, Throttle::Shopper).reads("order.read");
    let write = scope(Scope::OrdersWrite, Throttle::Shopper);
    let cancel = write.attempts("order.cancel");
    let find = scope(Scope::OrdersReadAny, Throttle::Costly).reads("orders.search");
    let refund = scope(Scope::OrdersRefund, Throttle::Staff).attempts("order.refund");
    let decide = scope(Scope::OrdersRefundAnyAmount, Throttle::Staff);
    let approve = decide.attempts("refund.approve");
    let decline = decide.attempts("refund.decline");
    Routes::default()
        .route(write, endpoint!(orders::place))
        .route(read, endpoint!(orders::list))
        // Called only after a lost response.
        .route(read.throttle(Throttle::Small), endpoint!(orders::placed))
        .route(find, endpoint!(orders::search::find))
        .route(read, endpoint!(orders::get))
        .route(read, endpoint!(orders::events))
        .route(cancel, endpoint!(orders::cancel))
        .route(refund, endpoint!(refunds::refund))
        .route(decide, endpoint!(approvals::list))
        .route(approve, endpoint!(approvals::approve))
        .route(decline, endpoint!(approvals::decline))
}

/// Routes without a token. Each handler has its own rate limit.
fn orders_of_guests() -> Routes {
    let public = Rule::of(Access::Public, Throttle::Guest);
    Routes::default()
        .route(public, endpoint!(guests::place))
        .route(public, endpoint!(guests::placed))
        .route(public, endpoint!(guests::find))
        .route(public, endpoint!(guests::cancel))
        .route(public, endpoint!(people::erase_guest_order))
}

fn operations() -> Routes {
    let staff = |of| scope(of, Throttle::Staff);
    let force = staff(Scope::CircuitsWrite).attempts("circuit.force");
    let release = staff(Scope::ParkedRelease).attempts("parked.release");
    let resolve = staff(Scope::AttentionResolve).attempts("attention.resolve");
    let redrive = staff(Scope::DeadLettersRedrive).attempts("dead_letters.redrive");
    Routes::default()
        .route(staff(Scope::ActivityRead), endpoint!(activity::read))
        .route(staff(Scope::CircuitsRead), endpoint!(circuits::list))
        .route(force, endpoint!(circuits::force))
        .route(staff(Scope::ParkedRead), endpoint!(parked::list))
        .route(release, endpoint!(parked::release))
        .route(staff(Scope::AttentionRead), endpoint!(attention::list))
        .route(resolve, endpoint!(attention::resolve))
        .route(staff(Scope::DeadLettersRead), endpoint!(dead_letters::list))
        .route(redrive, endpoint!(dead_letters::redrive))
}

/// Users, personal data, and the audit log.
fn people() -> Routes {
    let me = scope(Scope::ProfileRead, Throttle::Shopper);
    let export = scope(Scope::ProfileExport, Throttle::Costly);
    let delete = scope(Scope::ProfileDelete, Throttle::Staff).attempts("account.delete");
    let read = scope(Scope::UsersRead, Throttle::Staff).reads("user.read");
    let find = read.throttle(Throttle::Costly).reads("users.search");
    let write = |action| scope(Scope::UsersWrite, Throttle::Staff).attempts(action);
    let reset = write("user.second_factor_reset");
    let audit = scope(Scope::AuditRead, Throttle::Costly).reads("audit.search");
    Routes::default()
        .route(me, endpoint!(account::me))
        .route(delete, endpoint!(people::delete_me))
        .route(export, endpoint!(people::export))
        .route(find, endpoint!(users::list))
        .route(read, endpoint!(users::get))
        .route(write("user.roles"), endpoint!(users::set_roles))
        .route(write("user.disable"), endpoint!(users::disable))
        .route(write("user.enable"), endpoint!(users::enable))
        .route(write("user.sign_out"), endpoint!(users::sign_out))
        .route(reset, endpoint!(users::reset_second_factor))
        .route(write("user.erase"), endpoint!(people::erase_user))
        .route(write("guest.erase"), endpoint!(people::erase_guest))
        .route(audit, endpoint!(audit::search::list))
}

/// Routes that only programs call.
fn machines() -> Routes {
    let frontend = Rule::of(Access::Frontend, Throttle::Attempt);
    let signed = Rule::of(Access::Signed, Throttle::Webhook);
    let payments = signed.refusals("webhook.payments");
    let shipping = signed.refusals("webhook.shipping");
    let public = Rule::of(Access::Public, Throttle::Small);
    let probe = Rule::of(Access::Probe, Throttle::Small);
    Routes::default()
        .route(frontend, endpoint!(attempts::count))
        .route(payments, endpoint!(webhooks::payments))
        .route(shipping, endpoint!(webhooks::shipping))
        .route(public, endpoint!(openapi_document))
        .route(probe, endpoint!(health::healthz))
        .route(probe, endpoint!(health::readyz))
}

/// The routes as API Gateway is configured with them.
pub fn gateway_routes() -> impl Iterator<Item = GatewayRoute> {
    routes().into_gateway_routes()
}

/// The path of the OpenAPI document, which is not in the document.
const DOCUMENT: &str = "/openapi.json";

#[utoipa::path(get, path = DOCUMENT)]
async fn openapi_document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().describe(Document::openapi());
    document.paths.paths.remove(DOCUMENT);
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
