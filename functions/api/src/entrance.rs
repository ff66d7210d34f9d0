//! The two ways in: through the CDN, behind its firewall, and by the frontend's servers. Each proves
//! itself by a key of its own, and whoever comes past them is turned away.

use std::{net::IpAddr, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap},
    middleware::Next,
    response::{IntoResponse, Response},
};

use lambda_http::request::RequestContext;

use crate::{
    Shop,
    problem::{Kind, Problem},
};

/// What may be asked by anybody who can reach us: load balancers and orchestrators have no key, and the
/// external services sign what they send.
const OPEN: [&str; 4] = [
    "/healthz",
    "/readyz",
    "/v1/webhooks/payments",
    "/v1/webhooks/shipping",
];

/// By which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    Cdn,
    Frontend,
}

/// From where a request comes in the end, if that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesFrom(pub(crate) Option<IpAddr>);

impl Entrance {
    const CDN_KEY: &str = "Cauce-Origin-Key";
    const FRONTEND_KEY: &str = "Cauce-Frontend-Key";
    /// Whom the frontend asks for.
    const ADDRESS: &str = "Cauce-Client-Address";
    const FORWARDED: &str = "X-Forwarded-For";

    /// The frontend's key says more, so it goes first: its servers may come through the CDN, too.
    fn of(headers: &HeaderMap, shop: &Shop) -> Option<Self> {
        let shows = |name, key: &str| {
            let shown = headers.get(name)?;
            verify_slices_are_equal(shown.as_bytes(), key.as_bytes()).ok()
        };
        let frontend = shows(Self::FRONTEND_KEY, &shop.frontend_key).map(|()| Self::Frontend);
        frontend.or_else(|| shows(Self::CDN_KEY, &shop.origin_key).map(|()| Self::Cdn))
    }

    /// The visitor's address, as this entrance tells it. The CDN appends it to what the visitor may have
    /// written there, and API Gateway, or a load balancer, the CDN's.
    fn visitor(self, headers: &HeaderMap) -> Option<IpAddr> {
        let header = |name| headers.get(name)?.to_str().ok();
        match self {
            Self::Frontend => header(Self::ADDRESS)?.parse().ok(),
            Self::Cdn => {
                let mut hops = header(Self::FORWARDED)?.rsplit(',');
                hops.nth(1)?.trim().parse().ok()
            }
        }
    }
}

/// Lets in who comes by an entrance, and notes from where.
pub(crate) async fn guard(
    State(shop): State<Arc<Shop>>,
    mut request: Request,
    next: Next,
) -> Response {
    let entrance = Entrance::of(request.headers(), &shop);
    if entrance.is_none() && !OPEN.contains(&request.uri().path()) {
        tracing::warn!("entrance.refused");
        let detail = "The API is asked by the shop's own address, below /api.";
        return Problem::new(Kind::NotByTheEntrance, detail).into_response();
    }
    let visitor = entrance.and_then(|entrance| entrance.visitor(request.headers()));
    let connected = || connected_from(request.extensions())?.parse().ok();
    let comes_from = ComesFrom(visitor.or_else(connected));
    request.extensions_mut().insert(comes_from);
    next.run(request).await
}

/// The address from which API Gateway was called.
fn connected_from(extensions: &Extensions) -> Option<&str> {
    match extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn each_entrance_tells_the_visitors_address_in_its_own_way() {
        let told = headers(&[
            (Entrance::ADDRESS, "192.0.2.7"),
            (Entrance::FORWARDED, "198.51.100.1, 192.0.2.8, 203.0.113.9"),
        ]);
        let address = |entrance: Entrance| entrance.visitor(&told).unwrap().to_string();
        assert_eq!(address(Entrance::Frontend), "192.0.2.7");
        assert_eq!(address(Entrance::Cdn), "192.0.2.8");
    }

    #[test]
    fn what_is_no_address_is_none() {
        let told = headers(&[(Entrance::ADDRESS, "somewhere"), (Entrance::FORWARDED, "")]);
        assert_eq!(Entrance::Frontend.visitor(&told), None);
        assert_eq!(Entrance::Cdn.visitor(&told), None);
    }
}
