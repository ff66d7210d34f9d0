//! Extractors that parse and validate the parts of a request: network, key, language and body.

use std::{
    iter,
    net::{IpAddr, Ipv6Addr},
};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Request, rejection::BytesRejection,
    },
    http::{StatusCode, header, request::Parts},
};
use jiff::Timestamp;
use orders::{IdempotencyKey, RequestHash, ShopperId, catalogue::Language};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use store::{Claim, Counter, Limit};
use telemetry::{TraceContext, TraceId};
use utoipa::ToSchema;

use crate::{
    edge::ClientIp,
    problem::{Problem, ProblemType},
};

/// The network of the visitor, to which rate limits apply.
pub(crate) struct Origin {
    /// An IPv4 address, or an IPv6 /64: one customer has all of its addresses.
    pub(crate) network: String,
    /// The IPv6 /48 of that network: some customers have all of its 65,536 networks.
    site: Option<String>,
}

/// How many times the limit of one network an IPv6 site has, as it may be a whole company. The same
/// as in `V16__ipv6_sites_and_erased_versions.sql`.
const SITE_FACTOR: i32 = 10;

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self {
                network: address.to_string(),
                site: None,
            },
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self {
                    network: format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
                    site: Some(format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))),
                }
            }
        }
    }

    /// The counters of `action`: of the network with `limit`, and of its site with ten times that.
    pub(crate) fn counters(&self, action: &str, limit: Limit) -> Vec<Counter> {
        let counter = |from: &str, limit| Counter {
            name: format!("{action} {from}"),
            limit,
        };
        let site_limit = Limit {
            tries: limit.tries.saturating_mul(SITE_FACTOR),
            ..limit
        };
        let site = self.site.iter().map(|site| counter(site, site_limit));
        iter::once(counter(&self.network, limit))
            .chain(site)
            .collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let client_ip = parts.extensions.get::<ClientIp>();
        let address = client_ip.and_then(|ip| ip.0);
        let nowhere = || Self {
            network: "nowhere".to_owned(),
            site: None,
        };
        Ok(address.map_or_else(nowhere, Self::of))
    }
}

/// The `Idempotency-Key` header.
pub(crate) struct Key(IdempotencyKey);

impl Key {
    const HEADER: &str = "Idempotency-Key";

    pub(crate) const fn get(&self) -> &IdempotencyKey {
        &self.0
    }

    /// Claims the key for one `request` of `owner` to `operation`, which is carried out once.
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
            let detail = "Send a unique key, and the same one when you repeat the request.";
            Problem::new(ProblemType::IdempotencyKeyMissing, detail).at(Self::HEADER)
        })?;
        let invalid = |rule: &str| Problem::new(ProblemType::Validation, rule).at(Self::HEADER);
        let key = key.to_str().map_err(|_| invalid("must be ASCII"))?;
        key.parse()
            .map(Self)
            .map_err(|rule: orders::Invalid| invalid(&rule.to_string()))
    }
}

/// The first language of `Accept-Language` that the shop has, else English.
pub(crate) struct AcceptLanguage(pub(crate) Language);

impl<S: Sync> FromRequestParts<S> for AcceptLanguage {
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

/// A JSON body. If it is optional, an empty body is `None`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_media_type("application/json", &request)?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let is_json = check_media_type("application/json", &request);
        let Raw(bytes) = Raw::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        is_json?;
        parse(&bytes).map(|body| Some(Self(body)))
    }
}

/// The bytes of a CSV body.
pub(crate) struct Csv(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_media_type("text/csv", &request)?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        Ok(Self(bytes))
    }
}

fn check_media_type(expected: &str, request: &Request) -> Result<(), Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let found = content_type.and_then(|value| value.split(';').next());
    if found.is_some_and(|found| found.trim().eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let detail = format!("Send the body as {expected}, with this Content-Type.");
    Err(Problem::new(ProblemType::UnsupportedMediaType, detail).at("Content-Type"))
}

/// The bytes of a body of any media type.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|error| body_problem(&error))
    }
}

/// A time of 1970 or later, as RFC 3339 has it. `PostgreSQL` cannot store the earliest times that
/// the format allows.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = Timestamp)]
pub(crate) struct Moment(Timestamp);

impl Moment {
    pub(crate) const fn get(self) -> Timestamp {
        self.0
    }
}

impl TryFrom<String> for Moment {
    type Error = orders::Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = text
            .parse()
            .ok()
            .filter(|time| *time >= Timestamp::UNIX_EPOCH);
        let rule = "must be a time, such as 2026-11-25T08:00:00Z";
        time.map(Self).ok_or(orders::Invalid(rule))
    }
}

/// The reason for an action, in the words of the person who takes it.
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
        if (3..=Self::MAX).contains(&length) && orders::is_legible(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(orders::Invalid(
                "must be 3 to 500 characters, without control or invisible characters",
            ))
        }
    }
}

fn body_problem(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "The body exceeds the limit of this route. Send less at a time.";
        Problem::new(ProblemType::PayloadTooLarge, detail).at("body")
    } else {
        let detail = "The body did not arrive in full. Send the request again.";
        Problem::new(ProblemType::InvalidJson, detail).at("body")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Parsed twice, because `serde_json` reports some values of a wrong type as syntax errors. What
    // the first pass accepts is JSON, so any error of the second is one of validation.
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map_err(|error| Problem::new(ProblemType::InvalidJson, error.to_string()).at("body"))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| field_problem(&error.path().to_string(), error.inner()))
}

/// The problem of a field, named by its path and without the position that `serde_json` adds.
fn field_problem(path: &str, error: &serde_json::Error) -> Problem {
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
    Problem::new(ProblemType::Validation, rule).at(field)
}

/// The request's place in its X-Ray trace: from Lambda's context, in a container from the header.
pub(crate) fn trace_place(request: &Request) -> Option<String> {
    let lambda = request.extensions().get::<lambda_http::Context>();
    let named = lambda.and_then(|context| context.xray_trace_id.clone());
    named.or_else(|| header(request, TraceContext::HEADER).map(str::to_owned))
}

/// The trace id of the request: the caller's, else the one that the edge began, else a new one.
pub(crate) fn trace(request: &Request) -> TraceId {
    let edge = || header(request, TraceContext::HEADER)?.parse().ok();
    header(request, TraceId::HEADER)
        .and_then(TraceId::from_traceparent)
        .or_else(|| edge().map(TraceContext::root))
        .unwrap_or_else(TraceId::generate)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_customer_have_one_origin() {
        let origin = |address: &str| Origin::of(address.parse().unwrap()).network;
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(origin("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(origin("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn an_ipv6_site_is_counted_in_addition_to_its_networks() {
        let counted = |address: &str| -> Vec<_> {
            let origin = Origin::of(address.parse().unwrap());
            let counters = origin.counters("try", Limit::new(5, 1));
            let pair = |it: Counter| (it.name, it.limit.tries);
            counters.into_iter().map(pair).collect()
        };
        let site = ("try 2001:db8:1::/48".to_owned(), 50);
        for network in ["2", "3"] {
            let name = format!("try 2001:db8:1:{network}::/64");
            let address = format!("2001:db8:1:{network}::9");
            assert_eq!(counted(&address), [(name, 5), site.clone()]);
        }
        assert_eq!(counted("192.0.2.7"), [("try 192.0.2.7".to_owned(), 5)]);
    }
}
