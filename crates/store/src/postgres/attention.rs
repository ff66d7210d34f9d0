//! What has no one right answer and waits for a person to decide.

use jiff::Timestamp;
use orders::OrderId;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AttentionItems, database::Parameters};
use crate::{
    cursor::{self, BadCursor, Page},
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

/// Why something needs a person.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AttentionKind {
    /// The provider holds or has taken another amount than the order's, or of another currency.
    AmountDiffers,
    /// Money was taken for an order that is cancelled.
    TakenForCancelledOrder,
    /// Money was taken more than once for an order.
    TakenTwice,
    /// The provider has a payment or a label for an order that we do not know.
    UnknownOrder,
    /// The label of an order was given back behind our back.
    LabelVoided,
    /// Money that nobody needs cannot be let go.
    HoldNotLetGo,
    /// The carrier will not take a label back.
    LabelNotVoided,
    /// A refund of which we know nothing, or that failed.
    Refund,
    /// It has waited beyond every deadline, and cannot go on without the provider.
    DeadlinePassed,
    /// The money of a shipped order is not taken.
    ShippedUnpaid,
    /// A provider refuses our calls for what is wrong with our account, our key or their form.
    NotServed,
    /// What waits for a provider cannot be read, so that nothing lets it go on.
    ParkedUnreadable,
    /// The payment of an order is disputed: evidence is due, or the dispute was lost.
    Dispute,
    /// A record that a provider has of one of our orders cannot be read, so that it was not
    /// compared.
    RecordUnreadable,
    /// A provider fails at one record whenever it is asked about it, so that it was not compared.
    RecordNotCompared,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attention {
    /// Its name.
    pub id: Uuid,
    /// Which order it is about, if it is one of ours.
    pub order_id: Option<OrderId>,
    /// What it is about: the order's id, or the provider's name for something.
    pub subject: String,
    /// Why.
    pub kind: AttentionKind,
    /// What was found.
    pub detail: String,
    /// When.
    pub raised_at: Timestamp,
}

/// What is to be raised.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which order it is about, if it is one of ours.
    pub order_id: Option<OrderId>,
    /// What it is about: the order's id, or the provider's name for something.
    pub subject: String,
    /// Why.
    pub kind: AttentionKind,
    /// What was found.
    pub detail: String,
}

/// How a person has resolved something.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// Who decided.
    pub by: &'a str,
    /// What was decided, such as `dismiss`.
    pub resolution: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionFrom {
    after: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Position {
    after: Uuid,
}

impl std::str::FromStr for AttentionFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode::<Position>(cursor).map(|Position { after }| Self { after })
    }
}

impl AttentionItems<'_> {
    /// Raises something; false if it waits for a person already.
    pub async fn raise(self, finding: &Finding, now: Timestamp) -> Result<bool, StoreError> {
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

    /// What waits for a person, the oldest first.
    pub async fn list(self, from: AttentionFrom, limit: u8) -> Result<Page<Attention>, StoreError> {
        let rows = self
            .0
            .read(OPEN, &[&from.after, &(i64::from(limit) + 1)])
            .await?;
        let items: Vec<Attention> = rows
            .iter()
            .take(limit.into())
            .map(read)
            .collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| rows.len() > items.len());
        let next_cursor = last.map(|last| cursor::encode(&Position { after: last.id }));
        Ok(Page { items, next_cursor })
    }

    /// Something that waits for a person, if it still does.
    pub async fn find(self, id: Uuid) -> Result<Option<Attention>, StoreError> {
        let row = self.0.read_optional(BY_ID, &[&id]).await?;
        row.as_ref().map(read).transpose()
    }

    /// Resolves something; none if nothing of that name waits for a person.
    pub async fn resolve(
        self,
        id: Uuid,
        decision: &Decision<'_>,
        now: Timestamp,
    ) -> Result<Option<Attention>, StoreError> {
        let Decision {
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
