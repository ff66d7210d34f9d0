//! X-Ray: the trace of the current work, and a subsegment for each call to a service outside AWS.
//! AWS writes all other segments.
//!
//! Format: <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html>.

use std::{
    env,
    fmt::{self, Display},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    str::FromStr,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::TraceId;

/// The X-Ray daemon, which receives segments by UDP. Lambda sets its address; elsewhere there is
/// none.
static DAEMON: LazyLock<Option<Daemon>> = LazyLock::new(Daemon::find);

/// The header that the daemon requires before a segment.
const PREAMBLE: &str = r#"{"format":"json","version":1}"#;

tokio::task_local! {
    static PLACE: Option<TraceContext>;
}

/// A place in a trace, as AWS propagates it:
/// `Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    root: TraceId,
    /// The id of the parent segment.
    parent: Option<u64>,
    /// Whether the trace is sampled; `None` if that is not decided yet.
    sampled: Option<bool>,
}

/// The header has no valid `Root`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTraceHeader;

impl TraceContext {
    /// The header that propagates it.
    pub const HEADER: &str = "x-amzn-trace-id";

    /// The id of the trace.
    pub const fn root(self) -> TraceId {
        self.root
    }

    /// The place of the current work.
    pub fn current() -> Option<Self> {
        PLACE.try_with(|place| *place).ok().flatten()
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceHeader;

    fn from_str(header: &str) -> Result<Self, InvalidTraceHeader> {
        let part = |name: &str| {
            let mut parts = header.split(';').filter_map(|part| part.split_once('='));
            parts
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim())
        };
        Ok(Self {
            root: part("Root")
                .and_then(TraceId::from_root)
                .ok_or(InvalidTraceHeader)?,
            parent: part("Parent").and_then(|parent| u64::from_str_radix(parent, 16).ok()),
            sampled: match part("Sampled") {
                Some("1") => Some(true),
                Some("0") => Some(false),
                _ => None,
            },
        })
    }
}

impl Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={}", self.root.as_root())?;
        if let Some(parent) = self.parent {
            write!(f, ";Parent={parent:016x}")?;
        }
        match self.sampled {
            Some(sampled) => write!(f, ";Sampled={}", u8::from(sampled)),
            None => Ok(()),
        }
    }
}

/// Runs `work` at the place in a trace that a header states.
pub async fn in_trace<F: Future>(header: Option<&str>, work: F) -> F::Output {
    let place = header.and_then(|header| header.parse().ok());
    // This is all the work of a function: its future is too large for the stack.
    PLACE.scope(place, Box::pin(work)).await
}

/// Keeps the current place in the trace for `work`, so that it can be spawned.
pub fn in_current_trace<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PLACE.scope(TraceContext::current(), work)
}

/// A call of a service outside AWS. It is reported to X-Ray when it is dropped, whether it was
/// answered, failed or was cancelled.
#[derive(Debug)]
pub struct RemoteCall {
    sampled: Option<(TraceId, u64)>,
    host: String,
    method: String,
    began: SystemTime,
    status: Option<u16>,
}

impl RemoteCall {
    /// Returns a call that begins now. Only the host of its URL is reported: the rest may contain a
    /// secret.
    pub fn begin(method: impl Display, host: &str) -> Self {
        let sampled = TraceContext::current()
            .filter(|place| place.sampled == Some(true))
            .and_then(|place| Some((place.root, place.parent?)));
        Self {
            sampled,
            host: host.to_owned(),
            method: method.to_string(),
            began: SystemTime::now(),
            status: None,
        }
    }

    /// Records the HTTP status of the answer.
    pub const fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    fn subsegment(&self, (trace, parent): (TraceId, u64), id: u64, ended: SystemTime) -> Value {
        let status = self.status;
        json!({
            "type": "subsegment",
            "namespace": "remote",
            "name": self.host,
            "id": format!("{id:016x}"),
            "trace_id": trace.as_root(),
            "parent_id": format!("{parent:016x}"),
            "start_time": seconds(self.began),
            "end_time": seconds(ended),
            "http": {
                "request": { "method": self.method, "url": format!("https://{}/", self.host) },
                "response": { "status": status },
            },
            "error": status.is_some_and(|status| (400..500).contains(&status)),
            "throttle": status == Some(429),
            "fault": status.is_none_or(|status| status >= 500),
        })
    }
}

impl Drop for RemoteCall {
    fn drop(&mut self) {
        if let (Some(place), Some(daemon)) = (self.sampled, DAEMON.as_ref()) {
            let id = uuid::Uuid::new_v4().as_u64_pair().0;
            daemon.send(&self.subsegment(place, id, SystemTime::now()));
        }
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

struct Daemon {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Daemon {
    fn find() -> Option<Self> {
        let address = env::var("AWS_XRAY_DAEMON_ADDRESS").ok()?.parse().ok()?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, address })
    }

    /// Sends a segment. Errors are ignored: a lost segment must not fail the call.
    fn send(&self, segment: &Value) {
        let datagram = format!("{PREAMBLE}\n{segment}");
        _ = self.socket.send_to(datagram.as_bytes(), self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";

    #[tokio::test]
    async fn a_place_is_propagated_unchanged() {
        let read_place = |header| in_trace(header, async { TraceContext::current() });
        let place = read_place(Some(HEADER)).await;
        assert_eq!(
            place.map(|place| place.to_string()).as_deref(),
            Some(HEADER)
        );
        let undecided = "Self=1-2; Root=1-581cf771-a006649127e371903a2de979";
        let undecided = read_place(Some(undecided)).await;
        assert_eq!(
            undecided.map(|place| place.to_string()).as_deref(),
            Some("Root=1-581cf771-a006649127e371903a2de979")
        );
        for invalid in [
            None,
            Some(""),
            Some("Root=1-2-3"),
            Some("Parent=53995c3f42cd8ad8"),
        ] {
            assert_eq!(read_place(invalid).await, None, "{invalid:?}");
        }
    }

    #[tokio::test]
    async fn a_call_is_reported_with_its_outcome() {
        let report = async |status| {
            let mut call = in_trace(Some(HEADER), async {
                RemoteCall::begin("POST", "api.stripe.com")
            })
            .await;
            if let Some(status) = status {
                call.answered(status);
            }
            call.subsegment(call.sampled.unwrap(), 7, call.began)
        };
        let answered = report(Some(200)).await;
        assert_eq!(answered["trace_id"], "1-581cf771-a006649127e371903a2de979");
        assert_eq!(answered["parent_id"], "53995c3f42cd8ad8");
        assert_eq!(answered["id"], "0000000000000007");
        for (status, error, throttle, fault) in [
            (Some(200), false, false, false),
            (Some(402), true, false, false),
            (Some(429), true, true, false),
            (Some(503), false, false, true),
            (None, false, false, true),
        ] {
            let report = report(status).await;
            let flags = [&report["error"], &report["throttle"], &report["fault"]];
            assert_eq!(flags, [error, throttle, fault], "{status:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_not_sampled_is_not_reported() {
        for header in [
            None,
            Some(&HEADER[..HEADER.len() - 1]),
            Some("Root=1-581cf771-a006649127e371903a2de979;Sampled=1"),
        ] {
            let call = in_trace(header, async { RemoteCall::begin("GET", "api.stripe.com") }).await;
            assert_eq!(call.sampled, None, "{header:?}");
        }
    }
}
