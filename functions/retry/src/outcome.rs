//! How a step ended: values, not errors, so that the state machine can choose by them.

use orders::Hold;
use serde::Serialize;
use store::Work;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is done, now or by an earlier run.
    Done,
    /// It will never be done: undo what came before.
    Refused {
        /// Why.
        reason: String,
    },
    /// It cannot be done now: the execution is parked.
    Wait {
        /// Under which name.
        work: Work,
        /// For whom, why, until when.
        hold: Hold,
    },
}

impl Outcome {
    pub(crate) fn refused(reason: &str) -> Self {
        Self::Refused {
            reason: reason.to_owned(),
        }
    }
}
