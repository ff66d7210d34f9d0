//! How much of each product there is.

use std::collections::HashMap;

use orders::Sku;

use crate::{database::Database, error::StoreError};

const AVAILABLE: &str = "select sku, available from stock where sku = any ($1)";

const ADD_MISSING: &str = "insert into stock (sku, available)
    select sku, available from unnest($1::text[], $2::bigint[]) as new (sku, available)
    on conflict do nothing";

impl Database {
    /// How many of each SKU can be ordered now. A SKU without stock is not in the answer.
    pub async fn available(&self, skus: &[Sku]) -> Result<HashMap<String, i64>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(AVAILABLE).await?;
        let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
        let rows = client.query(&statement, &[&skus]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Adds stock for SKUs that have none on record; leaves the others as they are.
    pub async fn add_stock(&self, stock: &[(Sku, i64)]) -> Result<(), StoreError> {
        let client = self.client().await?;
        let (skus, available): (Vec<&str>, Vec<i64>) = stock
            .iter()
            .map(|(sku, available)| (sku.as_str(), available))
            .unzip();
        client.execute(ADD_MISSING, &[&skus, &available]).await?;
        Ok(())
    }
}
