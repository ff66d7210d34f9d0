//! The outcomes of steps. They are values, not errors, so that the state machine can branch on
//! them.

use orders::Wait;
use serde::Serialize;
use store::Work;

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The step is done, by this run or by an earlier one.
    Done,
    /// The step will never be done: undo the steps before it.
    Refused {
        /// The reason, such as an expired authorization or a cancelled order.
        reason: String,
    },
    /// The step cannot be done now: the execution is parked.
    Wait {
        /// The work whose execution is parked.
        work: Work,
        /// For which provider, why, and until when. Running executions know this field by its first
        /// name.
        #[serde(rename = "hold")]
        wait: Wait,
    },
}

impl Outcome {
    pub(crate) fn refused(reason: &str) -> Self {
        Self::Refused {
            reason: reason.to_owned(),
        }
    }
}
