//! Batches of messages. The worker has two queues: commands, and events of the providers.

use serde::{Deserialize, Serialize};
use store::{Command, Queue};
use thiserror::Error;

use crate::{Worker, guard::Failure, records::CompareError, steps::StepError};

/// An SQS message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    #[serde(rename = "messageId")]
    id: String,
    #[serde(rename = "eventSourceARN")]
    queue_arn: String,
    body: String,
}

/// The messages of a batch that failed. SQS delivers them again.
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

/// Why a message failed.
#[derive(Debug, Error)]
pub(super) enum MessageError {
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the order has not reached that state yet")]
    TooEarly,
    #[error("the record of the event cannot be looked up: {0}")]
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
    /// Processes each message. SQS delivers a failed message again, and moves an event to the
    /// dead-letter queue after several failures.
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
        match Source::of(message, &self.steps.services.releases) {
            Source::Commands => Ok(self.run_command(serde_json::from_str(body)?).await?),
            Source::ProviderEvents => self.process_event(&serde_json::from_str(body)?).await,
        }
    }
}

/// The queue that a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Commands,
    ProviderEvents,
}

impl Source {
    fn of(message: &Message, commands: &Queue<Command>) -> Self {
        if commands.has_arn(&message.queue_arn) {
            Self::Commands
        } else {
            Self::ProviderEvents
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;
    use serde_json::{Value, json};
    use store::lazy;

    use super::*;

    /// A message as Lambda receives it:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
    fn message(queue: &str) -> Value {
        json!({
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
            "body": "{}",
            "attributes": { "ApproximateReceiveCount": "1" },
            "messageAttributes": {},
            "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"),
            "awsRegion": "eu-west-1",
        })
    }

    #[test]
    fn the_queue_of_a_message_decides_how_it_is_read() {
        let sqs = lazy(&SdkConfig::builder().build(), aws_sdk_sqs::Client::new);
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/shop-releases";
        let commands = Queue::new(sqs, url);
        for (queue, source) in [
            ("shop-releases", Source::Commands),
            ("shop-provider-events", Source::ProviderEvents),
        ] {
            let message = serde_json::from_value(message(queue)).unwrap();
            assert_eq!(Source::of(&message, &commands), source);
        }
    }
}
