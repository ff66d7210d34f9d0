//! Dead letters: messages that failed again and again, kept for a person to look at and to send once
//! more.

use aws_sdk_sqs::{
    Client, Error,
    error::SdkError,
    types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName},
};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::lazy::Lazy;
use crate::error::StoreError;

/// The most messages that SQS gives at once.
const BATCH: i32 = 10;

/// How long SQS looks for messages in all of its servers, so that none is overlooked.
const LOOK_SECONDS: i32 = 1;

/// A queue of dead letters, and where they came from.
#[derive(Clone)]
pub struct DeadLetters {
    client: Lazy<Client>,
    url: String,
    source_url: String,
}

/// A message that failed again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: String,
    /// What it says.
    pub body: String,
    /// When it was first sent.
    pub sent_at: Option<Timestamp>,
    /// How often it was received: by the handler that failed, and to be shown.
    pub received: u32,
}

/// What became of an attempt to send dead letters once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redriven {
    /// How many were sent.
    pub moved: usize,
    /// About how many are left.
    pub left: u64,
}

impl DeadLetters {
    /// The dead letters at `url` of the queue at `source_url`.
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

    /// About how many there are.
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

    /// A few of them, which stay where they are.
    pub async fn peek(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let messages = self.receive(Some(0)).await?;
        Ok(messages.into_iter().map(read).collect())
    }

    /// Sends at most about `limit` of them to where they came from. Each is sent before it is taken
    /// away: one may come twice, none is lost.
    pub async fn redrive(&self, limit: usize) -> Result<Redriven, StoreError> {
        let mut moved = 0;
        while moved < limit {
            let messages = self.receive(None).await?;
            if messages.is_empty() {
                break;
            }
            try_join_all(messages.iter().map(|message| self.send_back(message))).await?;
            moved += messages.len();
        }
        let left = self.count().await?;
        Ok(Redriven { moved, left })
    }

    async fn receive(&self, hidden_seconds: Option<i32>) -> Result<Vec<Message>, StoreError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(LOOK_SECONDS)
            .set_visibility_timeout(hidden_seconds)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn send_back(&self, message: &Message) -> Result<(), StoreError> {
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
