//! Step Functions executions: one for each order and each refund of the outbox.

use std::time::{Duration, SystemTime};

use aws_sdk_sfn::{Client, Error, types::ExecutionStatus};
use telemetry::TraceContext;

use super::lazy::Lazy;
use crate::{
    error::StoreError,
    work::{UnfinishedWork, Work},
};

/// How much our clock may differ from that of Step Functions.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The executions of both state machines.
#[derive(Clone)]
pub struct Executions {
    client: Lazy<Client>,
    order_machine: String,
    refund_machine: String,
}

/// The result of starting an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// This call started it.
    Now,
    /// It was started before, and is running.
    Before,
    /// It was started before, and has ended.
    Ended,
}

/// The result of resuming a parked execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// It continues.
    Yes,
    /// It does not exist any more, or no longer waits.
    Gone,
}

impl Executions {
    /// The executions of two state machines, given by their ARNs: for orders, and for refunds.
    pub fn new(
        client: Lazy<Client>,
        order_machine: impl Into<String>,
        refund_machine: impl Into<String>,
    ) -> Self {
        Self {
            client,
            order_machine: order_machine.into(),
            refund_machine: refund_machine.into(),
        }
    }

    /// Starts the first execution of some work, unless it was started before.
    pub async fn start(&self, work: Work) -> Result<(), StoreError> {
        let first = UnfinishedWork { work, execution: 0 };
        self.try_to_start(first).await?;
        Ok(())
    }

    /// Starts an execution unless it is running. Reports one that has ended.
    pub async fn ensure_running(&self, unfinished: UnfinishedWork) -> Result<Started, StoreError> {
        let earliest_start = SystemTime::now() - CLOCK_SKEW;
        match self.try_to_start(unfinished).await? {
            Some(started_at) if started_at >= earliest_start => Ok(Started::Now),
            Some(_) => Ok(Started::Before),
            None if self.is_running(unfinished).await? => Ok(Started::Before),
            None => Ok(Started::Ended),
        }
    }

    /// Starts an execution. Its name consists of the work's id and the execution's number, so that
    /// a second start has no effect. Returns the start time; none if it was started before and Step
    /// Functions does not report when.
    async fn try_to_start(
        &self,
        unfinished: UnfinishedWork,
    ) -> Result<Option<SystemTime>, StoreError> {
        let order = unfinished.work.order();
        let input = match unfinished.work.refund() {
            None => serde_json::json!({ "order_id": order }),
            Some(refund) => serde_json::json!({ "order_id": order, "refund_id": refund }),
        };
        let request = self
            .client
            .start_execution()
            .state_machine_arn(self.machine(unfinished.work))
            .name(name(unfinished))
            .input(input.to_string())
            .set_trace_header(TraceContext::current().map(|place| place.to_string()));
        match request.send().await.map_err(Error::from) {
            Ok(started) => Ok(started.start_date().to_owned().try_into().ok()),
            Err(Error::ExecutionAlreadyExists(_)) => Ok(None),
            Err(error) => Err(StoreError::step_functions(error)),
        }
    }

    async fn is_running(&self, unfinished: UnfinishedWork) -> Result<bool, StoreError> {
        let machine = self.machine(unfinished.work);
        let machine = machine.replacen(":stateMachine:", ":execution:", 1);
        let request = self
            .client
            .describe_execution()
            .execution_arn(format!("{machine}:{}", name(unfinished)));
        match request.send().await.map_err(Error::from) {
            Ok(execution) => Ok(*execution.status() == ExecutionStatus::Running),
            Err(Error::ExecutionDoesNotExist(_)) => Ok(false),
            Err(error) => Err(StoreError::step_functions(error)),
        }
    }

    /// Resumes a parked execution.
    pub async fn resume(&self, token: &str) -> Result<Resumed, StoreError> {
        let request = self
            .client
            .send_task_success()
            .task_token(token)
            .output("{}");
        match request.send().await.map_err(Error::from) {
            Ok(_) => Ok(Resumed::Yes),
            Err(Error::TaskDoesNotExist(_) | Error::TaskTimedOut(_) | Error::InvalidToken(_)) => {
                Ok(Resumed::Gone)
            }
            Err(error) => Err(StoreError::step_functions(error)),
        }
    }

    fn machine(&self, work: Work) -> &str {
        match work {
            Work::Order(_) => &self.order_machine,
            Work::Refund(..) => &self.refund_machine,
        }
    }
}

/// The execution's name. Step Functions reserves the name of a closed execution for 90 days.
fn name(unfinished: UnfinishedWork) -> String {
    let id = match unfinished.work {
        Work::Order(order) => order.to_string(),
        Work::Refund(_, refund) => refund.to_string(),
    };
    match unfinished.execution {
        0 => id,
        again => format!("{id}-{again}"),
    }
}
