//! Waiting for what must come in the end.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take: what is done once a minute may have to be done twice, on a machine under load.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

const PAUSE: Duration = Duration::from_millis(150);

/// Looks again and again until there is something to see; `Err` says what was seen instead.
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) if Instant::now() > deadline => {
                panic!("not {what} after {DEADLINE:?}, but {instead}")
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
