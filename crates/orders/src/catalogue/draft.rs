//! A draft of a product, and the rules that it must follow to be offered for sale.
//!
//! All faults are reported together, so that a form or a file can be corrected in one step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{AttributeDefinition, AttributeKind, AttributeValue, Category, LocalizedText, Product};
use crate::{
    currency::CurrencyRules,
    ids::Sku,
    money::Money,
    text::{is_phrase, made_of},
};

/// The longest title, in characters.
const MAX_TITLE: usize = 120;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1_000;

/// The longest value of an attribute without a list of allowed values, in characters.
const MAX_VALUE: usize = 100;

/// A product that is not checked yet, without its SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "ProductDocument")]
pub struct ProductDraft {
    /// The id of the product's category.
    pub category: String,
    /// The title.
    pub title: LocalizedText,
    /// A description of one or two sentences.
    pub description: LocalizedText,
    /// The price of one unit.
    pub price: PriceDraft,
    /// The values of the category's attributes, by the attribute's name. Attributes may be omitted.
    #[schema(value_type = BTreeMap<String, AttributeValue>)]
    pub attributes: BTreeMap<String, Value>,
    /// The name of the picture that the shop shows. If it is empty, the SKU is used.
    #[serde(default)]
    pub image: String,
}

/// A price that is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceDraft {
    /// The amount, more than 0, in the payment provider's unit of the currency (see `Cents`).
    pub cents: i64,
    /// The ISO 4217 code of a supported currency, such as `EUR`.
    pub currency: String,
}

/// An invalid field of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The path of the field in the document.
    pub field: String,
    /// What is wrong with it, for the person who wrote it.
    pub detail: String,
}

impl Fault {
    /// Returns the fault of a field.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }
}

impl ProductDraft {
    /// Returns the product with this SKU that the draft describes, or all its faults, in the order
    /// of the fields.
    pub fn check(&self, sku: &Sku, categories: &[Category]) -> Result<Product, Vec<Fault>> {
        let mut faults = Vec::new();
        let category = categories.iter().find(|it| it.id.as_str() == self.category);
        if category.is_none() {
            faults.push(Fault::new("category", "there is no such category"));
        }
        check_phrases("title", &self.title, MAX_TITLE, &mut faults);
        check_phrases(
            "description",
            &self.description,
            MAX_DESCRIPTION,
            &mut faults,
        );
        let price = self.check_price(&mut faults);
        let attributes = match category {
            Some(category) => self.check_attributes(category, &mut faults),
            None => BTreeMap::new(),
        };
        let image = self.image_or_sku(sku);
        if !made_of(&image, 40, |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
        }) {
            faults.push(Fault::new("image", "must be 1 to 40 of a-z, 0-9 and '-'"));
        }
        match (category, price) {
            (Some(category), Some(price)) if faults.is_empty() => Ok(Product {
                sku: sku.clone(),
                category: category.id.clone(),
                title: self.title.clone(),
                description: self.description.clone(),
                price,
                attributes,
                image,
            }),
            _ => Err(faults),
        }
    }

    fn check_price(&self, faults: &mut Vec<Fault>) -> Option<Money> {
        let PriceDraft { cents, currency } = &self.price;
        match CurrencyRules::of(currency) {
            Ok(rules) => match rules.price(*cents) {
                Ok(cents) => Some(Money {
                    cents,
                    currency: rules.into(),
                }),
                Err(rule) => {
                    faults.push(Fault::new("price.cents", rule.to_string()));
                    None
                }
            },
            Err(rule) => {
                if *cents <= 0 {
                    faults.push(Fault::new("price.cents", "must be more than 0"));
                }
                faults.push(Fault::new("price.currency", rule.to_string()));
                None
            }
        }
    }

    fn check_attributes(
        &self,
        category: &Category,
        faults: &mut Vec<Fault>,
    ) -> BTreeMap<String, AttributeValue> {
        let mut attributes = BTreeMap::new();
        for (name, value) in &self.attributes {
            match category.check_value(name, value) {
                Ok(value) => {
                    attributes.insert(name.clone(), value);
                }
                Err(detail) => faults.push(Fault::new(format!("attributes.{name}"), detail)),
            }
        }
        attributes
    }

    fn image_or_sku(&self, sku: &Sku) -> String {
        if self.image.is_empty() {
            sku.as_str().to_lowercase()
        } else {
            self.image.clone()
        }
    }
}

