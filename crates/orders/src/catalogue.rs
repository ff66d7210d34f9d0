//! The catalogue: products as documents, and categories with their own attributes.

mod draft;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::draft::{Fault, PriceDraft, ProductDraft};
use crate::{
    ids::Sku,
    money::Money,
    text::{made_of, text},
};

text! {
    /// The name of a category, such as `tea`.
    CategoryId,
    |text| made_of(text, 40, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
    "must be 1 to 40 of a-z, 0-9 and '-'"
}

/// A language of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

impl Language {
    /// The language's ISO 639-1 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
        }
    }
}

/// A text in every language of the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocalizedText {
    /// In English.
    pub en: String,
    /// In Spanish.
    pub es: String,
}

impl LocalizedText {
    /// The text in `language`.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Es => &self.es,
        }
    }
}

/// The value of one attribute of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Whether the product has the attribute.
    Flag(bool),
    /// A measure. The attribute's title names the unit.
    Number(i64),
    /// One of the attribute's values.
    Text(String),
}

impl std::fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// A product for sale. Its stock is stored separately, because stock is transactional and this is a
/// document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product's id, in stock and in orders.
    pub sku: Sku,
    /// The product's category.
    pub category: CategoryId,
    /// The title.
    pub title: LocalizedText,
    /// A description of one or two sentences.
    pub description: LocalizedText,
    /// The price of one unit.
    pub price: Money,
    /// The values of the category's attributes, by the attribute's name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// The name of the picture that the shop shows.
    pub image: String,
}

/// A category of products, with the attributes that they can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// The category's id, in products.
    pub id: CategoryId,
    /// The title.
    pub title: LocalizedText,
    /// The attributes of its products.
    pub attributes: Vec<AttributeDefinition>,
}

/// An attribute of the products of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeDefinition {
    /// The attribute's name, in products and in filters.
    pub name: String,
    /// The title.
    pub title: LocalizedText,
    /// The allowed values, in the order in which they are shown. If empty, any text is allowed.
    pub values: Vec<String>,
}

/// The type of an attribute's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// Any other text.
    Text,
}

impl Category {
    /// Returns the attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeDefinition> {
        self.attributes.iter().find(|it| it.name == name)
    }
}

impl AttributeDefinition {
    /// Returns the type of the allowed values; text if there are none.
    pub fn kind(&self) -> AttributeKind {
        let all = |is: fn(&str) -> bool| {
            !self.values.is_empty() && self.values.iter().all(|value| is(value))
        };
        if all(|value| value.parse::<bool>().is_ok()) {
            AttributeKind::Flag
        } else if all(|value| value.parse::<i64>().is_ok()) {
            AttributeKind::Number
        } else {
            AttributeKind::Text
        }
    }
}
