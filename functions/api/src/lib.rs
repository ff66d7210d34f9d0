//! The shop's HTTP API. Handlers parse a request, call the domain or a store, and write the
//! response.

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

/// What the handlers share: stores, queues, limits and keys.
pub struct AppState {
    /// Orders, stock and the audit log, in `PostgreSQL`.
    pub database: Database,
    /// Products, in `DynamoDB`.
    pub catalogue: Catalogue,
    /// The Step Functions executions that fulfil orders and refunds.
    pub executions: Executions,
    /// Orders and refunds that wait for a provider.
    pub parked: Parked,
    /// Carries commands to resume parked work.
    pub releases: Queue<Command>,
    /// The circuit breakers of both providers.
    pub circuits: Circuits,
    /// Events that the providers send.
    pub webhooks: Webhooks,
    /// Provider events that could not be processed.
    pub dead_letters: DeadLetters,
    /// The user pool.
    pub users: Users,
    /// The limits of unpaid orders for one network, one shopper or one card.
    pub max_unpaid: UnpaidLimits,
    /// The rules for refunds.
    pub refund_rules: RefundRules,
    /// The key of the frontend's servers, with which they may name a visitor's address.
    pub frontend_key: String,
    /// The key of the CDN.
    pub origin_key: String,
}

/// The error responses of every route.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes errors in the OpenAPI document")]
pub(crate) enum Failures {
    /// An error as problem+json.
    #[response(status = "default", content_type = "application/problem+json")]
    Problem(ProblemBody),
}

/// The API's router, with its middleware.
pub fn router(state: AppState, host: Host) -> Router {
    let state = Arc::new(state);
    let authorizer = Arc::new(Authorizer::new(Arc::clone(&state), host));
    // The first layer is the outermost.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(trace_request))
        // Prices, stock and orders change, so no cache may store a response, not even a browser's.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(middleware::from_fn(problem::render))
        .layer(CatchPanicLayer::custom(problem::respond_to_panic))
        .layer(middleware::from_fn(path::require_canonical))
        .layer(middleware::from_fn(consistency::run_in_session));
    routes::routes()
        .into_router(&authorizer)
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            let detail = "GET /openapi.json lists the methods of each address.";
            Problem::new(ProblemType::MethodNotAllowed, detail)
        })
        .layer(layers)
        .with_state(state)
}

/// Runs the request as a part of its X-Ray trace.
async fn trace_request(request: Request, next: Next) -> Response {
    let place = request::trace_place(&request);
    telemetry::in_trace(place.as_deref(), log_request(request, next)).await
}

/// Adds the trace id to the request, and logs the response's status.
async fn log_request(mut request: Request, next: Next) -> Response {
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
