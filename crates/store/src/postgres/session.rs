//! What a caller has seen of the database, so that a standby that lags behind is never asked for what the caller
//! knows to be there.

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

/// A position in the database's write-ahead log. It says nothing to callers, who hand it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition(u64);

/// What is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a token that an answer came with")]
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

/// What one request reads, and how far it has seen the primary write.
///
/// Outside of any, all is read from the primary.
#[derive(Debug, Clone)]
pub struct Session {
    reads: Reads,
    written: Arc<AtomicU64>,
}

/// From where is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// From the primary.
    Primary,
    /// From a standby too, if it has replayed so much.
    Standby(Option<WalPosition>),
}

impl Session {
    /// For a request that changes something: what it reads is what it decides by.
    pub fn writing() -> Self {
        Self::new(Reads::Primary)
    }

    /// For a request that only looks, of a caller who has seen so much.
    pub fn reading(seen: Option<WalPosition>) -> Self {
        Self::new(Reads::Standby(seen))
    }

    fn new(reads: Reads) -> Self {
        let written = Arc::default();
        Self { reads, written }
    }

    /// Does some work within the session.
    pub async fn hold<F: Future>(&self, work: F) -> F::Output {
        SESSION.scope(self.clone(), work).await
    }

    /// Does some work within the present session, if there is one, wherever it is spawned.
    pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let session = SESSION.try_with(Self::clone).ok();
        async move {
            match session {
                Some(session) => session.hold(work).await,
                None => work.await,
            }
        }
    }

    /// How far it has seen the primary write, if it has written there or read.
    pub fn written(&self) -> Option<WalPosition> {
        let written = self.written.load(Ordering::Relaxed);
        (written > 0).then_some(WalPosition(written))
    }

    /// Whether anybody is to know how far is written.
    pub(crate) fn is_held() -> bool {
        SESSION.try_with(|_| ()).is_ok()
    }

    /// Notes that so much was written by then.
    pub(crate) fn wrote(position: WalPosition) {
        let note = |session: &Self| session.written.fetch_max(position.0, Ordering::Relaxed);
        _ = SESSION.try_with(note);
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
    fn a_position_is_handed_back_as_it_came() {
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
    async fn a_session_knows_how_far_it_has_written() {
        let session = Session::writing();
        session
            .hold(async {
                Session::wrote(WalPosition(7));
                Session::wrote(WalPosition(5));
            })
            .await;
        assert_eq!(session.written(), Some(WalPosition(7)));
        assert_eq!(Session::reading(None).written(), None);
    }

    #[tokio::test]
    async fn a_session_is_carried_into_another_task() {
        let session = Session::reading(None);
        session
            .hold(async {
                let work = Session::carry(async {
                    Session::wrote(WalPosition(7));
                    Session::reads()
                });
                let reads = tokio::spawn(work).await.unwrap();
                assert_eq!(reads, Reads::Standby(None));
            })
            .await;
        assert_eq!(session.written(), Some(WalPosition(7)));
        let outside = tokio::spawn(Session::carry(async { Session::is_held() }));
        assert!(!outside.await.unwrap());
    }
}
