//! Changing one product: its document and its search entries change in one transaction, and only if
//! the product has not changed since it was read.

use std::{collections::HashMap, fmt, str::FromStr};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Delete, Put, TransactWriteItem},
};
use orders::{Sku, catalogue::Product};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::{
    Catalogue, READ_BATCH, Stored,
    entries::{Entry, Key, MAX_TERMS},
    to_item,
};
use crate::error::StoreError;

/// How often to try while transactions conflict with another change of the same product.
const MAX_TRIES: usize = 5;

/// The version of a product. Each change makes a new version. None is used twice, not even when the
/// product is deleted and created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(Uuid);

impl Version {
    /// The version of items that have none: entries, categories and products of old releases.
    pub(super) const NONE: Self = Self(Uuid::nil());

    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A product as it was read, with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedProduct {
    /// The product.
    pub product: Product,
    /// The version of this state of the product.
    pub version: Version,
}

impl From<Stored<Product>> for VersionedProduct {
    fn from(stored: Stored<Product>) -> Self {
        Self {
            product: stored.document,
            version: stored.version,
        }
    }
}

/// Why a product was not changed. Nothing was written.
#[derive(Debug, Error)]
pub enum EditError {
    /// The product was changed, created or deleted since it was read.
    #[error("the product has changed since it was read")]
    Stale,
    /// The product has more than [`MAX_TERMS`] search terms.
    #[error("the product has more than {MAX_TERMS} search terms")]
    TooManyTerms,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Catalogue {
    /// Returns the product with this SKU as it is now, if there is one.
    pub async fn versioned(&self, sku: &Sku) -> Result<Option<VersionedProduct>, StoreError> {
        let stored = self.get::<Product>(&Key::product(sku)).await?;
        Ok(stored.map(Into::into))
    }

    /// Returns those products with these SKUs that exist. Each SKU may be named once.
    pub async fn versioned_products(
        &self,
        skus: &[Sku],
    ) -> Result<HashMap<Sku, VersionedProduct>, StoreError> {
        let mut versioned_products = HashMap::with_capacity(skus.len());
        for skus in skus.chunks(READ_BATCH) {
            for versioned in self.read_batch(skus).await? {
                versioned_products.insert(versioned.product.sku.clone(), versioned);
            }
        }
        Ok(versioned_products)
    }

    /// Replaces the product that was `seen` by `product`; creates it if none was seen.
    pub async fn replace(
        &self,
        seen: Option<&VersionedProduct>,
        product: Product,
    ) -> Result<VersionedProduct, EditError> {
        let version = Version::new();
        let versioned = VersionedProduct { product, version };
        self.transact(&plan_changes(seen, Some(&versioned))?)
            .await?;
        Ok(versioned)
    }

    /// Deletes the product that was `seen`.
    pub async fn remove(&self, seen: &VersionedProduct) -> Result<(), EditError> {
        self.transact(&plan_changes(Some(seen), None)?).await
    }

    async fn transact(&self, changes: &[Change]) -> Result<(), EditError> {
        let items: Vec<TransactWriteItem> = changes
            .iter()
            .map(|change| change.write(&self.table))
            .collect::<Result<_, _>>()?;
        for _ in 0..MAX_TRIES {
            let request = self.client.transact_write_items();
            let request = request.set_transact_items(Some(items.clone()));
            let Err(error) = request.send().await else {
                return Ok(());
            };
            let error = error.into_service_error();
            if is_cancelled_for(&error, "ConditionalCheckFailed") {
                return Err(EditError::Stale);
            }
            if !is_cancelled_for(&error, "TransactionConflict") {
                return Err(StoreError::dynamodb(error).into());
            }
        }
        // By now, a conflicting transaction has changed the product.
        Err(EditError::Stale)
    }
}

fn is_cancelled_for(error: &TransactWriteItemsError, code: &str) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return false;
    };
    let mut reasons = cancelled.cancellation_reasons().iter();
    reasons.any(|reason| reason.code() == Some(code))
}

/// A write of one item of the table, with its condition.
#[derive(Debug, PartialEq)]
struct Change {
    key: Key,
    /// The whole new item; none to delete it.
    item: Option<HashMap<String, AttributeValue>>,
    condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    /// The item does not exist.
    Absent,
    /// The item exists, with this version.
    Is(Version),
}

/// The writes that replace the product that was `seen` by `versioned`, or delete it. The write of
/// the product itself is first, with the condition for all.
fn plan_changes(
    seen: Option<&VersionedProduct>,
    versioned: Option<&VersionedProduct>,
) -> Result<Vec<Change>, EditError> {
    let entry_of = |versioned: &VersionedProduct| Entry::of(&versioned.product);
    let (old_entry, new_entry) = (seen.map(entry_of), versioned.map(entry_of));
    let keys_of = |entry: &Option<Entry>| entry.as_ref().map(Entry::keys).unwrap_or_default();
    let (old_keys, new_keys) = (keys_of(&old_entry), keys_of(&new_entry));
    if new_keys.len() > MAX_TERMS {
        return Err(EditError::TooManyTerms);
    }
    let either = seen.or(versioned).map(|it| Key::product(&it.product.sku));
    let Some(key) = either else {
        return Ok(Vec::new());
    };
    let document = versioned.map(|it| stored_item(key.clone(), it.version, &it.product));
    let mut changes = vec![Change {
        key,
        item: document.transpose()?,
        condition: seen.map_or(Condition::Absent, |seen| Condition::Is(seen.version)),
    }];
    changes.extend((&old_keys - &new_keys).into_iter().map(|key| Change {
        key,
        item: None,
        condition: Condition::None,
    }));
    // If only the price or the description changes, the entries stay the same.
    if let Some(entry) = new_entry.filter(|entry| old_entry.as_ref() != Some(entry)) {
        for key in new_keys {
            changes.push(Change {
                item: Some(stored_item(key.clone(), Version::NONE, &entry)?),
                key,
                condition: Condition::None,
            });
        }
    }
    Ok(changes)
}

