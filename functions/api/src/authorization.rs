//! Decides who may call a route, after the route is matched, in Lambda and in containers alike.
//!
//! API Gateway's authorizer only rejects invalid tokens early. Authorization does not depend on the
//! route that API Gateway chose.

use std::sync::Arc;

use access::{Role, Scope};
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State},
    handler::Handler,
    http::{HeaderMap, Method, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, on},
};
use jiff::Timestamp;
use orders::ShopperId;
use serde::Serialize;
use serde_json::Value;
use server::Capacity;
use store::{AuditActor, Session};
use strum::Display;
use telemetry::{Metrics, TraceId, Unit};
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    Path, ToSchema,
    openapi::{HttpMethod, OpenApi, security::SecurityRequirement},
};
use utoipa_axum::{
    PathItemExt,
    router::{OpenApiRouter, UtoipaMethodRouter},
};

use crate::{
    AppState,
    audit::{Attempt, AuditTrail, Audited, Outcome},
    edge::{ClientIp, EdgeKey},
    event::gateway_context,
    problem::{Problem, ProblemType, respond_to_panic},
    request::Raw,
    tokens::{Claims, TokenVerifier},
};

/// The default limit of a body, in bytes. An order of 100 lines is a tenth of it.
const MAX_BODY: usize = 64 * 1024;

/// Where the API runs.
pub enum Host {
    /// Behind API Gateway, which verifies tokens. Handles one request at a time.
    Lambda,
    /// Verifies tokens itself. Handles many requests at once.
    Container(Box<TokenVerifier>),
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any caller, without a key: load balancers and orchestrators.
    Probe,
    /// The payment and shipping providers, whose signature the handler verifies.
    Signed,
    /// Any caller through the CDN or the frontend.
    Public,
    /// The frontend's servers.
    Frontend,
    /// A caller whose access token has this scope.
    Token(Scope),
}

/// The throttling class of a route. `infra/routes.yaml` maps each class to its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Display)]
pub enum Throttle {
    /// Reads of the catalogue by all visitors.
    Catalogue,
    /// Requests of signed-in shoppers.
    Shopper,
    /// Requests of guests: each places an order or looks one up by its number.
    Guest,
    /// The frontend's calls before and after each sign-in and each code.
    Attempt,
    /// Events from the payment and shipping providers.
    Webhook,
    /// The staff desk, and rare requests of shoppers.
    Staff,
    /// Searches, exports and imports, which take far longer than a read by key.
    Costly,
    /// Health checks, the OpenAPI document, and the look-up of an order after a lost response.
    Small,
}

/// The rule of a route: who may call it, how often, what is audited, and the limit of its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    access: Access,
    throttle: Throttle,
    audited: Audited,
    body_limit: usize,
}

/// The rule of a route that requires a scope.
pub(crate) const fn scope(scope: Scope, throttle: Throttle) -> Rule {
    Rule::of(Access::Token(scope), throttle)
}

impl Rule {
    pub(crate) const fn of(access: Access, throttle: Throttle) -> Self {
        Self {
            access,
            throttle,
            audited: Audited::Denials,
            body_limit: MAX_BODY,
        }
    }

    /// The same rule with another throttling class.
    pub(crate) const fn throttle(self, throttle: Throttle) -> Self {
        Self { throttle, ..self }
    }

    /// The same rule. Every attempt is audited under this action.
    pub(crate) const fn attempts(self, action: &'static str) -> Self {
        let audited = Audited::Attempts(action);
        Self { audited, ..self }
    }

    /// The same rule. Reads of other people's data are audited under this action.
    pub(crate) const fn reads(self, action: &'static str) -> Self {
        let audited = Audited::Reads(action);
        Self { audited, ..self }
    }

    /// The same rule. Refusals of any kind are audited under this action.
    pub(crate) const fn refusals(self, action: &'static str) -> Self {
        let audited = Audited::Refusals(action);
        Self { audited, ..self }
    }

    /// The same rule with another limit of the body, in bytes.
    pub(crate) const fn body_limit(self, body_limit: usize) -> Self {
        Self { body_limit, ..self }
    }
}

