//! The table itself: a part of OpenAPI's own vocabulary, without its prose.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

const STRIPE: &str = include_str!("../../../crates/providers/contract/stripe.json");
const SHIPENGINE: &str = include_str!("../../../crates/providers/contract/shipengine.json");

/// What one provider publishes of its API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The document that it was extracted from: repository, path and commit.
    pub source: String,
    /// The document's own version.
    pub version: String,
    /// By method and path, such as `GET /v1/labels/{label_id}`.
    pub operations: BTreeMap<String, Operation>,
    /// What the provider sends to webhooks.
    pub events: Events,
    /// The objects that several operations have in common, by name.
    pub schemas: BTreeMap<String, Schema>,
}

/// One operation of an API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The parameters in its path.
    pub path: Schema,
    /// The parameters in its query.
    pub query: Schema,
    /// Its body, if it takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Its answer when it succeeds.
    pub answer: Schema,
    /// Its answer when it fails.
    pub error: Schema,
}

/// What a provider sends to webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// What all bodies have in common.
    pub envelope: Schema,
    /// The field of the body that holds the event's type.
    pub type_field: String,
    /// The fields that lead to the object that the event is about, such as `data` and `object`.
    pub object_path: Vec<String>,
    /// The object, by the event's type.
    pub objects: BTreeMap<String, Schema>,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Form-encoded, nested by brackets.
    Form(Schema),
    /// As JSON.
    Json(Schema),
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Type {
    /// A list.
    Array,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// An object.
    Object,
    /// Text.
    String,
}

/// What a value has to be, by the keywords of OpenAPI 3.0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[expect(missing_docs, reason = "each field is the keyword of its name")]
pub struct Schema {
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Type>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Schema>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Schema>,
    /// Of properties that are not named, if there can be some; empty where anything goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<Schema>>,
    /// The most of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_properties: Option<usize>,
    /// The longest of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_name_length: Option<usize>,
}

impl Contract {
    /// Stripe's.
    pub fn stripe() -> serde_json::Result<Self> {
        serde_json::from_str(STRIPE)
    }

    /// ShipEngine's.
    pub fn shipengine() -> serde_json::Result<Self> {
        serde_json::from_str(SHIPENGINE)
    }

    /// The operation that a call is for, by its name in the table.
    pub fn operation(&self, method: &str, path: &str) -> Option<(&str, &Operation)> {
        let fitting = self.operations.iter().filter(|(name, _)| {
            let template = name
                .strip_prefix(method)
                .and_then(|it| it.strip_prefix(' '));
            template.is_some_and(|template| captures(template, path).is_some())
        });
        // Where a name and a parameter both fit, the name is meant.
        let (name, operation) = fitting.min_by_key(|(name, _)| name.matches('{').count())?;
        Some((name, operation))
    }

    /// The schema of the whole body of an event, by its type.
    pub fn event(&self, kind: &str) -> Option<Schema> {
        let Events {
            envelope,
            type_field,
            object_path,
            objects,
        } = &self.events;
        let mut body = envelope.clone();
        body.properties.get_mut(type_field)?.values = vec![kind.to_owned()];
        let mut place = &mut body;
        for field in object_path {
            place = place.properties.get_mut(field)?;
        }
        objects.get(kind)?.clone_into(place);
        Some(body)
    }

    /// The schema that `schema` stands for. What it requires and allows itself adds to that.
    pub(crate) fn resolve<'a>(&'a self, schema: &'a Schema) -> Cow<'a, Schema> {
        let named = schema.reference.as_ref();
        let Some(known) = named.and_then(|name| self.schemas.get(name)) else {
            return Cow::Borrowed(schema);
        };
        if schema.required.is_empty() && !schema.nullable {
            return Cow::Borrowed(known);
        }
        let mut known = known.clone();
        known.required.extend(schema.required.iter().cloned());
        known.nullable |= schema.nullable;
        Cow::Owned(known)
    }
}

/// The parameters of `path` by their names in `template`, if it fits.
pub(crate) fn captures<'a>(template: &'a str, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut names, mut values) = (template.split('/'), path.split('/'));
    let mut captured = Vec::new();
    loop {
        match (names.next(), values.next()) {
            (None, None) => return Some(captured),
            (Some(name), Some(value)) => {
                let parameter = name
                    .strip_prefix('{')
                    .and_then(|name| name.strip_suffix('}'));
                match parameter {
                    Some(parameter) if !value.is_empty() => captured.push((parameter, value)),
                    None if name == value => {}
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}
