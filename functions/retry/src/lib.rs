//! The worker, in three layers. `steps` runs the steps of orders and refunds, `records` settles a
//! provider's record with its order, and `jobs` does what queues and schedules start. A layer uses
//! only those before it.

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

/// A request of a state machine, a queue or a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// Process messages of a queue.
    Messages {
        /// The batch of messages.
        #[serde(rename = "Records")]
        records: Vec<Message>,
    },
    /// Process a refund.
    Refund {
        /// The order whose payment is refunded.
        order_id: OrderId,
        /// The refund of that order.
        refund_id: RefundId,
    },
    /// Run one step of an order.
    Step {
        /// The order.
        order_id: OrderId,
        /// The step.
        step: Step,
    },
    /// Run the sweep.
    Sweep {
        /// An empty object: the sweep has no options.
        sweep: NoOptions,
    },
    /// Erase data whose retention period is over.
    Retention {
        /// An empty object: the retention job has no options.
        retention: NoOptions,
    },
    /// Resume parked executions.
    Release {
        /// An empty object: the release has no options.
        release: NoOptions,
    },
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The outcome of a step or a job.
    Outcome(Outcome),
    /// The messages that failed.
    Messages(BatchFailures),
}

/// An empty object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Runs steps and jobs.
#[derive(Clone)]
pub struct Worker {
    /// The steps, with the clients that they and the jobs call.
    pub steps: Steps,
    /// How long data is kept.
    pub retention: Retention,
}

impl Worker {
    /// Handles one request.
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
