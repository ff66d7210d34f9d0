//! SQS queues. Each has messages of one type.

use std::{marker::PhantomData, time::Duration};

use aws_sdk_sqs::{Client, Error};
use orders::{OrderId, Provider};
use serde::{Deserialize, Serialize};

use super::lazy::Lazy;
use crate::error::StoreError;

/// The longest delay of a message in SQS.
const MAX_DELAY_SECONDS: i32 = 900;

/// The longest time from the rejection of a call until its execution is parked.
const MAX_PARKING_TIME: Duration = Duration::from_secs(5);

/// A command to the worker. It may be lost: the schedules do the same work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Resume parked executions.
    Release {},
    /// Resume a cancelled order that waits, so that it is undone.
    Undo(OrderId),
}

/// The command to probe a circuit. It may be lost, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeCommand {
    /// The provider whose circuit is probed.
    pub probe: Provider,
}

/// A queue of messages of type `M`.
pub struct Queue<M> {
    client: Lazy<Client>,
    url: String,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Queue<M> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.url.clone())
    }
}

impl<M> Queue<M> {
    /// The queue at this URL.
    pub fn new(client: Lazy<Client>, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
            messages: PhantomData,
        }
    }

    /// Whether the queue has this ARN. Both its ARN and its URL end with its name.
    pub fn has_arn(&self, arn: &str) -> bool {
        let name = self.url.rsplit('/').next();
        name == arn.rsplit(':').next()
    }
}

impl Queue<Command> {
    /// Requests that parked executions are resumed, after a circuit has closed. A second, delayed
    /// request is for those that were rejected just before and are being parked now.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        self.send(&Command::Release {}, Duration::ZERO).await?;
        self.send(&Command::Release {}, MAX_PARKING_TIME).await
    }

    /// Requests that a cancelled order is undone. A second, delayed request is for the case that
    /// its execution is being parked now.
    pub async fn undo(&self, order: OrderId) -> Result<(), StoreError> {
        self.send(&Command::Undo(order), Duration::ZERO).await?;
        self.send(&Command::Undo(order), MAX_PARKING_TIME).await
    }
}

impl<M: Serialize + Sync> Queue<M> {
    /// Sends a message, to be received after `delay`, which is at most 15 minutes.
    pub async fn send(&self, message: &M, delay: Duration) -> Result<(), StoreError> {
        let body = serde_json::to_string(message)
            .map_err(|error| StoreError::unreadable("a message", error))?;
        let seconds = i32::try_from(delay.as_secs()).unwrap_or(MAX_DELAY_SECONDS);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(seconds.min(MAX_DELAY_SECONDS))
            .send()
            .await
            .map_err(|error| StoreError::sqs(Error::from(error)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;

    use super::*;
    use crate::lazy;

    #[test]
    fn a_queue_is_known_by_its_name() {
        let client = lazy(&SdkConfig::builder().build(), Client::new);
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/shop-releases";
        let queue = Queue::<Command>::new(client, url);
        assert!(queue.has_arn("arn:aws:sqs:eu-west-1:123456789012:shop-releases"));
        assert!(!queue.has_arn("arn:aws:sqs:eu-west-1:123456789012:shop-provider-events"));
    }
}
