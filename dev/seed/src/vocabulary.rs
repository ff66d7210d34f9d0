//! The vocabularies that the catalogue is generated from: one file in `data/` for each category.

use std::{collections::BTreeMap, ops::RangeInclusive};

use orders::catalogue::{AttributeDefinition, AttributeValue, Category, CategoryId, LocalizedText};
use serde::Deserialize;

const FILES: [&str; 8] = [
    include_str!("../data/coffee.json"),
    include_str!("../data/tea.json"),
    include_str!("../data/chocolate.json"),
    include_str!("../data/olive-oil.json"),
    include_str!("../data/ceramics.json"),
    include_str!("../data/books.json"),
    include_str!("../data/kitchen.json"),
    include_str!("../data/stationery.json"),
];

/// The vocabulary of a category.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelf {
    pub(crate) id: CategoryId,
    pub(crate) title: LocalizedText,
    /// How many products to generate.
    pub(crate) products: usize,
    pub(crate) attributes: Vec<Attribute>,
    /// The phrases for each word in braces in a template. `item` and the attributes are words too.
    pub(crate) words: Words,
    pub(crate) titles: Vec<LocalizedText>,
    /// Beginnings of descriptions.
    pub(crate) descriptions: Vec<LocalizedText>,
    /// Ends of descriptions, for products without a note.
    pub(crate) closings: Vec<LocalizedText>,
    pub(crate) items: Vec<Item>,
}

pub(crate) type Words = BTreeMap<String, Vec<Phrase>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) title: LocalizedText,
    /// A value that is listed twice is drawn twice as often.
    pub(crate) values: Vec<Choice>,
}

/// A value of an attribute.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    pub(crate) value: AttributeValue,
    /// Its label in a sentence, if that is not the value itself.
    en: Option<String>,
    es: Option<String>,
    /// The factor of the price, in percent.
    #[serde(default = "unchanged")]
    pub(crate) price: u32,
    /// The end of the description of such a product.
    pub(crate) note: Option<LocalizedText>,
}

const fn unchanged() -> u32 {
    100
}

/// A kind of product. Its own templates and words override those of the shelf.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    #[serde(default)]
    en: String,
    #[serde(default)]
    es: String,
    /// The range of prices in cents, before the factors of the attributes.
    price: (u32, u32),
    /// The allowed values of attributes, if not all. An attribute with an empty list is left out.
    #[serde(default)]
    pub(crate) only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) words: Words,
    #[serde(default)]
    pub(crate) titles: Vec<LocalizedText>,
    #[serde(default)]
    pub(crate) descriptions: Vec<LocalizedText>,
    #[serde(default)]
    pub(crate) closings: Vec<LocalizedText>,
}

/// A text, which may be the same in both languages.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Phrase {
    Same(String),
    Localized(LocalizedText),
}

/// The shelves of the shop.
pub(crate) fn shelves() -> Result<Vec<Shelf>, serde_json::Error> {
    FILES.into_iter().map(serde_json::from_str).collect()
}

impl Shelf {
    pub(crate) fn category(&self) -> Category {
        Category {
            id: self.id.clone(),
            title: self.title.clone(),
            attributes: self.attributes.iter().map(Attribute::definition).collect(),
        }
    }
}

impl Attribute {
    fn definition(&self) -> AttributeDefinition {
        let mut values = Vec::with_capacity(self.values.len());
        for choice in &self.values {
            let value = choice.value.to_string();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        AttributeDefinition {
            name: self.name.clone(),
            title: self.title.clone(),
            values,
        }
    }
}

impl Choice {
    pub(crate) fn label(&self) -> LocalizedText {
        let value = || self.value.to_string();
        LocalizedText {
            en: self.en.clone().unwrap_or_else(value),
            es: self.es.clone().unwrap_or_else(value),
        }
    }
}

impl Item {
    pub(crate) fn label(&self) -> LocalizedText {
        LocalizedText {
            en: self.en.clone(),
            es: self.es.clone(),
        }
    }

    pub(crate) fn price(&self) -> RangeInclusive<u32> {
        self.price.0..=self.price.1
    }

    pub(crate) fn allows(&self, attribute: &str, value: &AttributeValue) -> bool {
        let allowed = self.only.get(attribute);
        allowed.is_none_or(|values| values.contains(&value.to_string()))
    }
}

impl Phrase {
    pub(crate) fn text(&self) -> LocalizedText {
        match self {
            Self::Same(text) => LocalizedText {
                en: text.clone(),
                es: text.clone(),
            },
            Self::Localized(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_limited_to_existing_attributes_and_values() {
        for shelf in shelves().unwrap() {
            let category = shelf.category();
            for (name, values) in shelf.items.iter().flat_map(|item| &item.only) {
                let mut attributes = category.attributes.iter();
                let attribute = attributes.find(|attribute| attribute.name == *name);
                let attribute = attribute.unwrap_or_else(|| panic!("{}: {name}", shelf.id));
                for value in values {
                    assert!(
                        attribute.values.contains(value),
                        "{}: {name} {value}",
                        shelf.id
                    );
                }
            }
        }
    }

    #[test]
    fn every_category_has_three_to_five_attributes() {
        for shelf in shelves().unwrap() {
            assert!((3..=5).contains(&shelf.attributes.len()), "{}", shelf.id);
        }
    }
}
