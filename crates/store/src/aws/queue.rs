//! Queues of commands.

use std::time::Duration;

use aws_sdk_sqs::{Client, Error};
use orders::{OrderId, Provider};
use serde::{Deserialize, Serialize};

use super::lazy::Lazy;
use crate::error::StoreError;

/// The longest that a message can be held back.
const MAX_DELAY_SECONDS: i32 = 900;

/// How long it takes, at the most, until an execution is parked that was turned away.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// Something that is to be done soon. It may be lost: the schedules do the same, only later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Let parked executions go on.
    Release {},
    /// Undo what was begun for an order that is cancelled, instead of waiting.
    Undo(OrderId),
    /// Probe a circuit.
    Probe(Provider),
}

/// A queue of messages of one kind.
#[derive(Clone)]
pub struct Queue {
    client: Lazy<Client>,
    url: String,
}

impl Queue {
    /// The queue at that URL.
    pub fn new(client: Lazy<Client>, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// Asks for the release of what waits for a circuit that has just closed; and once more for what
    /// was turned away just before, and is being parked now.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        self.send(&Command::Release {}, Duration::ZERO).await?;
        self.send(&Command::Release {}, STRAGGLERS).await
    }

    /// Asks to undo what was begun for a cancelled order; and once more, in case its execution is being
    /// parked now.
    pub async fn undo(&self, order: OrderId) -> Result<(), StoreError> {
        self.send(&Command::Undo(order), Duration::ZERO).await?;
        self.send(&Command::Undo(order), STRAGGLERS).await
    }

    /// Sends a message, to be received after `delay` (at most a quarter of an hour).
    pub async fn send(
        &self,
        message: &(impl Serialize + Sync),
        delay: Duration,
    ) -> Result<(), StoreError> {
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
