//! What is for sale: products as documents, each category with attributes of its own.

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

/// The languages the shop speaks.
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
    /// Has it or not.
    Flag(bool),
    /// A measure; the attribute's title names the unit.
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

/// One product for sale. Its stock is not here: stock is transactional, this is a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its name in stock and in orders.
    pub sku: Sku,
    /// The category it is in.
    pub category: CategoryId,
    /// What it is called.
    pub title: LocalizedText,
    /// One or two sentences.
    pub description: LocalizedText,
    /// For one.
    pub price: Money,
    /// By the name of the attribute in the category.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Names the picture that the shop draws for it.
    pub image: String,
}

/// A shelf of the shop, with what its products can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its name in products.
    pub id: CategoryId,
    /// What it is called.
    pub title: LocalizedText,
    /// What its products are told apart by.
    pub attributes: Vec<AttributeDefinition>,
}

/// An attribute that the products of one category have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeDefinition {
    /// Its name in products and in filters.
    pub name: String,
    /// What it is called.
    pub title: LocalizedText,
    /// The values to choose from, in the order to show them.
    pub values: Vec<String>,
}

/// What the values of an attribute are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// Anything else.
    Text,
}

impl Category {
    /// Its attribute of that name, if it has such.
    pub fn attribute(&self, name: &str) -> Option<&AttributeDefinition> {
        self.attributes.iter().find(|it| it.name == name)
    }
}

impl AttributeDefinition {
    /// The kind of the values to choose from; text, if there are none.
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
