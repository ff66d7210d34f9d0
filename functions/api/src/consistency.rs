//! Read-your-writes. A response carries the WAL position of its write. A request that sends it back
//! is served by a standby that has replayed that position, else by the primary.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use store::{Session, WalPosition};
use utoipa::openapi::{
    ObjectBuilder, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::Type,
};

use crate::problem::{Problem, ProblemType};

/// The header with a position in the write-ahead log. It is opaque to callers.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// The header's description for the OpenAPI document.
pub(crate) fn parameter() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name("Consistency-Token")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The latest token of a response, for a read that includes the write",
        ))
        .schema(Some(text))
        .build()
}

/// Runs the request in a session that includes the caller's earlier writes.
pub(crate) async fn run_in_session(request: Request, next: Next) -> Response {
    let session = match session(&request) {
        Ok(session) => session,
        Err(problem) => return problem.into_response(),
    };
    let mut response = session.scope(next.run(request)).await;
    if let Some(written) = session.written()
        && let Ok(token) = HeaderValue::from_str(&written.to_string())
    {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}

/// Whether a POST to the path only reads. Searches are POSTs to keep e-mail addresses out of URLs.
pub(crate) fn is_search(path: &str) -> bool {
    ["/v1/orders/search", "/v1/users/search", "/v1/audit/search"].contains(&path)
}

fn session(request: &Request) -> Result<Session, Problem> {
    let reads = match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::POST => is_search(request.uri().path()),
        _ => false,
    };
    if !reads {
        return Ok(Session::writing());
    }
    let token = request.headers().get(TOKEN);
    let seen = token.map(position).transpose()?;
    Ok(Session::reading(seen))
}

fn position(token: &HeaderValue) -> Result<WalPosition, Problem> {
    let position = token.to_str().ok().and_then(|token| token.parse().ok());
    let rule = "must be a token from a response";
    position.ok_or_else(|| Problem::new(ProblemType::Validation, rule).at("Consistency-Token"))
}
