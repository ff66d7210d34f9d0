//! Waiting for something to become true.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest time to wait. A job that runs every minute may need two runs, on a machine under
/// load.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

const PAUSE: Duration = Duration::from_millis(150);

/// Repeats a check until it returns `Ok`. An `Err` describes what it found instead.
pub async fn eventually<T, F>(what: &str, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match check().await {
            Ok(found) => return found,
            Err(instead) if Instant::now() > deadline => {
                panic!("not {what} after {DEADLINE:?}, but {instead}")
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
