//! The shop's HTTP API: HTTP in, domain or store, HTTP out.

mod account;
mod attempts;
mod audit;
mod authorization;
mod categories;
mod consistency;
mod edge;
mod event;
mod guests;
mod health;
mod ops;
mod orders;
mod page;
mod path;
mod people;
mod precondition;
mod problem;
mod products;
mod query;
mod refunds;
mod request;
mod routes;
mod stock;
mod tokens;
mod users;
mod views;
mod webhooks;

use std::sync::Arc;

use ::circuits::Circuits;
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use store::{
    Command, Database, DeadLetters, Executions, Parked, Queue, UnpaidLimits, Users,
    catalogue::Catalogue,
};
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use tracing::Instrument;
use utoipa::IntoResponses;

use self::{
    authorization::Authorizer,
    problem::{Problem, ProblemBody, ProblemType},
};
pub use self::{
    authorization::{Access, GatewayRoute, Host, Throttle},
    event::{GatewayEvent, answer},
    refunds::RefundRules,
    routes::{gateway_routes, openapi},
    tokens::TokenVerifier,
    webhooks::Webhooks,
};

/// What the API needs to answer.
pub struct AppState {
    /// Orders and stock.
    pub database: Database,
    /// Products.
    pub catalogue: Catalogue,
    /// What becomes of an accepted order.
    pub executions: Executions,
    /// Orders that wait for a provider.
    pub parked: Parked,
    /// Brings the command to release them.
    pub releases: Queue<Command>,
    /// What stands before the external services.
    pub circuits: Circuits,
    /// What the providers tell us unasked.
    pub webhooks: Webhooks,
    /// What of that nobody could deal with.
    pub dead_letters: DeadLetters,
    /// Who has an account.
    pub users: Users,
    /// What one network, one shopper or one card may hold unpaid.
    pub max_unpaid: UnpaidLimits,
    /// The rules for refunds.
    pub refund_rules: RefundRules,
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

/// The API.
pub fn router(shop: AppState, host: Host) -> Router {
    let shop = Arc::new(shop);
    let authorizer = Arc::new(Authorizer::new(Arc::clone(&shop), host));
    // The first is the outermost.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(traced))
        // Prices, stock and orders change: no cache may keep an answer, a browser's least of all.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(middleware::from_fn(problem::render))
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(middleware::from_fn(path::canonical))
        .layer(middleware::from_fn(consistency::keep));
    routes::routes()
        .behind(&authorizer)
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(ProblemType::MethodNotAllowed, "Try another method.")
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