/// A handler with the method and the path of its `#[utoipa::path]`. Made by [`endpoint`].
pub(crate) struct Endpoint {
    method: Method,
    path: String,
    handler: MethodRouter<Arc<AppState>>,
    /// Describes it for the OpenAPI document. A function, because a cold start does not need it.
    describe: fn() -> UtoipaMethodRouter<Arc<AppState>>,
}

impl Endpoint {
    /// `P` is the type that the attribute generates for the handler.
    pub(crate) fn new<P: Path, H: Handler<T, Arc<AppState>>, T: 'static>(
        handler: H,
        describe: fn() -> UtoipaMethodRouter<Arc<AppState>>,
    ) -> Self {
        let [method] = P::methods().try_into().unwrap_or_else(|_| {
            unreachable!("each #[utoipa::path] names one method");
        });
        Self {
            handler: on(method.to_method_filter(), handler),
            method: http_method(&method),
            path: P::path(),
            describe,
        }
    }
}

/// The endpoint of a handler, such as `endpoint!(orders::place)`.
macro_rules! endpoint {
    ($($segment:ident)::+) => {
        endpoint!(@ [] $($segment)+)
    };
    (@ [$($module:ident)*] $handler:ident) => {
        utoipa_axum::paste! {
            $crate::authorization::Endpoint::new::<$($module::)* [<__path_ $handler>], _, _>(
                $($module::)* $handler,
                || utoipa_axum::routes!($($module::)* $handler),
            )
        }
    };
    (@ [$($module:ident)*] $next:ident $($rest:ident)+) => {
        endpoint!(@ [$($module)* $next] $($rest)+)
    };
}
pub(crate) use endpoint;

/// The method of an attribute as a type of the http crate.
fn http_method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}

/// A route as API Gateway is configured with it.
#[derive(Debug)]
pub struct GatewayRoute {
    /// The route key, such as `GET /v1/orders/{id}`.
    pub key: String,
    /// Who may call it. API Gateway verifies the token, and the guard checks its scope.
    pub access: Access,
    /// Its throttling class.
    pub throttle: Throttle,
}

/// The routes of the API, each with its rule.
#[derive(Default)]
pub(crate) struct Routes(Vec<Route>);

/// An endpoint with its rule. Only [`Routes::route`] makes one, so a route without a rule cannot be
/// built.
struct Route {
    rule: Rule,
    endpoint: Endpoint,
}

impl Routes {
    /// Adds a route.
    pub(crate) fn route(mut self, rule: Rule, endpoint: Endpoint) -> Self {
        self.0.push(Route { rule, endpoint });
        self
    }

    /// Adds other routes.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(crate) fn into_gateway_routes(self) -> impl Iterator<Item = GatewayRoute> {
        self.0.into_iter().map(|route| GatewayRoute {
            key: route.key(),
            access: route.rule.access,
            throttle: route.rule.throttle,
        })
    }

    /// The router, with a guard before each handler.
    pub(crate) fn into_router(self, authorizer: &Arc<Authorizer>) -> Router<Arc<AppState>> {
        self.0.into_iter().fold(Router::new(), |router, route| {
            let path = route.endpoint.path.clone();
            router.route(&path, route.into_guarded_handler(authorizer))
        })
    }

    /// The document with a description of each route.
    pub(crate) fn describe(self, document: OpenApi) -> OpenApi {
        let described = OpenApiRouter::with_openapi(document);
        let described = self.0.into_iter().fold(described, |described, route| {
            described.routes(route.describe())
        });
        described.into_openapi()
    }
}

impl Route {
    /// The route key of API Gateway.
    fn key(&self) -> String {
        format!("{} {}", self.endpoint.method, self.endpoint.path)
    }

    fn into_guarded_handler(self, authorizer: &Arc<Authorizer>) -> MethodRouter<Arc<AppState>> {
        let route = self.key();
        let guard = Arc::new(RouteGuard {
            authorizer: Arc::clone(authorizer),
            access: self.rule.access,
            trail: AuditTrail::of(self.rule.audited, &route),
            route,
        });
        // The first layer is the outermost.
        let layers = (
            DefaultBodyLimit::max(self.rule.body_limit),
            middleware::from_fn_with_state(guard, guard_route),
            // Inside the guard: a handler that panics may have changed something, so it is audited.
            CatchPanicLayer::custom(respond_to_panic),
        );
        self.endpoint.handler.layer(layers)
    }

