//! Which products the pieces of a file have named so far.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};
use orders::Sku;
use uuid::Uuid;

use super::Imports;
use crate::error::StoreError;

/// How long a file may take to come in.
const MEMORY_HOURS: i64 = 24;

// Sorted, so that no two calls wait for each other. A line that stands is given back as it is.
const CLAIM: &str = "insert into import_rows (import, sku, line, at)
    select $1, sku, line, $4 from unnest($2::text[], $3::integer[]) as row (sku, line) order by sku
    on conflict (import, sku) do update set at = excluded.at
    returning sku, line";

const FORGET: &str = "delete from import_rows where at < $1";

impl Imports<'_> {
    /// Notes in which line of a file each of these products stands, each SKU once, and answers in
    /// which line each stood first.
    pub async fn first_lines(
        self,
        import: Uuid,
        rows: &[(&Sku, i32)],
        now: Timestamp,
    ) -> Result<HashMap<String, i32>, StoreError> {
        let (skus, lines): (Vec<&str>, Vec<i32>) =
            rows.iter().map(|(sku, line)| (sku.as_str(), *line)).unzip();
        let rows = self.0.write(CLAIM, &[&import, &skus, &lines, &now]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Forgets files that have come in long ago.
    pub async fn delete_old(self, now: Timestamp) -> Result<(), StoreError> {
        let before = now - MEMORY_HOURS.hours();
        self.0.change(FORGET, &[&before]).await?;
        Ok(())
    }
}
