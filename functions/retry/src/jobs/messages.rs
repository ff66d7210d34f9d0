//! Batches of messages. The worker has two queues: commands, and events of the providers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Worker, guard::Failure, records::CompareError, steps::StepError};

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    #[serde(rename = "messageId")]
    id: String,
    #[serde(rename = "eventSourceARN")]
    queue_arn: String,
    body: String,
}

/// Which messages of a batch are to be received again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchFailures {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// Why a message is to be received again.
#[derive(Debug, Error)]
pub(super) enum MessageError {
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the order is not so far")]
    TooEarly,
    #[error("what it is about cannot be looked up: {0}")]
    NotLookedUp(#[from] Failure),
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<CompareError> for MessageError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Provider(failure) => failure.into(),
            CompareError::Step(error) => error.into(),
        }
    }
}

impl From<store::StoreError> for MessageError {
    fn from(error: store::StoreError) -> Self {
        Self::Step(error.into())
    }
}

impl Worker {
    /// Processes each message. One that fails is received again, and becomes a dead letter after
    /// several failures.
    pub(crate) async fn receive(&self, messages: Vec<Message>) -> BatchFailures {
        let mut batch_item_failures = Vec::new();
        for message in messages {
            if let Err(error) = Box::pin(self.receive_one(&message)).await {
                tracing::warn!(message_id = message.id, %error, "message.failed");
                batch_item_failures.push(BatchItemFailure {
                    item_identifier: message.id,
                });
            }
        }
        BatchFailures {
            batch_item_failures,
        }
    }

    async fn receive_one(&self, message: &Message) -> Result<(), MessageError> {
        let body = &message.body;
        if self.steps.services.releases.has_arn(&message.queue_arn) {
            Ok(self.run_command(serde_json::from_str(body)?).await?)
        } else {
            self.process_event(&serde_json::from_str(body)?).await
        }
    }
}
