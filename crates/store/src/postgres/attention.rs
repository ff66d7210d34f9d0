//! Attention items: problems without one right answer, which wait for a person's decision.

use jiff::Timestamp;
use orders::OrderId;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AttentionItems, database::Parameters};
use crate::{
    cursor::{self, BadCursor, Page, one_more},
    error::StoreError,
};

const RAISE: &str = "insert into attention (id, order_id, subject, kind, detail, raised_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (subject, kind) where resolved_at is null do nothing";

const OPEN: &str = "select id, order_id, subject, kind, detail, raised_at from attention
    where resolved_at is null and id > $1 order by id limit $2";

const BY_ID: &str = "select id, order_id, subject, kind, detail, raised_at from attention
    where resolved_at is null and id = $1";

const RESOLVE: &str = "update attention
    set resolved_at = $2, resolved_by = $3, resolution = $4, reason = $5
    where id = $1 and resolved_at is null
    returning id, order_id, subject, kind, detail, raised_at";

/// Why an item needs a person's decision.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AttentionKind {
    /// The provider authorized or captured an amount or a currency that differs from the order's.
    AmountDiffers,
    /// Money was captured for a cancelled order.
    #[serde(rename = "taken_for_cancelled_order")]
    #[strum(serialize = "taken_for_cancelled_order")]
    CapturedForCancelledOrder,
    /// Money was captured more than once for an order.
    #[serde(rename = "taken_twice")]
    #[strum(serialize = "taken_twice")]
    CapturedTwice,
    /// The provider has a payment or a label for an order that does not exist here.
    UnknownOrder,
    /// An order's label was voided outside this system.
    LabelVoided,
    /// An authorization that is no longer needed cannot be voided.
    #[serde(rename = "hold_not_let_go")]
    #[strum(serialize = "hold_not_let_go")]
    AuthorizationNotVoided,
    /// The carrier refuses to void a label.
    LabelNotVoided,
    /// A refund failed, or the provider has one that does not exist here.
    Refund,
    /// The order or refund has waited past its deadline, and cannot continue without the provider.
    DeadlinePassed,
    /// The payment of a shipped order is not captured.
    ShippedUnpaid,
    /// A provider refuses our calls because of our account, our key or their form.
    #[serde(rename = "not_served")]
    #[strum(serialize = "not_served")]
    AccountError,
    /// A parked execution cannot be read, so nothing resumes it.
    ParkedUnreadable,
    /// The payment of an order is disputed: evidence is due, or the dispute was lost.
    Dispute,
    /// A provider's record of one of our orders cannot be read, so it was not reconciled.
    RecordUnreadable,
    /// A provider fails whenever it is asked for a record, so the record was not reconciled.
    RecordNotCompared,
}

/// An item that needs a person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attention {
    /// The item's id.
    pub id: Uuid,
    /// The id of the order, if the item is about one of ours.
    pub order_id: Option<OrderId>,
    /// What the item is about: the order's id, or a provider's id for something else.
    pub subject: String,
    /// Why the item needs a decision.
    pub kind: AttentionKind,
    /// What was found.
    pub detail: String,
    /// The time at which the item was raised.
    pub raised_at: Timestamp,
}

/// An attention item to be raised.
#[derive(Debug, Clone)]
pub struct NewAttention {
    /// The id of the order, if the item is about one of ours.
    pub order_id: Option<OrderId>,
    /// What the item is about: the order's id, or a provider's id for something else.
    pub subject: String,
    /// Why the item needs a decision.
    pub kind: AttentionKind,
    /// What was found.
    pub detail: String,
}

/// A person's decision on an attention item.
#[derive(Debug, Clone)]
pub struct AttentionDecision<'a> {
    /// The name of the user who decides.
    pub by: &'a str,
    /// The decision, such as `dismiss`.
    pub resolution: &'a str,
    /// The reason, in the user's words.
    pub reason: &'a str,
}

/// The start of a page of attention items.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct AttentionCursor {
    after: Uuid,
}

impl std::str::FromStr for AttentionCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor)
    }
}

impl AttentionItems<'_> {
    /// Raises an item. Returns false if it is open already.
    pub async fn raise(self, finding: &NewAttention, now: Timestamp) -> Result<bool, StoreError> {
        let raised = self
            .0
            .change(
                RAISE,
                &[
                    &Uuid::now_v7(),
                    &finding.order_id.map(|id| id.0),
                    &finding.subject,
                    &finding.kind.to_string(),
                    &finding.detail,
                    &now,
                ],
            )
            .await?;
        Ok(raised > 0)
    }

    /// Lists the open items, the oldest first.
    pub async fn list(
        self,
        from: AttentionCursor,
        limit: u8,
    ) -> Result<Page<Attention>, StoreError> {
        let parameters: Parameters<'_> = &[&from.after, &one_more(limit)];
        let rows = self.0.read(OPEN, parameters).await?;
        Page::read(&rows, limit, read, |last| AttentionCursor {
            after: last.id,
        })
    }

    /// Returns the item with this id, if it is open.
    pub async fn find(self, id: Uuid) -> Result<Option<Attention>, StoreError> {
        let row = self.0.read_optional(BY_ID, &[&id]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Resolves an item. Returns none if no open item has this id.
    pub async fn resolve(
        self,
        id: Uuid,
        decision: &AttentionDecision<'_>,
        now: Timestamp,
    ) -> Result<Option<Attention>, StoreError> {
        let AttentionDecision {
            by,
            resolution,
            reason,
        } = decision;
        let parameters: Parameters<'_> = &[&id, &now, by, resolution, reason];
        let rows = self.0.write(RESOLVE, parameters).await?;
        rows.first().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<Attention, StoreError> {
    Ok(Attention {
        id: row.try_get("id")?,
        order_id: row.try_get::<_, Option<_>>("order_id")?.map(OrderId),
        subject: row.try_get("subject")?,
        kind: row
            .try_get::<_, &str>("kind")?
            .parse()
            .map_err(|error| StoreError::unreadable("attention.kind", error))?,
        detail: row.try_get("detail")?,
        raised_at: row.try_get("raised_at")?,
    })
}
