//! Imports of product files in pieces: the SKUs that the pieces of a file have named so far.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};
use orders::Sku;
use uuid::Uuid;

use super::Imports;
use crate::error::StoreError;

/// How long the pieces of a file may take to arrive.
const RETENTION_HOURS: i64 = 24;

// Sorted, so that no two calls deadlock. A SKU that has a line already keeps it.
const RECORD: &str = "insert into import_rows (import, sku, line, at)
    select $1, sku, line, $4 from unnest($2::text[], $3::integer[]) as row (sku, line) order by sku
    on conflict (import, sku) do update set at = excluded.at
    returning sku, line";

const DELETE_OLD: &str = "delete from import_rows where at < $1";

impl Imports<'_> {
    /// Records the line of a file in which each SKU is, and returns the first line of each. `rows`
    /// must name each SKU once.
    pub async fn record_first_lines(
        self,
        import: Uuid,
        rows: &[(&Sku, i32)],
        now: Timestamp,
    ) -> Result<HashMap<String, i32>, StoreError> {
        let (skus, lines): (Vec<&str>, Vec<i32>) =
            rows.iter().map(|(sku, line)| (sku.as_str(), *line)).unzip();
        let rows = self
            .0
            .write(RECORD, &[&import, &skus, &lines, &now])
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Deletes the lines of files that arrived long ago.
    pub async fn delete_old(self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - RETENTION_HOURS.hours();
        self.0.change(DELETE_OLD, &[&before]).await?;
        Ok(())
    }
}
