//! Recognizes the two callers in front of the API: the CDN with its firewall, and the frontend's
//! servers. Each sends its own key. A request without one has bypassed both.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, request::Parts};

use crate::{AppState, event::gateway_context};

/// Whose key a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeKey {
    Cdn,
    Frontend,
}

/// The IP address of the visitor, if it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientIp(pub(crate) Option<IpAddr>);

impl EdgeKey {
    const CDN_KEY: &str = "Cauce-Origin-Key";
    const FRONTEND_KEY: &str = "Cauce-Frontend-Key";
    /// The visitor's address. The CDN overwrites what the visitor sent.
    const VIEWER: &str = "Cauce-Viewer-Address";
    /// The visitor's address, set by the frontend.
    const CLIENT: &str = "Cauce-Client-Address";

    /// With both keys, the frontend's wins: its servers may call through the CDN.
    pub(crate) fn of(headers: &HeaderMap, state: &AppState) -> Option<Self> {
        let has_key = |name, key: &str| {
            let sent = headers.get(name)?;
            verify_slices_are_equal(sent.as_bytes(), key.as_bytes()).ok()
        };
        let frontend = has_key(Self::FRONTEND_KEY, &state.frontend_key).map(|()| Self::Frontend);
        frontend.or_else(|| has_key(Self::CDN_KEY, &state.origin_key).map(|()| Self::Cdn))
    }

    /// The visitor's address, from the one header that this caller sets.
    fn client_ip(self, headers: &HeaderMap) -> Option<IpAddr> {
        let header = match self {
            Self::Cdn => Self::VIEWER,
            Self::Frontend => Self::CLIENT,
        };
        headers.get(header)?.to_str().ok()?.parse().ok()
    }
}

impl ClientIp {
    /// The address from the edge's header. Without an edge key, the peer address at API Gateway.
    pub(crate) fn of(parts: &Parts, edge: Option<EdgeKey>) -> Self {
        Self(match edge {
            Some(edge) => edge.client_ip(&parts.headers),
            None => {
                gateway_context(parts).and_then(|context| context.source_ip.as_ref()?.parse().ok())
            }
        })
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
    fn each_edge_sends_the_visitors_address_in_its_own_header() {
        let sent = headers(&[
            (EdgeKey::CLIENT, "192.0.2.7"),
            (EdgeKey::VIEWER, "2001:db8::8"),
            ("X-Forwarded-For", "198.51.100.1, 192.0.2.9, 203.0.113.9"),
        ]);
        let address = |edge: EdgeKey| edge.client_ip(&sent).unwrap().to_string();
        assert_eq!(address(EdgeKey::Frontend), "192.0.2.7");
        assert_eq!(address(EdgeKey::Cdn), "2001:db8::8");
    }

    #[test]
    fn a_header_that_is_not_one_address_is_ignored() {
        let sent = headers(&[
            (EdgeKey::CLIENT, "somewhere"),
            (EdgeKey::VIEWER, "192.0.2.7, 192.0.2.8"),
            ("X-Forwarded-For", "198.51.100.1, 192.0.2.9"),
        ]);
        assert_eq!(EdgeKey::Frontend.client_ip(&sent), None);
        assert_eq!(EdgeKey::Cdn.client_ip(&sent), None);
    }
}
