//! What a request says, parsed and checked: who asks, under which key, in which language, what.

use std::net::{IpAddr, Ipv6Addr};

use access::Scope;
use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Request, rejection::BytesRejection,
    },
    http::{StatusCode, header, request::Parts},
};
use lambda_http::request::RequestContext;
use orders::{IdempotencyKey, RequestHash, ShopperId, catalogue::Language};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use store::Claim;
use telemetry::{TraceId, TracePlace};
use utoipa::ToSchema;

use crate::{
    entrance::ComesFrom,
    problem::{Kind, Problem},
};

/// Who asks. API Gateway has checked the token and the route's scope; this reads what it found.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Caller")]
pub(crate) struct Caller {
    /// The user's own id.
    pub(crate) id: ShopperId,
    /// Where messages go.
    pub(crate) email: String,
    /// What the user may do.
    scopes: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let claims = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let jwt = context
                    .authorizer
                    .as_ref()
                    .and_then(|found| found.jwt.as_ref());
                jwt.map(|jwt| &jwt.claims)
            }
            _ => None,
        };
        let claim = |name| {
            claims
                .and_then(|claims| claims.get(name))
                .map(String::as_str)
        };
        let id = claim("sub").and_then(|sub| sub.parse().ok());
        let id = id.ok_or_else(|| Problem::new(Kind::Unauthorized, "The token names no user."))?;
        let scopes = claim("scope").unwrap_or_default();
        Ok(Self {
            id: ShopperId(id),
            email: claim("email").unwrap_or_default().to_owned(),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl Caller {
    /// What the audit log calls the user.
    pub(crate) fn name(&self) -> String {
        if self.email.is_empty() {
            self.id.0.to_string()
        } else {
            self.email.clone()
        }
    }

    /// Whether others' orders are the caller's business.
    pub(crate) fn reads_any_order(&self) -> bool {
        self.may(Scope::OrdersReadAny)
    }

    /// Whether the caller may call off others' orders.
    pub(crate) fn cancels_any_order(&self) -> bool {
        self.may(Scope::OrdersCancelAny)
    }

    /// Whether the caller may give back as much as was taken.
    pub(crate) fn refunds_any_amount(&self) -> bool {
        self.may(Scope::OrdersRefundAnyAmount)
    }

    fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|it| it == scope.name())
    }
}

/// From where a request comes in the end, as far as limits are concerned: the network of the browser.
pub(crate) struct Origin(pub(crate) String);

impl Origin {
    /// An address, or the network of one customer: whoever has IPv6 has all addresses of a /64.
    fn network(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let comes_from = parts.extensions.get::<ComesFrom>();
        let address = comes_from.and_then(|it| it.0);
        Ok(address.map_or_else(|| Self("nowhere".to_owned()), Self::network))
    }
}

/// The `Idempotency-Key` header.
pub(crate) struct Key(IdempotencyKey);

impl Key {
    const HEADER: &str = "Idempotency-Key";

    /// The claim of `owner` to have `request` to `operation` carried out once.
    pub(crate) fn claim(
        self,
        owner: ShopperId,
        operation: &str,
        request: &impl Serialize,
    ) -> Claim {
        Claim {
            owner,
            key: self.0,
            request: RequestHash::of(&(operation, request)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = parts.headers.get(Self::HEADER).ok_or_else(|| {
            let detail = "Send a key of your own making, the same again when you repeat a request.";
            Problem::new(Kind::IdempotencyKeyMissing, detail).at(Self::HEADER)
        })?;
        let invalid = |rule: &str| Problem::new(Kind::Validation, rule).at(Self::HEADER);
        let key = key.to_str().map_err(|_| invalid("must be ASCII"))?;
        key.parse()
            .map(Self)
            .map_err(|rule: orders::Invalid| invalid(&rule.to_string()))
    }
}

/// The first language of `Accept-Language` that the shop speaks, else English.
pub(crate) struct Speaks(pub(crate) Language);

impl<S: Sync> FromRequestParts<S> for Speaks {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = parts
            .headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|it| it.to_str().ok());
        let mut tags = header.unwrap_or_default().split(',').map(str::trim);
        let language = tags.find_map(|tag| match tag.get(..2) {
            Some("es") => Some(Language::Es),
            Some("en") => Some(Language::En),
            _ => None,
        });
        Ok(Self(language.unwrap_or_default()))
    }
}

/// A JSON body. Where it is optional, none at all is none.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        must_be("application/json", &request)?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let is_json = must_be("application/json", &request);
        let Raw(bytes) = Raw::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        is_json?;
        parse(&bytes).map(|body| Some(Self(body)))
    }
}

/// A CSV body as it came.
pub(crate) struct Csv(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        must_be("text/csv", &request)?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        Ok(Self(bytes))
    }
}

fn must_be(media_type: &str, request: &Request) -> Result<(), Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let says = content_type.and_then(|value| value.split(';').next());
    if says.is_some_and(|says| says.trim().eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let detail = format!("It must be {media_type}, and say so.");
    Err(Problem::new(Kind::UnsupportedMediaType, detail).at("Content-Type"))
}

/// A body as it came.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|error| unread(&error))
    }
}

/// Why somebody changes something, in their words.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 3, max_length = 500)]
pub(crate) struct Reason(String);

impl Reason {
    /// The longest, in characters.
    pub(crate) const MAX: usize = 500;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = orders::Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let length = text.chars().count();
        if (3..=Self::MAX).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(orders::Invalid(
                "must be 3 to 500 characters, and none of them a control character",
            ))
        }
    }
}

fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::PayloadTooLarge, "Send less at a time.").at("body")
    } else {
        Problem::new(Kind::InvalidJson, "The body broke off.").at("body")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // What is wanted is held against what is JSON: `serde_json` alone calls some values that do not fit
    // broken JSON.
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map_err(|error| Problem::new(Kind::InvalidJson, error.to_string()).at("body"))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| misfit(&error.path().to_string(), error.inner()))
}

fn misfit(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let rule = text.split(" at line ").next().unwrap_or(&text);
    let missing = rule
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    let field = match (path, missing) {
        (".", None) => "body".to_owned(),
        (".", Some(name)) => name.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
    };
    Problem::new(Kind::Validation, rule).at(field)
}

/// Where the request is in its trace: Lambda knows best, and in a container there are headers only.
pub(crate) fn trace_place(request: &Request) -> Option<String> {
    let lambda = request.extensions().get::<lambda_http::Context>();
    let named = lambda.and_then(|context| context.xray_trace_id.clone());
    named.or_else(|| header(request, TracePlace::HEADER).map(str::to_owned))
}

/// The trace that the request belongs to: the caller's, else the one that began at the edge, else a new one.
pub(crate) fn trace(request: &Request) -> TraceId {
    let edge = || header(request, TracePlace::HEADER)?.parse().ok();
    header(request, TraceId::HEADER)
        .and_then(TraceId::from_traceparent)
        .or_else(|| edge().map(TracePlace::root))
        .unwrap_or_else(TraceId::generate)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_customer_are_one_origin() {
        let origin = |address: &str| Origin::network(address.parse().unwrap()).0;
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(origin("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(origin("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
