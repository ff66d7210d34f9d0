//! Read-your-writes: a session records what its caller has seen of the primary, so that no query
//! goes to a standby that lags behind that.

use std::{
    fmt::{self, Display},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use thiserror::Error;
use tokio_postgres::types::PgLsn;

tokio::task_local! {
    static SESSION: Session;
}

/// A position in PostgreSQL's write-ahead log (WAL). Opaque to callers, who send it with their next
/// request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition(u64);

/// Text that is not a WAL position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a token from a response")]
pub struct BadWalPosition;

impl WalPosition {
    pub(crate) fn lsn(self) -> PgLsn {
        self.0.into()
    }
}

impl From<PgLsn> for WalPosition {
    fn from(lsn: PgLsn) -> Self {
        Self(lsn.into())
    }
}

impl Display for WalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for WalPosition {
    type Err = BadWalPosition;

    fn from_str(text: &str) -> Result<Self, BadWalPosition> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let position = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        position.map(Self).ok_or(BadWalPosition)
    }
}

/// The session of one request: where it reads from, and the latest WAL position of the primary that
/// it has seen.
///
/// Outside a session, all reads go to the primary.
#[derive(Debug, Clone)]
pub struct Session {
    reads: Reads,
    written: Arc<AtomicU64>,
}

/// Where a session reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The primary only.
    Primary,
    /// A standby that has replayed this position, if there is one; else the primary.
    Standby(Option<WalPosition>),
}

impl Session {
    /// The session of a request that changes something. It reads from the primary, because it
    /// decides by what it reads.
    pub fn writing() -> Self {
        Self::new(Reads::Primary)
    }

    /// The session of a request that only reads, from a caller that has `seen` a position.
    pub fn reading(seen: Option<WalPosition>) -> Self {
        Self::new(Reads::Standby(seen))
    }

    fn new(reads: Reads) -> Self {
        let written = Arc::default();
        Self { reads, written }
    }

    /// Runs `work` within the session.
    pub async fn scope<F: Future>(&self, work: F) -> F::Output {
        SESSION.scope(self.clone(), work).await
    }

    /// Wraps `work` to run within the current session, if there is one, even on another task.
    pub fn propagate<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let session = SESSION.try_with(Self::clone).ok();
        async move {
            match session {
                Some(session) => session.scope(work).await,
                None => work.await,
            }
        }
    }

    /// The latest WAL position that the session has recorded, if any.
    pub fn written(&self) -> Option<WalPosition> {
        let written = self.written.load(Ordering::Relaxed);
        (written > 0).then_some(WalPosition(written))
    }

    /// Whether the current task runs within a session.
    pub(crate) fn is_active() -> bool {
        SESSION.try_with(|_| ()).is_ok()
    }

    /// Records a WAL position of the primary in the current session, if there is one.
    pub(crate) fn record_position(position: WalPosition) {
        let record = |session: &Self| session.written.fetch_max(position.0, Ordering::Relaxed);
        _ = SESSION.try_with(record);
    }

    pub(crate) fn reads() -> Reads {
        SESSION
            .try_with(|session| session.reads)
            .unwrap_or(Reads::Primary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_round_trips_as_text() {
        let position = WalPosition::from(PgLsn::from(0x16_B374_D848));
        assert_eq!(position.to_string(), "00000016b374d848");
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in [
            "",
            "0",
            "16/B374D848",
            "00000016b374d84g",
            "+0000016b374d848",
        ] {
            assert_eq!(bad.parse::<WalPosition>(), Err(BadWalPosition), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_session_keeps_the_latest_position() {
        let session = Session::writing();
        session
            .scope(async {
                Session::record_position(WalPosition(7));
                Session::record_position(WalPosition(5));
            })
            .await;
        assert_eq!(session.written(), Some(WalPosition(7)));
        assert_eq!(Session::reading(None).written(), None);
    }

    #[tokio::test]
    async fn a_session_is_propagated_to_another_task() {
        let session = Session::reading(None);
        session
            .scope(async {
                let work = Session::propagate(async {
                    Session::record_position(WalPosition(7));
                    Session::reads()
                });
                let reads = tokio::spawn(work).await.unwrap();
                assert_eq!(reads, Reads::Standby(None));
            })
            .await;
        assert_eq!(session.written(), Some(WalPosition(7)));
        let outside = tokio::spawn(Session::propagate(async { Session::is_active() }));
        assert!(!outside.await.unwrap());
    }
}
