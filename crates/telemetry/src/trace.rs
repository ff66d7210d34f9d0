//! The id that follows a request from the browser to the provider call.

use std::fmt;

/// A W3C trace id: 32 hexadecimal digits, not all of them zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// The header that carries a trace from one service to the next.
    pub const HEADER: &str = "traceparent";

    /// A new id.
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }

    /// The id in a `traceparent` header, or a new one when the header is missing or malformed.
    pub fn from_header(traceparent: Option<&str>) -> Self {
        traceparent
            .and_then(Self::parse)
            .unwrap_or_else(Self::generate)
    }

    /// The value of a `traceparent` header that carries this id on; the low half names the span.
    pub fn traceparent(self) -> String {
        let span = u64::try_from(self.0 & u128::from(u64::MAX))
            .unwrap_or(1)
            .max(1);
        format!("00-{self}-{span:016x}-01")
    }

    /// `00-<trace id>-<span id>-<flags>`, as <https://www.w3.org/TR/trace-context/> has it.
    fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, id, span) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str| {
            part.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if version.len() != 2 || id.len() != 32 || span.len() != 16 || !hex(id) || !hex(span) {
            return None;
        }
        u128::from_str_radix(id, 16)
            .ok()
            .filter(|id| *id != 0)
            .map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_carried_on() {
        let id = TraceId::generate();
        assert_eq!(TraceId::from_header(Some(&id.traceparent())), id);
    }

    #[test]
    fn a_malformed_header_begins_a_new_trace() {
        for bad in [
            "",
            "00-0-0-00",
            "00-00000000000000000000000000000000-0000000000000001-01",
            "\u{1F600}",
        ] {
            assert_eq!(TraceId::parse(bad), None, "{bad}");
        }
    }
}
