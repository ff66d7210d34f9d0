//! X-Ray: which trace a piece of work belongs to, and a subsegment for each call that leaves AWS. All other
//! segments are written by AWS itself.
//!
//! By <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html>.

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

/// Who takes segments, by UDP. Lambda says where; without it, nobody does.
static DAEMON: LazyLock<Option<Daemon>> = LazyLock::new(Daemon::find);

/// What the daemon wants to read before a segment.
const PREAMBLE: &str = r#"{"format":"json","version":1}"#;

tokio::task_local! {
    static PLACE: Option<TracePlace>;
}

/// A place in a trace, as AWS hands it on:
/// `Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePlace {
    root: TraceId,
    /// The segment that the work is a part of.
    parent: Option<u64>,
    /// Nothing, if that is still to be decided.
    sampled: Option<bool>,
}

/// What has no `Root` that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTrace;

impl TracePlace {
    /// The header that hands it on.
    pub const HEADER: &str = "x-amzn-trace-id";

    /// The trace.
    pub const fn root(self) -> TraceId {
        self.root
    }

    /// Where the work is that is under way.
    pub fn current() -> Option<Self> {
        PLACE.try_with(|place| *place).ok().flatten()
    }
}

impl FromStr for TracePlace {
    type Err = NoTrace;

    fn from_str(header: &str) -> Result<Self, NoTrace> {
        let part = |name: &str| {
            let mut parts = header.split(';').filter_map(|part| part.split_once('='));
            parts
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim())
        };
        Ok(Self {
            root: part("Root").and_then(TraceId::from_root).ok_or(NoTrace)?,
            parent: part("Parent").and_then(|parent| u64::from_str_radix(parent, 16).ok()),
            sampled: match part("Sampled") {
                Some("1") => Some(true),
                Some("0") => Some(false),
                _ => None,
            },
        })
    }
}

impl Display for TracePlace {
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

/// Does some work at its place in a trace, as a header names it.
pub async fn at<F: Future>(header: Option<&str>, work: F) -> F::Output {
    let place = header.and_then(|header| header.parse().ok());
    // What a function does at its place in a trace is all that it does: too much for a stack.
    PLACE.scope(place, Box::pin(work)).await
}

/// Does some work at the present place in a trace, wherever it is spawned.
pub fn here<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PLACE.scope(TracePlace::current(), work)
}

/// A call of a service outside AWS, which is told to X-Ray when it is dropped: answered, broken off or given
/// up.
#[derive(Debug)]
pub struct RemoteCall {
    sampled: Option<(TraceId, u64)>,
    host: String,
    method: String,
    began: SystemTime,
    status: Option<u16>,
}

impl RemoteCall {
    /// A call that begins now. Of its address only the host is told: the rest may hold a secret.
    pub fn begin(method: impl Display, host: &str) -> Self {
        let sampled = TracePlace::current()
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

    /// Takes down the HTTP status of the answer.
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
            daemon.tell(&self.subsegment(place, id, SystemTime::now()));
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

    /// A segment that gets lost is no reason to fail.
    fn tell(&self, segment: &Value) {
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
    async fn a_place_is_handed_on_as_it_came() {
        let handed_on = |header| at(header, async { TracePlace::current() });
        let place = handed_on(Some(HEADER)).await;
        assert_eq!(
            place.map(|place| place.to_string()).as_deref(),
            Some(HEADER)
        );
        let undecided = handed_on(Some("Self=1-2; Root=1-581cf771-a006649127e371903a2de979")).await;
        assert_eq!(
            undecided.map(|place| place.to_string()).as_deref(),
            Some("Root=1-581cf771-a006649127e371903a2de979")
        );
        for nowhere in [
            None,
            Some(""),
            Some("Root=1-2-3"),
            Some("Parent=53995c3f42cd8ad8"),
        ] {
            assert_eq!(handed_on(nowhere).await, None, "{nowhere:?}");
        }
    }

    #[tokio::test]
    async fn a_call_is_told_as_it_ended() {
        let told = async |status| {
            let mut call = at(Some(HEADER), async {
                RemoteCall::begin("POST", "api.stripe.com")
            })
            .await;
            if let Some(status) = status {
                call.answered(status);
            }
            call.subsegment(call.sampled.unwrap(), 7, call.began)
        };
        let answered = told(Some(200)).await;
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
            let told = told(status).await;
            let marks = [&told["error"], &told["throttle"], &told["fault"]];
            assert_eq!(marks, [error, throttle, fault], "{status:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_sampled_is_not_told() {
        for header in [
            None,
            Some(&HEADER[..HEADER.len() - 1]),
            Some("Root=1-581cf771-a006649127e371903a2de979;Sampled=1"),
        ] {
            let call = at(header, async { RemoteCall::begin("GET", "api.stripe.com") }).await;
            assert_eq!(call.sampled, None, "{header:?}");
        }
    }
}
