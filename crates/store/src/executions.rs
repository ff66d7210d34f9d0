//! Where the outbox leads: an execution of a state machine for each order and each refund.

use aws_sdk_sfn::{Client, Error, types::ExecutionStatus};

use crate::{error::StoreError, outbox::Unfinished, work::Work};

/// The executions of both state machines.
#[derive(Clone)]
pub struct Executions {
    client: Client,
    order_machine: String,
    refund_machine: String,
}

/// What became of an attempt to start an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It runs, from now on.
    Now,
    /// An execution of that name was started before.
    Before,
}

/// What became of an execution that was told to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// It goes on.
    Yes,
    /// It is gone, or waits no longer.
    Gone,
}

impl Executions {
    /// The executions of the state machines of those ARNs: for orders, and for refunds.
    pub fn new(
        client: Client,
        order_machine: impl Into<String>,
        refund_machine: impl Into<String>,
    ) -> Self {
        Self {
            client,
            order_machine: order_machine.into(),
            refund_machine: refund_machine.into(),
        }
    }

    /// Starts the first execution for some work.
    pub async fn start(&self, work: Work) -> Result<Started, StoreError> {
        self.start_numbered(Unfinished { work, execution: 0 }).await
    }

    /// Starts an execution. It is named by the work and its number, so that starting twice is
    /// starting once.
    pub async fn start_numbered(&self, unfinished: Unfinished) -> Result<Started, StoreError> {
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
            .input(input.to_string());
        match request.send().await.map_err(Error::from) {
            Ok(_) => Ok(Started::Now),
            Err(Error::ExecutionAlreadyExists(_)) => Ok(Started::Before),
            Err(error) => Err(StoreError::step_functions(error)),
        }
    }

    /// Whether an execution that was started before still runs.
    pub async fn is_running(&self, unfinished: Unfinished) -> Result<bool, StoreError> {
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

    /// Lets a parked execution go on.
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

/// The execution's name. A closed execution's name stays taken for 90 days.
fn name(unfinished: Unfinished) -> String {
    let id = match unfinished.work {
        Work::Order(order) => order.to_string(),
        Work::Refund(_, refund) => refund.to_string(),
    };
    match unfinished.execution {
        0 => id,
        again => format!("{id}-{again}"),
    }
}
