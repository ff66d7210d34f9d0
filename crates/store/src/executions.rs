//! Where the outbox leads: one execution of the order state machine for each accepted order.

use aws_sdk_sfn::{Client, Error};
use orders::OrderId;

use crate::error::StoreError;

/// The executions of the order state machine.
#[derive(Clone)]
pub struct Executions {
    client: Client,
    state_machine_arn: String,
}

impl Executions {
    /// The executions of the state machine of that ARN.
    pub fn new(client: Client, state_machine_arn: impl Into<String>) -> Self {
        Self {
            client,
            state_machine_arn: state_machine_arn.into(),
        }
    }

    /// Starts the order's execution. Its name is the order's id, so that starting twice is starting
    /// once.
    pub async fn start(&self, id: OrderId) -> Result<(), StoreError> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine_arn)
            .name(id.to_string())
            .input(serde_json::json!({ "order_id": id }).to_string());
        match request.send().await.map_err(Error::from) {
            Ok(_) | Err(Error::ExecutionAlreadyExists(_)) => Ok(()),
            Err(error) => Err(StoreError::step_functions(error)),
        }
    }
}
