//! What a request says, parsed and checked: who asks, under which key, in which language, what.

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
use telemetry::{TraceId, TracePlace};
use utoipa::ToSchema;

use crate::{
    edge::ClientIp,
    problem::{Problem, ProblemType},
};

/// From where a request comes in the end, as far as limits are concerned: the network of the browser.
pub(crate) struct Origin {
    /// An IPv4 address, or the IPv6 network of one customer, a /64, all of whose addresses they have.
    pub(crate) network: String,
    /// The IPv6 site of that network, a /48: some customers have all of its 65,536 networks.
    site: Option<String>,
}

/// How many times as much as one network an IPv6 site may do: it may be a whole company. The same as in
/// `V16__ipv6_sites_and_erased_versions.sql`.
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

    /// Counts `action` for the network within `limit`, and for its site within ten times that.
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
            Problem::new(ProblemType::IdempotencyKeyMissing, detail).at(Self::HEADER)
        })?;
        let invalid = |rule: &str| Problem::new(ProblemType::Validation, rule).at(Self::HEADER);
        let key = key.to_str().map_err(|_| invalid("must be ASCII"))?;
        key.parse()
            .map(Self)
            .map_err(|rule: orders::Invalid| invalid(&rule.to_string()))
    }
}

/// The first language of `Accept-Language` that the shop speaks, else English.
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
    Err(Problem::new(ProblemType::UnsupportedMediaType, detail).at("Content-Type"))
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

/// A time that the database knows, too: it has none as early as some that can be written.
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
        if (3..=Self::MAX).contains(&length) && orders::is_legible(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(orders::Invalid(
                "must be 3 to 500 characters, without control or invisible characters",
            ))
        }
    }
}

fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(ProblemType::PayloadTooLarge, "Send less at a time.").at("body")
    } else {
        Problem::new(ProblemType::InvalidJson, "The body broke off.").at("body")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // What is wanted is held against what is JSON: `serde_json` alone calls some values that do not fit
    // broken JSON.
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map_err(|error| Problem::new(ProblemType::InvalidJson, error.to_string()).at("body"))?;
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
    Problem::new(ProblemType::Validation, rule).at(field)
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
        let origin = |address: &str| Origin::of(address.parse().unwrap()).network;
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(origin("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(origin("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn an_ipv6_site_is_counted_beside_its_networks() {
        let counted = |address: &str| -> Vec<_> {
            let origin = Origin::of(address.parse().unwrap());
            let counters = origin.counters("try", Limit::new(5, 1));
            let told = |it: Counter| (it.name, it.limit.tries);
            counters.into_iter().map(told).collect()
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
