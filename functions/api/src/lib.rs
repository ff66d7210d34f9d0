//! The shop's HTTP API: HTTP in, domain or store, HTTP out.

mod audit;
mod categories;
mod consistency;
mod entrance;
mod gateway;
mod guests;
mod health;
mod ops;
mod orders;
mod page;
mod precondition;
mod problem;
mod products;
mod refunds;
mod request;
mod stock;
mod users;
mod views;
mod webhooks;

use std::sync::Arc;

use ::circuits::Circuits;
use ::orders::Cents;
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use store::{Database, DeadLetters, Executions, Parked, Queue, Users, catalogue::Catalogue};
use tracing::Instrument;
use utoipa::{
    IntoResponses, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt},
    routes,
};

use self::{
    audit::Audited,
    ops::{activity, attention, circuits, dead_letters, parked},
    problem::{Kind, Problem, ProblemBody},
    products::{editor, export, import},
    request::Caller,
};
pub use self::{gateway::Gateway, webhooks::Webhooks};

/// The largest body: an order of 100 lines is a tenth of it.
const MAX_BODY: usize = 64 * 1024;

/// What the API needs to answer.
#[derive(Clone)]
pub struct Shop {
    /// Orders and stock.
    pub database: Database,
    /// Products.
    pub catalogue: Catalogue,
    /// What becomes of an accepted order.
    pub executions: Executions,
    /// Orders that wait for a provider.
    pub parked: Parked,
    /// Brings the command to release them.
    pub releases: Queue,
    /// What stands before the external services.
    pub circuits: Circuits,
    /// What the providers tell us unasked.
    pub webhooks: Webhooks,
    /// What of that nobody could deal with.
    pub dead_letters: DeadLetters,
    /// Who has an account.
    pub users: Users,
    /// The most that may be given back of one order without the scope for more.
    pub refund_limit: Cents,
    /// By which the frontend is known when it says for whom it asks.
    pub frontend_key: String,
    /// By which the CDN is known.
    pub origin_key: String,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cauce",
        description = "The order desk's API. Amounts are integer cents. An answer may bear a `Consistency-Token`: \
            whoever sends the last one with what they read next finds what they have done."
    ),
    components(schemas(ProblemBody))
)]
struct Document;

/// How any request may fail.
#[derive(IntoResponses)]
#[expect(
    dead_code,
    reason = "says in the OpenAPI document what a failure looks like"
)]
pub(crate) enum Failures {
    /// What went wrong.
    #[response(status = "default", content_type = "application/problem+json")]
    Problem(ProblemBody),
}

fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(categories::list))
        .routes(routes!(products::list))
        .routes(routes!(products::get))
        .routes(routes!(editor::document))
        .routes(attempts("product.put", routes!(editor::put)))
        .routes(attempts("product.delete", routes!(editor::delete)))
        .routes(routes!(export::export))
        .routes(
            attempts("products.import", routes!(import::import))
                .layer(DefaultBodyLimit::max(import::MAX_BYTES)),
        )
        .routes(routes!(stock::get))
        .routes(routes!(stock::adjustments))
        .routes(attempts("stock.adjust", routes!(stock::adjust)))
        .routes(routes!(orders::place, orders::list))
        .routes(routes!(orders::search::find))
        .routes(routes!(orders::get))
        .routes(routes!(orders::events))
        .routes(attempts("order.cancel", routes!(orders::cancel)))
        .routes(attempts("order.refund", routes!(refunds::refund)))
        .routes(routes!(guests::place))
        .routes(routes!(guests::find))
        .routes(routes!(guests::cancel))
        .routes(refusals("webhook.payments", routes!(webhooks::payments)))
        .routes(refusals("webhook.shipping", routes!(webhooks::shipping)))
        .routes(routes!(activity::read))
        .routes(routes!(circuits::list))
        .routes(attempts("circuit.force", routes!(circuits::force)))
        .routes(routes!(parked::list))
        .routes(attempts("parked.release", routes!(parked::release)))
        .routes(routes!(attention::list))
        .routes(attempts("attention.resolve", routes!(attention::resolve)))
        .routes(routes!(dead_letters::list))
        .routes(attempts(
            "dead_letters.redrive",
            routes!(dead_letters::redrive),
        ))
        .routes(routes!(users::list))
        .routes(routes!(users::get))
        .routes(attempts("user.roles", routes!(users::set_roles)))
        .routes(attempts("user.disable", routes!(users::disable)))
        .routes(attempts("user.enable", routes!(users::enable)))
        .routes(attempts("user.sign_out", routes!(users::sign_out)))
        .routes(routes!(audit::search::list))
        .routes(routes!(me))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// Routes of which each attempt is written into the audit log.
fn attempts(action: &'static str, routes: UtoipaMethodRouter<Shop>) -> UtoipaMethodRouter<Shop> {
    let audited = Audited::Attempts(action);
    routes.layer(middleware::from_fn_with_state(audited, audit::attempt))
}

/// Routes of which refusals are written into the audit log, seldom enough not to fill it.
fn refusals(action: &'static str, routes: UtoipaMethodRouter<Shop>) -> UtoipaMethodRouter<Shop> {
    let audited = Audited::refusals(action);
    routes.layer(middleware::from_fn_with_state(audited, audit::attempt))
}

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().into_openapi();
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

/// The API behind API Gateway, which has checked tokens and scopes.
pub fn router(shop: Shop) -> Router {
    let (routes, _) = routes().split_for_parts();
    complete(routes, shop)
}

/// The API where no gateway stands before it.
pub fn router_with(gateway: Gateway, shop: Shop) -> Router {
    let (routes, _) = routes().split_for_parts();
    let checked = middleware::from_fn_with_state(Arc::new(gateway), gateway::check);
    complete(
        server::limited(routes.route_layer(checked), overloaded),
        shop,
    )
}

fn overloaded() -> Response {
    let come_again = "Too many ask at once. Please try again in a moment.";
    Problem::new(Kind::Unavailable, come_again)
        .after(1)
        .into_response()
}

fn complete(routes: Router<Shop>, shop: Shop) -> Router {
    routes
        // Seldom asked for, and so made when it is.
        .route("/openapi.json", get(async || Json(openapi())))
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "Try another method.")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(shop.database.clone()))
        .layer(middleware::from_fn(consistency::keep))
        .layer(middleware::from_fn_with_state(
            shop.clone(),
            entrance::guard,
        ))
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn(traced))
        .with_state(shop)
}

/// Who is asking.
#[utoipa::path(get, path = "/v1/me", tag = "account", security(("token" = ["profile:read"])),
    responses((status = 200, body = Caller), Failures))]
async fn me(caller: Caller) -> Json<Caller> {
    Json(caller)
}

/// Answers the request at its place in a trace.
async fn traced(request: Request, next: Next) -> Response {
    let place = request::trace_place(&request);
    telemetry::at(place.as_deref(), logged(request, next)).await
}

/// Gives the request the id of its trace, and logs how it was answered.
async fn logged(mut request: Request, next: Next) -> Response {
    let trace = request::trace(&request);
    request.extensions_mut().insert(trace);
    let span = tracing::info_span!("request", trace_id = %trace);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    async {
        let response = next.run(request).await;
        tracing::info!(%method, path, status = response.status().as_u16(), "request.answered");
        response
    }
    .instrument(span)
    .await
}
