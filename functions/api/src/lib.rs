//! The shop's HTTP API: HTTP in, domain or store, HTTP out.

mod account;
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
mod routes;
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
use tower::ServiceBuilder;
use tracing::Instrument;
use utoipa::IntoResponses;

use self::problem::{Kind, Problem, ProblemBody};
pub use self::{gateway::Gateway, routes::openapi, webhooks::Webhooks};

/// The largest body: an order of 100 lines is a tenth of it.
const MAX_BODY: usize = 64 * 1024;

/// What the API needs to answer.
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

/// The API behind API Gateway, which has checked tokens and scopes.
pub fn router(shop: Shop) -> Router {
    complete(routes::routes(), Arc::new(shop))
}

/// The API where no gateway stands before it.
pub fn router_with(gateway: Gateway, shop: Shop) -> Router {
    let checked = middleware::from_fn_with_state(Arc::new(gateway), gateway::check);
    complete(
        server::limited(routes::routes().route_layer(checked), overloaded),
        Arc::new(shop),
    )
}

fn overloaded() -> Response {
    let come_again = "Too many ask at once. Please try again in a moment.";
    Problem::new(Kind::Unavailable, come_again)
        .after(1)
        .into_response()
}

fn complete(routes: Router<Arc<Shop>>, shop: Arc<Shop>) -> Router {
    // The first is the outermost.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(traced))
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn_with_state(
            shop.clone(),
            entrance::guard,
        ))
        .layer(middleware::from_fn(consistency::keep))
        .layer(Extension(shop.database.clone()))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    routes
        // Seldom asked for, and so made when it is.
        .route("/openapi.json", get(async || Json(openapi())))
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "Try another method.")
        })
        .layer(layers)
        .with_state(shop)
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