impl From<&Product> for ProductDraft {
    fn from(product: &Product) -> Self {
        let attributes = product.attributes.iter();
        Self {
            category: product.category.to_string(),
            title: product.title.clone(),
            description: product.description.clone(),
            price: PriceDraft {
                cents: product.price.cents.get(),
                currency: product.price.currency.to_string(),
            },
            attributes: attributes
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
            image: product.image.clone(),
        }
    }
}

impl From<AttributeValue> for Value {
    fn from(value: AttributeValue) -> Self {
        match value {
            AttributeValue::Flag(flag) => flag.into(),
            AttributeValue::Number(number) => number.into(),
            AttributeValue::Text(text) => text.into(),
        }
    }
}

impl Category {
    /// Returns the value of one of its attributes, or what is wrong with it.
    fn check_value(&self, name: &str, value: &Value) -> Result<AttributeValue, String> {
        let definition = self.attribute(name);
        let definition =
            definition.ok_or_else(|| format!("{} has no such attribute", self.title.en))?;
        definition.check_value(value)
    }
}

impl AttributeDefinition {
    fn check_value(&self, value: &Value) -> Result<AttributeValue, String> {
        let value = match (self.kind(), value) {
            (AttributeKind::Flag, Value::Bool(flag)) => AttributeValue::Flag(*flag),
            (AttributeKind::Number, Value::Number(number)) => {
                AttributeValue::Number(number.as_i64().ok_or("must be a whole number")?)
            }
            (AttributeKind::Text, Value::String(text)) => AttributeValue::Text(text.clone()),
            (AttributeKind::Flag, _) => return Err("must be true or false".to_owned()),
            (AttributeKind::Number, _) => return Err("must be a whole number".to_owned()),
            (AttributeKind::Text, _) => return Err("must be text".to_owned()),
        };
        let text = value.to_string();
        if self.values.is_empty() {
            let is_valid = is_phrase(&text, MAX_VALUE);
            return is_valid
                .then_some(value)
                .ok_or_else(|| phrase_rule(MAX_VALUE));
        }
        if self.values.contains(&text) {
            Ok(value)
        } else {
            Err(format!("must be one of: {}", self.values.join(", ")))
        }
    }

    /// Reads a value from text, such as the cell of a table. Text that is not of the attribute's
    /// type stays text, and [`ProductDraft::check`] then refuses it.
    pub fn read(&self, text: &str) -> Value {
        match self.kind() {
            AttributeKind::Flag if text.eq_ignore_ascii_case("true") => true.into(),
            AttributeKind::Flag if text.eq_ignore_ascii_case("false") => false.into(),
            AttributeKind::Number => text
                .parse::<i64>()
                .map_or_else(|_| text.into(), Value::from),
            AttributeKind::Flag | AttributeKind::Text => text.into(),
        }
    }
}

fn check_phrases(field: &str, text: &LocalizedText, max: usize, faults: &mut Vec<Fault>) {
    for (language, text) in [("en", &text.en), ("es", &text.es)] {
        if !is_phrase(text, max) {
            faults.push(Fault::new(format!("{field}.{language}"), phrase_rule(max)));
        }
    }
}

