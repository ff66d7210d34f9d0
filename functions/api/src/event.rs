//! An event of API Gateway (payload format 2.0) as an HTTP request, and the response as its answer.
//!
//! API Gateway hands paths over percent-decoded. They are encoded again, byte by byte, so that the path that is
//! routed is the path that came: `lambda_http`'s own conversion resolves `..` and `\`, cuts at `#` and `?`, and
//! panics on a query or a header that any visitor can send.

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

/// All but RFC 3986's unreserved characters and the slash.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// All but what a query may hold (RFC 3986, section 3.4). It comes still encoded, so `%` stays.
const NOT_IN_A_QUERY: &AsciiSet = &NOT_IN_A_PATH
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

/// A request as API Gateway describes it; of all it says, what is used here.
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

/// What API Gateway found out about a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayContext {
    /// The route it chose, such as `GET /v1/orders/{id}`, or `$default`.
    pub(crate) route_key: Option<String>,
    /// The claims of the token that it verified, if the route has an authorizer.
    pub(crate) claims: Option<Map<String, Value>>,
    /// The address that it was called from: the CDN's, or the frontend's.
    pub(crate) source_ip: Option<String>,
}

/// Has `router` answer the event.
pub async fn answer(router: Router, event: LambdaEvent<GatewayEvent>) -> ApiGatewayV2httpResponse {
    let LambdaEvent { payload, context } = event;
    let response = match payload.into_request(context) {
        Ok(request) => match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(problem) => problem.rendered(TraceId::generate()),
    };
    into_answer(response).await
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
        method.map_err(|_| malformed("The method is not a token."))
    }

    fn uri(&self) -> Result<Uri, Problem> {
        let path = utf8_percent_encode(&self.raw_path, NOT_IN_A_PATH);
        let query = utf8_percent_encode(&self.raw_query_string, NOT_IN_A_QUERY);
        let path_and_query = format!("{path}?{query}");
        let uri = Uri::builder().path_and_query(path_and_query.trim_end_matches('?'));
        uri.build()
            .map_err(|_| malformed("The address is not valid."))
    }
}

fn headers(of: &HashMap<String, String>) -> Result<HeaderMap, Problem> {
    let header = |(name, value): (&String, &String)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let headers: Option<HeaderMap> = of.iter().map(header).collect();
    headers.ok_or_else(|| malformed("A header has a character that HTTP does not allow."))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemType::MalformedRequest, detail)
}

/// The response in the form that API Gateway reads.
async fn into_answer(response: Response) -> ApiGatewayV2httpResponse {
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
        // Bodies are made here, in memory.
        Err(error) => tracing::error!(%error, "response.broken"),
    }
    answer
}

/// What API Gateway found out, if the request came by it.
pub(crate) fn gateway_context(parts: &request::Parts) -> Option<&GatewayContext> {
    parts.extensions.get()
}