    /// The description from the attribute, with the scope that the rule requires.
    fn describe(&self) -> UtoipaMethodRouter<Arc<AppState>> {
        let (schemas, mut paths, handler) = (self.endpoint.describe)();
        if let Access::Token(scope) = self.rule.access {
            let token = SecurityRequirement::new("token", [scope.name()]);
            for item in paths.paths.values_mut() {
                let operations = [
                    &mut item.get,
                    &mut item.post,
                    &mut item.put,
                    &mut item.delete,
                ];
                for operation in operations.into_iter().flatten() {
                    operation.security = Some(vec![token.clone()]);
                }
            }
        }
        (schemas, paths, handler)
    }
}

/// What the guards of all routes share.
pub(crate) struct Authorizer {
    state: Arc<AppState>,
    host: Host,
    capacity: Option<Capacity>,
}

impl Authorizer {
    pub(crate) fn new(state: Arc<AppState>, host: Host) -> Self {
        let capacity = match host {
            Host::Lambda => None,
            Host::Container(_) => Some(Capacity::default()),
        };
        Self {
            state,
            host,
            capacity,
        }
    }

    /// The claims of the request's access token.
    async fn claims(&self, parts: &Parts) -> Result<Claims, Problem> {
        match &self.host {
            Host::Lambda => gateway_context(parts)
                .and_then(|context| context.claims.clone())
                .ok_or_else(Problem::unauthorized),
            Host::Container(verifier) => {
                let token = bearer_token(&parts.headers).ok_or_else(Problem::unauthorized)?;
                verifier.verify(token).await
            }
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Bearer ")
}

/// Authorizes and audits the calls of one route.
struct RouteGuard {
    authorizer: Arc<Authorizer>,
    /// The route key, such as `GET /v1/orders/{id}`.
    route: String,
    access: Access,
    trail: AuditTrail,
}

/// Runs the handler if the route's rule allows the call, and writes the audit log.
///
/// An audited attempt runs to its end even if the caller disconnects, so that an action that may
/// have happened is always logged.
async fn guard_route(
    State(guard): State<Arc<RouteGuard>>,
    Extension(trace): Extension<TraceId>,
    request: Request,
    next: Next,
) -> Response {
    let runs_to_end = guard.trail.logs_attempts();
    let response = guard.respond(trace, request, next);
    if runs_to_end {
        server::run_to_end(Session::propagate(Box::pin(response))).await
    } else {
        response.await
    }
}

impl RouteGuard {
    async fn respond(self: Arc<Self>, trace: TraceId, request: Request, next: Next) -> Response {
        let (mut parts, body) = request.into_parts();
        let authorized = self.authorize(&mut parts).await;
        let mut attempt = Attempt::of(&mut parts, trace).await;
        let response = match authorized {
            Ok(()) => self.run_handler(parts, body, &mut attempt, next).await,
            Err(problem) => problem.into_response(),
        };
        let (outcome, database) = (Outcome::of(&response), &self.authorizer.state.database);
        self.trail.record(attempt, outcome, database).await;
        response
    }

    /// Checks that the caller may call the route. Adds [`ClientIp`] and [`Caller`] to the request.
    async fn authorize(&self, parts: &mut Parts) -> Result<(), Problem> {
        self.check_route_key(parts)?;
        let edge = EdgeKey::of(&parts.headers, &self.authorizer.state);
        let client_ip = ClientIp::of(parts, edge);
        parts.extensions.insert(client_ip);
        match (self.access, edge) {
            (Access::Probe | Access::Signed, _)
            | (Access::Public, Some(_))
            | (Access::Frontend, Some(EdgeKey::Frontend)) => Ok(()),
            (_, None) => {
                tracing::warn!("edge.key_missing");
                let detail = "Call it at the shop's address, under /api.";
                Err(Problem::new(ProblemType::DirectAccess, detail))
            }
            (Access::Frontend, Some(EdgeKey::Cdn)) => Err(Problem::not_found("address")),
            (Access::Token(scope), Some(_)) => {
                let caller = Caller::of(&self.authorizer.claims(parts).await?)?;
                let may_call = caller.holds(scope);
                parts.extensions.insert(caller);
                may_call.then_some(()).ok_or_else(|| {
                    let detail = "The access token lacks the scope that this route requires.";
                    Problem::new(ProblemType::Forbidden, detail)
                })
            }
        }
    }

    /// Checks that API Gateway chose the same route: its `$default` route has no authorizer.
    fn check_route_key(&self, parts: &Parts) -> Result<(), Problem> {
        let context = gateway_context(parts);
        let Some(route_key) = context.and_then(|context| context.route_key.as_deref()) else {
            return Ok(());
        };
        let by_default = route_key == "$default" && !matches!(self.access, Access::Token(_));
        if by_default || route_key == self.route {
            return Ok(());
        }
        tracing::error!(route_key, route = self.route, "route.mismatch");
        Metrics::of("Service", "api")
            .with("RouteMismatches", Unit::Count, 1.0)
            .emit(Timestamp::now().as_millisecond());
        let detail = "The path matches different routes at the gateway and in the API.";
        Err(Problem::new(ProblemType::InvalidPath, detail))
    }

    /// Reads the whole body, then runs the handler. A call uses up capacity only after its body has
    /// arrived, so that slow uploads do not block other calls.
    async fn run_handler(
        &self,
        parts: Parts,
        body: Body,
        attempt: &mut Attempt,
        next: Next,
    ) -> Response {
        let bytes = match read_body(parts.clone(), body).await {
            Ok(bytes) => bytes,
            Err(problem) => return problem.into_response(),
        };
        attempt.read_reason(&bytes);
        let request = Request::from_parts(parts, Body::from(bytes));
        match &self.authorizer.capacity {
            Some(capacity) if self.access != Access::Probe => match capacity.permit() {
                Some(_permit) => next.run(request).await,
                None => overloaded().into_response(),
            },
            _ => next.run(request).await,
        }
    }
}

async fn read_body(parts: Parts, body: Body) -> Result<Bytes, Problem> {
    let request = Request::from_parts(parts, body);
    let bytes = timeout(server::BODY_TIMEOUT, Raw::from_request(request, &()));
    let late = |_| {
        let detail = "The body did not arrive in time. Send the request again.";
        Problem::new(ProblemType::RequestTimeout, detail).at("body")
    };
    let Raw(bytes) = bytes.await.map_err(late)??;
    Ok(bytes)
}

fn overloaded() -> Problem {
    let detail = "The API has too many requests at once. Retry in a second.";
    Problem::new(ProblemType::Unavailable, detail).retry_after(1)
}

/// The user of the access token.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Caller")]
pub(crate) struct Caller {
    /// The user's id, as in the token's `sub`.
    pub(crate) id: ShopperId,
    /// The e-mail address, as in the token. Empty if the token has none.
    pub(crate) email: String,
    /// The scopes of the token.
    scopes: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The caller that the route's guard authorized. 401 on a route without a token.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>();
        caller.cloned().ok_or_else(Problem::unauthorized)
    }
}

impl Caller {
    fn of(claims: &Claims) -> Result<Self, Problem> {
        let claim = |name| claims.get(name).and_then(Value::as_str);
        // An ID token has the same issuer and key, but does not authorize calls.
        if claim("token_use") != Some("access") {
            return Err(Problem::unauthorized());
        }
        let id = claim("sub").and_then(|sub| sub.parse().ok());
        let scopes = claim("scope").unwrap_or_default();
        Ok(Self {
            id: ShopperId(id.ok_or_else(Problem::unauthorized)?),
            email: claim("email").unwrap_or_default().to_owned(),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The name shown to people: the e-mail address, else the id.
    pub(crate) fn name(&self) -> String {
        if self.email.is_empty() {
            self.id.0.to_string()
        } else {
            self.email.clone()
        }
    }

    /// The user as an actor in the audit log.
    pub(crate) fn actor(&self) -> AuditActor {
        AuditActor {
            id: Some(self.id.0),
            name: self.name(),
        }
    }

    /// Whether the token has a scope that shoppers do not have.
    pub(crate) fn is_staff(&self) -> bool {
        let of_shoppers = Role::Shopper.scopes();
        let is_staffs = |scope: Scope| !of_shoppers.contains(&scope);
        let mut scopes = self.scopes.iter().filter_map(|scope| scope.parse().ok());
        scopes.any(is_staffs)
    }

    /// Whether the token has the scope.
    pub(crate) fn holds(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|it| it == scope.name())
    }
}
