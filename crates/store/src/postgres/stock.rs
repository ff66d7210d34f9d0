//! The stock of each product, and its adjustments by staff (`adjust_stock` in `schema.sql`).

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
    database::Parameters,
    idempotency::Claim,
};
use crate::{
    cursor::{self, BadCursor, Page, one_more},
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

/// A requested adjustment of a product's stock.
#[derive(Debug, Clone, Copy)]
pub struct NewStockAdjustment<'a> {
    /// The product.
    pub sku: &'a Sku,
    /// The change in units; negative if units are removed.
    pub delta: i64,
    /// The reason, in the actor's words.
    pub reason: &'a str,
    /// The name of the user who makes the adjustment.
    pub actor: &'a str,
}

/// An adjustment of a product's stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StockAdjustment {
    /// The adjustment's id.
    pub id: Uuid,
    /// The product's SKU.
    pub sku: String,
    /// The time of the adjustment.
    pub at: Timestamp,
    /// The name of the user who made the adjustment.
    pub by: String,
    /// The reason, in the user's words.
    pub reason: String,
    /// The change in units; negative if units were removed.
    pub delta: i64,
    /// The available units before the adjustment.
    pub before: i64,
    /// The available units after the adjustment.
    pub after: i64,
}

/// The argument of `adjust_stock`.
#[derive(Debug, Serialize)]
struct AdjustStock<'a> {
    adjustment: AdjustmentRow<'a>,
    claim: AnsweredClaim<'a>,
}

/// A new row of `stock_adjustments`, without the quantities before and after.
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
    /// The stock would become negative. Holds the units that are available now.
    #[error("only {0} are available")]
    NotEnough(i64),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The start of a page of adjustments.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AdjustmentCursor {
    before: i64,
}

impl Default for AdjustmentCursor {
    /// The newest adjustment.
    fn default() -> Self {
        Self { before: i64::MAX }
    }
}

impl FromStr for AdjustmentCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor)
    }
}

impl Stock<'_> {
    /// Returns the available units of each SKU. A SKU without a stock record is not in the map.
    pub async fn available(self, skus: &[Sku]) -> Result<HashMap<String, i64>, StoreError> {
        let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
        let rows = self.0.read(AVAILABLE, &[&skus]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Adds a stock record for each SKU that has none; leaves the others unchanged.
    pub async fn add(self, stock: &[(Sku, i64)]) -> Result<(), StoreError> {
        let (skus, available): (Vec<&str>, Vec<i64>) = stock
            .iter()
            .map(|(sku, available)| (sku.as_str(), available))
            .unzip();
        self.0.change(ADD_MISSING, &[&skus, &available]).await?;
        Ok(())
    }

    /// Adjusts a product's stock, once for each claim. Returns the adjustment, and
    /// whether an earlier call with the same key made it.
    pub async fn adjust(
        self,
        adjustment: NewStockAdjustment<'_>,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<(StockAdjustment, bool), AdjustError> {
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

    /// Lists a product's adjustments, the newest first.
    pub async fn list_adjustments(
        self,
        sku: &Sku,
        from: AdjustmentCursor,
        limit: u8,
    ) -> Result<Page<StockAdjustment>, StoreError> {
        let parameters: Parameters<'_> = &[&sku.as_str(), &from.before, &one_more(limit)];
        let rows = self.0.read(ADJUSTMENTS, parameters).await?;
        let read = |row: &Row| Ok((read(row)?, row.try_get("position")?));
        let page = Page::read(&rows, limit, read, |(_, before)| AdjustmentCursor {
            before: *before,
        })?;
        Ok(Page {
            items: page.items.into_iter().map(|(item, _)| item).collect(),
            next_cursor: page.next_cursor,
        })
    }
}

fn read(row: &Row) -> Result<StockAdjustment, StoreError> {
    Ok(StockAdjustment {
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
    let error = error.db_error()?;
    match error.code().code() {
        "CA001" => Some(AdjustError::KeyReused),
        "CA010" => {
            let available = error.detail().and_then(|detail| detail.parse().ok());
            Some(AdjustError::NotEnough(available.unwrap_or_default()))
        }
        _ => None,
    }
}
