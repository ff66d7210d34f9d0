//! Converts events of API Gateway (payload format 2.0) to HTTP requests, and responses back.
//!
//! API Gateway passes percent-decoded paths. They are encoded again, byte by byte, so that the
//! router gets the path that the caller sent. `lambda_http`'s own conversion resolves `..` and `\`,
//! cuts at `#` and `?`, and panics on some queries and headers.

use std::collections::HashMap;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    Body as Text, Context, LambdaEvent, aws_lambda_events::apigw::ApiGatewayV2httpResponse,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use telemetry::TraceId;
use tower::ServiceExt;

use crate::problem::{Problem, ProblemType};

/// All characters except RFC 3986's unreserved ones and the slash.
const ENCODED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// All characters except those that a query may contain (RFC 3986, section 3.4). API Gateway passes
/// the query still encoded, so `%` stays.
const ENCODED_IN_QUERY: &AsciiSet = &ENCODED_IN_PATH
    .remove(b'!')
    .remove(b'$')
    .remove(b'%')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'?')
    .remove(b'@');

/// The fields of API Gateway's event that the API uses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayEvent {
    raw_path: String,
    raw_query_string: String,
    headers: HashMap<String, String>,
    body: Option<String>,
    is_base64_encoded: bool,
    request_context: RequestContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    route_key: Option<String>,
    http: Http,
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Http {
    method: String,
    source_ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Authorizer {
    jwt: Option<Jwt>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Jwt {
    claims: Map<String, Value>,
}

/// What API Gateway determined about a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayContext {
    /// The route that it chose, such as `GET /v1/orders/{id}`, or `$default`.
    pub(crate) route_key: Option<String>,
    /// The claims of the token that it verified, if the route has an authorizer.
    pub(crate) claims: Option<Map<String, Value>>,
    /// The peer address: the CDN's or the frontend's, or that of a caller who bypassed both.
    pub(crate) source_ip: Option<String>,
}

/// Sends the event through `router`, and returns the response for API Gateway.
pub async fn answer(router: Router, event: LambdaEvent<GatewayEvent>) -> ApiGatewayV2httpResponse {
    let LambdaEvent { payload, context } = event;
    let response = match payload.into_request(context) {
        Ok(request) => match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(problem) => problem.render_body(TraceId::generate()),
    };
    into_gateway_response(response).await
}

impl GatewayEvent {
    fn into_request(self, context: Context) -> Result<Request<Body>, Problem> {
        let body = self.body()?;
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = self.method()?;
        *request.uri_mut() = self.uri()?;
        *request.headers_mut() = headers(&self.headers)?;
        let RequestContext {
            route_key,
            http,
            authorizer,
        } = self.request_context;
        let jwt = authorizer.and_then(|authorizer| authorizer.jwt);
        let extensions = request.extensions_mut();
        extensions.insert(context);
        extensions.insert(GatewayContext {
            route_key,
            claims: jwt.map(|jwt| jwt.claims),
            source_ip: http.source_ip,
        });
        Ok(request)
    }

    fn body(&self) -> Result<Vec<u8>, Problem> {
        let body = self.body.as_deref().unwrap_or_default();
        if !self.is_base64_encoded {
            return Ok(body.into());
        }
        let decoded = BASE64_STANDARD.decode(body);
        decoded.map_err(|_| malformed("The body is not valid base64.").at("body"))
    }

    fn method(&self) -> Result<Method, Problem> {
        let method = Method::from_bytes(self.request_context.http.method.as_bytes());
        method.map_err(|_| malformed("The method is not an HTTP token."))
    }

    fn uri(&self) -> Result<Uri, Problem> {
        let path = utf8_percent_encode(&self.raw_path, ENCODED_IN_PATH);
        let query = utf8_percent_encode(&self.raw_query_string, ENCODED_IN_QUERY);
        let path_and_query = format!("{path}?{query}");
        let uri = Uri::builder().path_and_query(path_and_query.trim_end_matches('?'));
        uri.build()
            .map_err(|_| malformed("The path or the query is not valid."))
    }
}

fn headers(of: &HashMap<String, String>) -> Result<HeaderMap, Problem> {
    let header = |(name, value): (&String, &String)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let headers: Option<HeaderMap> = of.iter().map(header).collect();
    headers.ok_or_else(|| malformed("A header contains a character that HTTP does not allow."))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemType::MalformedRequest, detail)
}

async fn into_gateway_response(response: Response) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = parts.status.as_u16().into();
    answer.headers = parts.headers;
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => match String::from_utf8(bytes.into()) {
            Ok(text) => answer.body = Some(Text::Text(text)),
            Err(error) => {
                answer.is_base64_encoded = true;
                answer.body = Some(Text::Binary(error.into_bytes()));
            }
        },
        // Does not happen: all bodies are in memory.
        Err(error) => tracing::error!(%error, "response.broken"),
    }
    answer
}

/// What API Gateway determined, if the request came through it.
pub(crate) fn gateway_context(parts: &request::Parts) -> Option<&GatewayContext> {
    parts.extensions.get()
}
