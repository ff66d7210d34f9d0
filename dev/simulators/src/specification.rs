//! Refuses requests that the provider's published specification does not allow, including
//! parameters that the simulator does not read.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use contracts::{Contract, Deviation};

/// The largest request body.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A provider's specification, and how the provider refuses a deviation from it.
pub(crate) struct Specification {
    pub(crate) contract: Contract,
    /// The refusal of a deviation; `None` if it is tolerated.
    pub(crate) refusal: fn(&Deviation) -> Option<Response>,
}

/// Passes a call on if the specification allows it or does not know its path.
pub(crate) async fn refuse_deviations(
    State(specification): State<Arc<Specification>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    if specification.contract.operation(method, path).is_some() {
        let deviations = specification.contract.check_request(contracts::Request {
            method,
            path,
            query: parts.uri.query().unwrap_or_default(),
            body: &body,
        });
        if let Some(refusal) = deviations.iter().find_map(specification.refusal) {
            return refusal;
        }
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}
