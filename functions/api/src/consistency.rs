//! Read-your-writes. A response carries the WAL position of its write. A request that sends it back is served by a
//! standby that has replayed that position, else by the primary.

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

/// The token, which says nothing to callers: a position in the write-ahead log.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// As the OpenAPI document has it.
pub(crate) fn parameter() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name("Consistency-Token")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The last one that an answer came with"))
        .schema(Some(text))
        .build()
}

/// Answers within a session that has seen what the caller has seen.
pub(crate) async fn keep(request: Request, next: Next) -> Response {
    let session = match session(&request) {
        Ok(session) => session,
        Err(problem) => return problem.into_response(),
    };
    let mut response = session.hold(next.run(request)).await;
    if let Some(written) = session.written()
        && let Ok(token) = HeaderValue::from_str(&written.to_string())
    {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}

/// Whether a POST to the path only reads: what is searched for may be a person's address, which belongs into no URL.
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
    let rule = "must be a token that an answer came with";
    position.ok_or_else(|| Problem::new(ProblemType::Validation, rule).at("Consistency-Token"))
}
