//! Dead letters: messages that failed repeatedly, kept for a person to inspect and to redrive.

use aws_sdk_sqs::{
    Client, Error,
    error::SdkError,
    types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName},
};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::lazy::Lazy;
use crate::error::StoreError;

/// The maximum number of messages that SQS returns in one call.
const MAX_MESSAGES: i32 = 10;

/// How long SQS waits for messages. With long polling, it queries all of its servers.
const WAIT_SECONDS: i32 = 1;

/// A dead-letter queue, and the source queue of its messages.
#[derive(Clone)]
pub struct DeadLetters {
    client: Lazy<Client>,
    url: String,
    source_url: String,
}

/// A message that failed repeatedly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// The message's body.
    pub body: String,
    /// The time at which it was first sent.
    pub sent_at: Option<Timestamp>,
    /// How often it was received: by the handler that failed, and by [`DeadLetters::peek`].
    pub received: u32,
}

/// The result of a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedriveOutcome {
    /// How many messages were moved to the source queue.
    pub moved: usize,
    /// The approximate number of messages that are left.
    pub left: u64,
}

impl DeadLetters {
    /// The dead-letter queue at `url`, of the source queue at `source_url`.
    pub fn new(
        client: Lazy<Client>,
        url: impl Into<String>,
        source_url: impl Into<String>,
    ) -> Self {
        Self {
            client,
            url: url.into(),
            source_url: source_url.into(),
        }
    }

    /// Returns the approximate number of dead letters.
    pub async fn count(&self) -> Result<u64, StoreError> {
        let wanted = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let found = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(wanted.to_vec()))
            .send()
            .await
            .map_err(unavailable)?;
        let found = found.attributes.unwrap_or_default();
        let number = |name| found.get(name).and_then(|it| it.parse::<u64>().ok());
        Ok(wanted.iter().filter_map(number).sum())
    }

    /// Returns a few dead letters, without removing them.
    pub async fn peek(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let messages = self.receive(Some(0)).await?;
        Ok(messages.into_iter().map(read).collect())
    }

    /// Moves about `limit` dead letters, at most, back to the source queue. Each is sent before it
    /// is deleted: one may arrive twice, none is lost.
    pub async fn redrive(&self, limit: usize) -> Result<RedriveOutcome, StoreError> {
        let mut moved = 0;
        while moved < limit {
            let messages = self.receive(None).await?;
            if messages.is_empty() {
                break;
            }
            try_join_all(messages.iter().map(|message| self.move_to_source(message))).await?;
            moved += messages.len();
        }
        let left = self.count().await?;
        Ok(RedriveOutcome { moved, left })
    }

    async fn receive(&self, visibility_timeout: Option<i32>) -> Result<Vec<Message>, StoreError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .max_number_of_messages(MAX_MESSAGES)
            .wait_time_seconds(WAIT_SECONDS)
            .set_visibility_timeout(visibility_timeout)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn move_to_source(&self, message: &Message) -> Result<(), StoreError> {
        self.client
            .send_message()
            .queue_url(&self.source_url)
            .set_message_body(message.body.clone())
            .send()
            .await
            .map_err(unavailable)?;
        self.client
            .delete_message()
            .queue_url(&self.url)
            .set_receipt_handle(message.receipt_handle.clone())
            .send()
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}

fn read(message: Message) -> DeadLetter {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).map(String::as_str);
    let sent_ms = number(Attribute::SentTimestamp).and_then(|it| it.parse().ok());
    let received = number(Attribute::ApproximateReceiveCount).and_then(|it| it.parse().ok());
    DeadLetter {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        sent_at: sent_ms.and_then(|it| Timestamp::from_millisecond(it).ok()),
        received: received.unwrap_or_default(),
    }
}

fn unavailable<E>(error: SdkError<E>) -> StoreError
where
    Error: From<SdkError<E>>,
{
    StoreError::sqs(Error::from(error))
}