fn stored_item(
    key: Key,
    version: Version,
    document: impl Serialize,
) -> Result<HashMap<String, AttributeValue>, StoreError> {
    to_item(&Stored {
        key,
        version,
        document,
    })
}

impl Condition {
    fn expression(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Absent => Some("attribute_not_exists(pk)"),
            Self::Is(Version::NONE) => {
                Some("attribute_exists(pk) and attribute_not_exists(version)")
            }
            Self::Is(_) => Some("version = :seen"),
        }
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        match self {
            Self::None | Self::Absent | Self::Is(Version::NONE) => None,
            Self::Is(version) => {
                let seen = AttributeValue::S(version.to_string());
                Some(HashMap::from([(":seen".to_owned(), seen)]))
            }
        }
    }
}

impl Change {
    fn write(&self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let (expression, values) = (self.condition.expression(), self.condition.values());
        let write = TransactWriteItem::builder();
        Ok(if let Some(item) = &self.item {
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(item.clone()))
                .set_condition_expression(expression.map(str::to_owned))
                .set_expression_attribute_values(values)
                .build();
            write.put(put.map_err(StoreError::dynamodb)?).build()
        } else {
            let delete = Delete::builder()
                .table_name(table)
                .set_key(Some(to_item(&self.key)?))
                .set_condition_expression(expression.map(str::to_owned))
                .set_expression_attribute_values(values)
                .build();
            write.delete(delete.map_err(StoreError::dynamodb)?).build()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orders::{
        Cents, Money,
        catalogue::{AttributeValue as Value, LocalizedText},
    };
    use proptest::prelude::*;

    use super::*;

    fn versioned(title: &str, cents: i64, grams: i64) -> VersionedProduct {
        let text = LocalizedText {
            en: title.to_owned(),
            es: title.to_owned(),
        };
        VersionedProduct {
            product: Product {
                sku: "TEA-1".parse().unwrap(),
                category: "tea".parse().unwrap(),
                title: text.clone(),
                description: text,
                price: Money {
                    cents: Cents::try_from(cents).unwrap(),
                    currency: "EUR".parse().unwrap(),
                },
                attributes: BTreeMap::from([("grams".to_owned(), Value::Number(grams))]),
                image: "tea-1".to_owned(),
            },
            version: Version::new(),
        }
    }

    /// Applies the changes to a table, whose items are sorted by their keys.
    fn apply(table: &mut BTreeMap<Key, HashMap<String, AttributeValue>>, changes: &[Change]) {
        for change in changes {
            match &change.item {
                Some(item) => table.insert(change.key.clone(), item.clone()),
                None => table.remove(&change.key),
            };
        }
    }

    #[test]
    fn a_change_of_only_the_price_writes_only_the_product() {
        let (before, after) = (
            versioned("Green tea", 100, 50),
            versioned("Green tea", 200, 50),
        );
        let changes = plan_changes(Some(&before), Some(&after)).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].condition, Condition::Is(before.version));
    }

    #[test]
    fn a_new_product_must_not_exist() {
        let changes = plan_changes(None, Some(&versioned("Green tea", 100, 50))).unwrap();
        assert_eq!(changes[0].condition, Condition::Absent);
        // The product, the two shelves, the attribute and the two words.
        assert_eq!(changes.len(), 6);
    }

    #[test]
    fn a_product_without_a_version_can_be_changed() {
        let condition = Condition::Is(Version::NONE);
        assert!(condition.values().is_none());
        let expression = condition.expression().unwrap();
        assert!(expression.contains("attribute_not_exists(version)"));
    }

    #[test]
    fn a_product_with_too_many_words_is_refused() {
        let words: Vec<String> = (0..60).map(|word| format!("word{word}")).collect();
        let many = versioned(&words.join(" "), 100, 50);
        let refused = plan_changes(None, Some(&many));
        assert!(matches!(refused, Err(EditError::TooManyTerms)));
    }

    proptest! {
        #[test]
        fn a_changed_table_equals_a_fresh_one(
            titles in prop::collection::vec("[a-e ]{1,12}", 2),
            grams in prop::collection::vec(0..3_i64, 2),
        ) {
            let before = versioned(&titles[0], 100, grams[0]);
            let after = versioned(&titles[1], 200, grams[1]);
            let (mut changed, mut fresh) = (BTreeMap::new(), BTreeMap::new());
            apply(&mut changed, &plan_changes(None, Some(&before)).unwrap());
            let changes = plan_changes(Some(&before), Some(&after)).unwrap();
            prop_assert!(changes.len() <= 100);
            apply(&mut changed, &changes);
            apply(&mut fresh, &plan_changes(None, Some(&after)).unwrap());
            prop_assert_eq!(&changed, &fresh);
            apply(&mut changed, &plan_changes(Some(&after), None).unwrap());
            prop_assert!(changed.is_empty());
        }
    }
}
