//! The id of a trace, from the browser's request to the call of a provider.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A W3C trace id: 32 hexadecimal digits, not all zero. X-Ray writes the same id in three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// The header that propagates a trace from one service to the next.
    pub const HEADER: &str = "traceparent";

    /// Returns a new id. It begins with the time in seconds, as X-Ray requires.
    pub fn generate() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| u128::from(since.as_secs() & 0xffff_ffff));
        Self(seconds << 96 | uuid::Uuid::new_v4().as_u128() >> 32)
    }

    /// Returns the value of a `traceparent` header with this id. The id's low half is the span id.
    pub fn traceparent(self) -> String {
        let span = u64::try_from(self.0 & u128::from(u64::MAX))
            .unwrap_or(1)
            .max(1);
        format!("00-{self}-{span:016x}-01")
    }

    /// Reads the id from a `traceparent` header: `00-<trace id>-<span id>-<flags>`, by
    /// <https://www.w3.org/TR/trace-context/>.
    pub fn from_traceparent(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, id, span) = (parts.next()?, parts.next()?, parts.next()?);
        if version.len() != 2 || span.len() != 16 || !is_hex(span) {
            return None;
        }
        Self::parse(id)
    }

    /// Reads the id in X-Ray's form: `1-<seconds>-<24 digits>`.
    pub(crate) fn from_root(root: &str) -> Option<Self> {
        let (seconds, rest) = root.strip_prefix("1-")?.split_once('-')?;
        if seconds.len() != 8 {
            return None;
        }
        Self::parse(&format!("{seconds}{rest}"))
    }

    pub(crate) fn as_root(self) -> String {
        let id = self.to_string();
        format!("1-{}-{}", &id[..8], &id[8..])
    }

    fn parse(id: &str) -> Option<Self> {
        if id.len() != 32 || !is_hex(id) {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok()?;
        (id != 0).then_some(Self(id))
    }
}

fn is_hex(digits: &str) -> bool {
    digits
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
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
    fn an_id_is_the_same_after_writing_and_reading_it() {
        let id = TraceId::generate();
        assert_eq!(TraceId::from_traceparent(&id.traceparent()), Some(id));
        assert_eq!(TraceId::from_root(&id.as_root()), Some(id));
    }

    #[test]
    fn a_malformed_header_has_no_trace_id() {
        for bad in [
            "",
            "00-0-0-00",
            "00-00000000000000000000000000000000-0000000000000001-01",
            "\u{1F600}",
        ] {
            assert_eq!(TraceId::from_traceparent(bad), None, "{bad}");
        }
        for bad in ["", "1-", "1-2-3", "2-581cf771-a006649127e371903a2de979"] {
            assert_eq!(TraceId::from_root(bad), None, "{bad}");
        }
    }
}
