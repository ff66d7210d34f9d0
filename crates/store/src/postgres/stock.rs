//! How much of each product there is, and how people have changed that (`adjust_stock` in `schema.sql`).

use std::{collections::HashMap, str::FromStr};

use jiff::Timestamp;
use orders::Sku;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio_postgres::{Row, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Stock,
    arguments::{AnsweredClaim, Timestamptz},
    idempotency::Claim,
};
use crate::{
    cursor::{self, BadCursor, Page},
    error::StoreError,
};

const AVAILABLE: &str = "select sku, available from stock where sku = any ($1)";

const ADD_MISSING: &str = "insert into stock (sku, available)
    select sku, available from unnest($1::text[], $2::bigint[]) as new (sku, available)
    on conflict do nothing";

const ADJUST: &str = "select used.replayed, (used.adjustment).*
    from adjust_stock($1) as used";

const ADJUSTMENTS: &str = "select id, position, sku, at, actor, reason, delta, before, after
    from stock_adjustments where sku = $1 and position < $2 order by position desc limit $3";

/// A change of how much there is of a product, as somebody wants it.
#[derive(Debug, Clone, Copy)]
pub struct Adjustment<'a> {
    /// Of what.
    pub sku: &'a Sku,
    /// How many more; fewer, if it is negative.
    pub delta: i64,
    /// Why, in their words.
    pub reason: &'a str,
    /// Who.
    pub actor: &'a str,
}

/// A change of how much there is of a product, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "StockAdjustment")]
pub struct Adjusted {
    /// Names it.
    pub id: Uuid,
    /// Of what.
    pub sku: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// How many more; fewer, if it is negative.
    pub delta: i64,
    /// How many there were.
    pub before: i64,
    /// How many there are since.
    pub after: i64,
}

/// The argument of `adjust_stock`.
#[derive(Debug, Serialize)]
struct AdjustStock<'a> {
    adjustment: AdjustmentRow<'a>,
    claim: AnsweredClaim<'a>,
}

/// A new row of `stock_adjustments`, but for how many there were.
#[derive(Debug, Serialize)]
struct AdjustmentRow<'a> {
    id: Uuid,
    sku: &'a Sku,
    at: Timestamptz,
    actor: &'a str,
    reason: &'a str,
    delta: i64,
}

/// Why stock was not adjusted. Nothing was written.
#[derive(Debug, Error)]
pub enum AdjustError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// There would be less than nothing.
    #[error("there are only {0}")]
    NotEnough(i64),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a page of adjustments begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AdjustmentsFrom {
    before: i64,
}

impl Default for AdjustmentsFrom {
    /// With the last one.
    fn default() -> Self {
        Self { before: i64::MAX }
    }
}

impl FromStr for AdjustmentsFrom {
    type Err = BadCursor;

    /// Where the page that gave out the cursor ended.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor)
    }
}

impl Stock<'_> {
    /// How many of each SKU can be ordered now. A SKU without stock is not in the answer.
    pub async fn available(self, skus: &[Sku]) -> Result<HashMap<String, i64>, StoreError> {
        let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
        let rows = self.0.read(AVAILABLE, &[&skus]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Adds stock for SKUs that have none on record; leaves the others as they are.
    pub async fn add(self, stock: &[(Sku, i64)]) -> Result<(), StoreError> {
        let (skus, available): (Vec<&str>, Vec<i64>) = stock
            .iter()
            .map(|(sku, available)| (sku.as_str(), available))
            .unzip();
        self.0.change(ADD_MISSING, &[&skus, &available]).await?;
        Ok(())
    }

    /// Changes how much there is of a product, once for each claim; and whether an earlier call with
    /// the same key has done it.
    pub async fn adjust(
        self,
        adjustment: Adjustment<'_>,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<(Adjusted, bool), AdjustError> {
        let id = Uuid::now_v7();
        let answer = id.to_string();
        let request = Json(AdjustStock {
            adjustment: AdjustmentRow {
                id,
                sku: adjustment.sku,
                at: Timestamptz(now),
                actor: adjustment.actor,
                reason: adjustment.reason,
                delta: adjustment.delta,
            },
            claim: AnsweredClaim::new(claim, &answer),
        });
        match self.0.write_one(ADJUST, &[&request]).await {
            Ok(row) => {
                let replayed = row.try_get("replayed").map_err(StoreError::from)?;
                Ok((read(&row)?, replayed))
            }
            Err(error) => Err(refusal(&error).unwrap_or_else(|| error.into())),
        }
    }

    /// How people have changed how much there is of a product, the last change first.
    pub async fn list_adjustments(
        self,
        sku: &Sku,
        from: AdjustmentsFrom,
        limit: u8,
    ) -> Result<Page<Adjusted>, StoreError> {
        // One more than asked for tells whether there is a next page.
        let more = i64::from(limit) + 1;
        let rows = self
            .0
            .read(ADJUSTMENTS, &[&sku.as_str(), &from.before, &more])
            .await?;
        let shown = &rows[..rows.len().min(limit.into())];
        let next = shown.last().filter(|_| rows.len() > shown.len());
        let next_cursor = next.map(|row| {
            let before = row.try_get("position")?;
            Ok::<_, StoreError>(cursor::encode(&AdjustmentsFrom { before }))
        });
        Ok(Page {
            items: shown.iter().map(read).collect::<Result<_, _>>()?,
            next_cursor: next_cursor.transpose()?,
        })
    }
}

fn read(row: &Row) -> Result<Adjusted, StoreError> {
    Ok(Adjusted {
        id: row.try_get("id")?,
        sku: row.try_get("sku")?,
        at: row.try_get("at")?,
        by: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        delta: row.try_get("delta")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
    })
}

/// The refusal that `adjust_stock` raised, if it was one.
fn refusal(error: &StoreError) -> Option<AdjustError> {
    let error = error.of_database()?;
    match error.code().code() {
        "CA001" => Some(AdjustError::KeyReused),
        "CA010" => {
            let there_are = error.detail().and_then(|detail| detail.parse().ok());
            Some(AdjustError::NotEnough(there_are.unwrap_or_default()))
        }
        _ => None,
    }
}
