//! The worker. `steps` has the steps of orders and refunds; `records`, what a provider's record means
//! for its order; `jobs`, what queues and schedules start. Each uses only those before it.

mod clients;
mod guard;
mod jobs;
#[cfg(test)]
mod model;
mod outcome;
mod records;
mod services;
mod steps;

use jiff::Timestamp;
use orders::{OrderId, RefundId};
use serde::{Deserialize, Serialize};

pub use clients::Clients;
pub use guard::{Commands, Failure, Guard};
pub use jobs::{BatchFailures, Message, Retention};
pub use outcome::Outcome;
pub use services::Services;
pub use steps::{Limits, Step, StepError, Steps};

/// What a state machine, a queue or the schedule asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// What came by queue.
    Messages {
        /// A batch of it.
        #[serde(rename = "Records")]
        records: Vec<Message>,
    },
    /// Give money back.
    Refund {
        /// Of which order.
        order_id: OrderId,
        /// Which of its refunds.
        refund_id: RefundId,
    },
    /// One step of one order.
    Step {
        /// Which order.
        order_id: OrderId,
        /// Which step.
        step: Step,
    },
    /// Look after what is not finished.
    Sweep {
        /// Nothing can be asked of the sweep.
        sweep: NoOptions,
    },
    /// Erase what is kept for a time only.
    Retention {
        /// Nothing can be asked of the retention job.
        retention: NoOptions,
    },
    /// Let parked executions go on.
    Release {
        /// Nothing can be asked of the release.
        release: NoOptions,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// How a step ended.
    Outcome(Outcome),
    /// Which messages failed.
    Messages(BatchFailures),
}

/// An empty object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Runs steps and jobs.
#[derive(Clone)]
pub struct Worker {
    /// The steps, and what they and the jobs call.
    pub steps: Steps,
    /// How long data is kept.
    pub retention: Retention,
}

impl Worker {
    /// Does what is asked for.
    pub async fn handle(&self, request: Request) -> Result<Response, StepError> {
        let outcome = match request {
            Request::Messages { records } => {
                return Ok(Response::Messages(Box::pin(self.receive(records)).await));
            }
            Request::Refund {
                order_id,
                refund_id,
            } => self.steps.run_refund(order_id, refund_id).await?,
            Request::Step { order_id, step } => Box::pin(self.steps.run(order_id, step)).await?,
            Request::Sweep { .. } => {
                self.sweep(Timestamp::now()).await?;
                Outcome::Done
            }
            Request::Retention { .. } => {
                self.enforce_retention(Timestamp::now()).await?;
                Outcome::Done
            }
            Request::Release { .. } => {
                Box::pin(self.release()).await?;
                Outcome::Done
            }
        };
        Ok(Response::Outcome(outcome))
    }
}