fn phrase_rule(max: usize) -> String {
    format!(
        "must be 1 to {max} characters on one line, without spaces at the ends or control or \
         invisible characters"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn definition(name: &str, values: &[&str]) -> AttributeDefinition {
        AttributeDefinition {
            name: name.to_owned(),
            title: LocalizedText {
                en: name.to_owned(),
                es: name.to_owned(),
            },
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn tea() -> Category {
        Category {
            id: "tea".parse().unwrap(),
            title: LocalizedText {
                en: "Tea".to_owned(),
                es: "Té".to_owned(),
            },
            attributes: vec![
                definition("origin", &["Japan", "China"]),
                definition("grams", &["50", "100"]),
                definition("organic", &["false", "true"]),
                definition("note", &[]),
            ],
        }
    }

    fn sku() -> Sku {
        "TEA-1".parse().unwrap()
    }

    fn draft(attributes: &Value) -> ProductDraft {
        serde_json::from_value(json!({
            "category": "tea",
            "title": { "en": "Green tea", "es": "Té verde" },
            "description": { "en": "It is green.", "es": "Es verde." },
            "price": { "cents": 1250, "currency": "EUR" },
            "attributes": attributes,
        }))
        .unwrap()
    }

    fn faulty_fields(draft: &ProductDraft) -> Vec<String> {
        let faults = draft.check(&sku(), &[tea()]).unwrap_err();
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn the_type_of_an_attribute_follows_from_its_allowed_values() {
        use AttributeKind::{Flag, Number, Text};
        let kinds: Vec<_> = tea()
            .attributes
            .iter()
            .map(AttributeDefinition::kind)
            .collect();
        assert_eq!(kinds, [Text, Number, Flag, Text]);
    }

    #[test]
    fn a_valid_draft_becomes_a_product() {
        let attributes = json!({ "origin": "Japan", "grams": 100, "organic": true, "note": "new" });
        let product = draft(&attributes).check(&sku(), &[tea()]).unwrap();
        assert_eq!(product.image, "tea-1");
        assert_eq!(product.attributes["grams"], AttributeValue::Number(100));
        assert_eq!(product.attributes["organic"], AttributeValue::Flag(true));
    }

    #[test]
    fn all_faults_are_reported_together_with_their_fields() {
        let mut wrong = draft(&json!({
            "origin": "Atlantis", "grams": "100", "organic": "yes", "note": " ", "colour": "red",
        }));
        wrong.title.es = String::new();
        wrong.description.en = "two\nlines".to_owned();
        wrong.price = PriceDraft {
            cents: 0,
            currency: "euro".to_owned(),
        };
        wrong.image = "../passwords".to_owned();
        assert_eq!(
            faulty_fields(&wrong),
            [
                "title.es",
                "description.en",
                "price.cents",
                "price.currency",
                "attributes.colour",
                "attributes.grams",
                "attributes.note",
                "attributes.organic",
                "attributes.origin",
                "image",
            ]
        );
    }

    #[test]
    fn a_price_must_be_one_that_the_provider_can_charge() {
        for (cents, currency, field) in [
            (1_250, "RSD", Some("price.currency")),
            (1_250, "eur", Some("price.currency")),
            (500, "ISK", None),
            (1_250, "ISK", Some("price.cents")),
            (1_250, "HUF", Some("price.cents")),
            (1_255, "KWD", Some("price.cents")),
            (100_000_000, "EUR", Some("price.cents")),
            (1, "JPY", None),
            (i64::MAX, "EUR", Some("price.cents")),
            (i64::MIN, "UGX", Some("price.cents")),
        ] {
            let mut draft = draft(&json!({}));
            draft.price = PriceDraft {
                cents,
                currency: currency.to_owned(),
            };
            let faults = draft.check(&sku(), &[tea()]).err().unwrap_or_default();
            let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, Vec::from_iter(field), "{cents} {currency}");
        }
    }

    #[test]
    fn attributes_are_not_checked_without_a_category() {
        let mut wrong = draft(&json!({ "colour": "red" }));
        wrong.category = "nowhere".to_owned();
        assert_eq!(faulty_fields(&wrong), ["category"]);
    }

    #[test]
    fn numbers_must_be_whole_and_among_the_values() {
        for wrong in [
            json!(75),
            json!(50.5),
            json!("50"),
            json!(null),
            json!([50]),
            json!(u64::MAX),
        ] {
            let draft = draft(&json!({ "grams": wrong }));
            assert_eq!(faulty_fields(&draft), ["attributes.grams"], "{wrong}");
        }
    }

    #[test]
    fn a_cell_is_read_by_the_type_of_its_attribute() {
        let tea = tea();
        let read = |name, text| tea.attribute(name).unwrap().read(text);
        assert_eq!(read("grams", "100"), json!(100));
        assert_eq!(read("grams", "1e2"), json!("1e2"));
        assert_eq!(read("organic", "TRUE"), json!(true));
        assert_eq!(read("organic", "1"), json!("1"));
        assert_eq!(read("origin", "100"), json!("100"));
    }

    proptest! {
        #[test]
        fn a_product_is_unchanged_after_it_becomes_a_draft_and_a_product_again(
            en in "\\PC{0,130}",
            cents: i64,
            attributes in prop::collection::btree_map(
                prop::sample::select(vec!["origin", "grams", "organic", "note", "colour"]),
                prop_oneof![
                    prop::sample::select(vec![json!("Japan"), json!(50), json!(true), json!(null)]),
                    any::<i64>().prop_map(Value::from),
                    "\\PC{0,12}".prop_map(Value::from),
                ],
                0..4,
            ),
        ) {
            let mut draft = draft(&json!(attributes));
            draft.title.en = en;
            draft.price.cents = cents;
            match draft.check(&sku(), &[tea()]) {
                Ok(product) => {
                    let again = ProductDraft::from(&product).check(&sku(), &[tea()]);
                    prop_assert_eq!(again, Ok(product));
                }
                Err(faults) => prop_assert!(!faults.is_empty()),
            }
        }
    }
}
