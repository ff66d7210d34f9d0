//! The types of a contract: a subset of OpenAPI, without descriptions.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

const STRIPE: &str = include_str!("../../../crates/providers/contract/stripe.json");
const SHIPENGINE: &str = include_str!("../../../crates/providers/contract/shipengine.json");

/// The contract of a provider's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The document that it was extracted from: repository, path and commit.
    pub source: String,
    /// The version of that document.
    pub version: String,
    /// By method and path, such as `GET /v1/labels/{label_id}`.
    pub operations: BTreeMap<String, Operation>,
    /// The webhook events.
    pub events: Events,
    /// The objects that other schemas refer to, by name.
    pub schemas: BTreeMap<String, Schema>,
}

/// One operation of an API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The path parameters.
    pub path: Schema,
    /// The query parameters.
    pub query: Schema,
    /// The request body, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// The answer of success.
    pub answer: Schema,
    /// The answer of failure.
    pub error: Schema,
}

/// The webhook events of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The schema that all bodies have in common.
    pub envelope: Schema,
    /// The field of the body that holds the event's type.
    pub type_field: String,
    /// The path to the event's object in the body, such as `data` and `object`.
    pub object_path: Vec<String>,
    /// The schema of the object, by the event's type.
    pub objects: BTreeMap<String, Schema>,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Form-encoded, with nested names in brackets.
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
    /// `true` or `false`.
    Boolean,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// An object.
    Object,
    /// A string.
    String,
}

/// The schema of a value, with keywords of OpenAPI 3.0.
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
    /// The schema of other properties, if they are allowed; empty if they can be anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<Schema>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_properties: Option<usize>,
    /// The maximum length of a property's name. Not a keyword of OpenAPI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_name_length: Option<usize>,
}

impl Contract {
    /// The contract of Stripe.
    pub fn stripe() -> serde_json::Result<Self> {
        serde_json::from_str(STRIPE)
    }

    /// The contract of ShipEngine.
    pub fn shipengine() -> serde_json::Result<Self> {
        serde_json::from_str(SHIPENGINE)
    }

    /// The operation of a call, with its name in the contract.
    pub fn operation(&self, method: &str, path: &str) -> Option<(&str, &Operation)> {
        let matching = self.operations.iter().filter(|(name, _)| {
            let template = name
                .strip_prefix(method)
                .and_then(|it| it.strip_prefix(' '));
            template.is_some_and(|template| captures(template, path).is_some())
        });
        // A fixed path goes before one with a parameter.
        let (name, operation) = matching.min_by_key(|(name, _)| name.matches('{').count())?;
        Some((name, operation))
    }

    /// The schema of the whole body of an event of this type.
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

    /// The schema that `schema` refers to, with the required fields and the null that `schema`
    /// adds.
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

/// The names and values of the path parameters, if `path` matches `template`.
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
