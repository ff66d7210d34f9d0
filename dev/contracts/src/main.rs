//! Extracts the contract of a provider from its published `OpenAPI` document.
//!
//! The selections in this file name the operations and the objects that are extracted. Another
//! object is inlined if it contains only scalars and lists of them; else its content is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, anyhow};
use clap::{Parser, ValueEnum};
use contracts::{Body, Contract, Events, Operation, Schema};
use serde_json::{Map, Value};

#[derive(Debug, Parser)]
#[command(about = "Extracts crates/providers/contract/PROVIDER.json from a published document.")]
struct Arguments {
    provider: Provider,
    /// The document, as JSON.
    document: PathBuf,
    /// The document's source: repository, path and commit.
    #[arg(long)]
    source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Provider {
    Stripe,
    Shipengine,
}

/// The folder of the tables.
const TABLES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/providers/contract"
);

impl Provider {
    const fn table(self) -> &'static str {
        match self {
            Self::Stripe => "stripe.json",
            Self::Shipengine => "shipengine.json",
        }
    }
}

/// The parts of a document to extract.
struct Selection {
    operations: &'static [&'static str],
    objects: &'static [&'static str],
    /// The properties to extract of large objects.
    parts: &'static [(&'static str, &'static [&'static str])],
    /// Properties that our calls always receive, although the document does not require them.
    always: &'static [(&'static str, &'static [&'static str])],
    /// The references that our calls expand. All others are ids.
    expanded: &'static [&'static str],
    /// Enum values that the document only lists in descriptions: object, property and values.
    in_prose: &'static [(&'static str, &'static str, &'static [&'static str])],
    events: EventSelection,
}

/// The events to extract.
struct EventSelection {
    /// The object with the fields of every event.
    envelope: &'static str,
    type_field: &'static str,
    object_path: &'static [&'static str],
    /// The types of events, each with its object.
    objects: &'static [(&'static str, &'static str)],
    /// Components, as JSON, for objects that are documented only in prose.
    components: &'static str,
    /// Objects whose optional fields can also be null.
    nullable: &'static [&'static str],
}

const STRIPE: Selection = Selection {
    operations: &[
        "GET /v1/balance",
        "GET /v1/disputes",
        "GET /v1/disputes/{dispute}",
        "GET /v1/payment_intents",
        "GET /v1/payment_intents/search",
        "GET /v1/payment_intents/{intent}",
        "GET /v1/refunds",
        "GET /v1/refunds/{refund}",
        "POST /v1/payment_intents",
        "POST /v1/payment_intents/{intent}/cancel",
        "POST /v1/payment_intents/{intent}/capture",
        "POST /v1/payment_intents/{intent}/confirm",
        "POST /v1/refunds",
    ],
    objects: &[
        "api_errors",
        "balance_transaction",
        "charge",
        "dispute",
        "dispute_evidence",
        "dispute_evidence_details",
        "payment_intent",
        "payment_method_details",
        "payment_method_details_card",
        "refund",
    ],
    parts: &[("payment_method_details", &["card", "type"])],
    // Only a publishable key receives fewer properties.
    always: &[(
        "payment_intent",
        &["amount_capturable", "amount_received", "metadata"],
    )],
    expanded: &["latest_charge", "payment_intent"],
    in_prose: &[
        // https://docs.stripe.com/api/disputes/object#dispute_object-reason
        (
            "dispute",
            "reason",
            &[
                "bank_cannot_process",
                "check_returned",
                "credit_not_processed",
                "customer_initiated",
                "debit_not_authorized",
                "duplicate",
                "fraudulent",
                "general",
                "incorrect_account_details",
                "insufficient_funds",
                "noncompliant",
                "product_not_received",
                "product_unacceptable",
                "subscription_canceled",
                "unrecognized",
            ],
        ),
        // https://docs.stripe.com/api/refunds/object#refund_object-status
        (
            "refund",
            "status",
            &[
                "canceled",
                "failed",
                "pending",
                "requires_action",
                "succeeded",
            ],
        ),
    ],
    // https://docs.stripe.com/api/events/types
    events: EventSelection {
        envelope: "event",
        type_field: "type",
        object_path: &["data", "object"],
        objects: &[
            ("charge.dispute.closed", "dispute"),
            ("charge.dispute.created", "dispute"),
            ("charge.dispute.funds_reinstated", "dispute"),
            ("charge.dispute.funds_withdrawn", "dispute"),
            ("charge.dispute.updated", "dispute"),
            ("charge.refund.updated", "refund"),
            ("charge.refunded", "charge"),
            ("payment_intent.amount_capturable_updated", "payment_intent"),
            ("payment_intent.canceled", "payment_intent"),
            ("payment_intent.created", "payment_intent"),
            ("payment_intent.partially_funded", "payment_intent"),
            ("payment_intent.payment_failed", "payment_intent"),
            ("payment_intent.processing", "payment_intent"),
            ("payment_intent.requires_action", "payment_intent"),
            ("payment_intent.succeeded", "payment_intent"),
            ("refund.created", "refund"),
            ("refund.failed", "refund"),
            ("refund.updated", "refund"),
        ],
        components: "{}",
        nullable: &[],
    },
};

const SHIPENGINE: Selection = Selection {
    operations: &[
        "GET /v1/carriers",
        "GET /v1/labels",
        "GET /v1/labels/{label_id}",
        "GET /v1/labels/{label_id}/track",
        "GET /v1/shipments/external_shipment_id/{external_shipment_id}",
        "POST /v1/labels",
        "POST /v1/labels/shipment/{shipment_id}",
        "PUT /v1/labels/{label_id}/void",
    ],
    objects: &[
        "carrier",
        "error",
        "label",
        "package",
        "pagination_link",
        "shipment",
        "shipment_request",
        "shipping_address",
        "shipping_address_from",
        "shipping_address_to",
        "tracking_event",
        "tracking_information",
    ],
    parts: &[],
    // The document requires these only of a label that is bought for a shipment.
    always: &[("label", &["label_id", "shipment_id"])],
    expanded: &[],
    in_prose: &[],
    // https://www.shipengine.com/docs/reference/webhooks-schemas/
    events: EventSelection {
        envelope: "webhook_body",
        type_field: "resource_type",
        object_path: &["data"],
        objects: &[("API_TRACK", "tracking_event")],
        components: include_str!("shipengine-events.json"),
        nullable: &["tracking_event"],
    },
};

/// Stripe's limits of metadata, documented only in prose: <https://docs.stripe.com/api/metadata>.
const METADATA_KEYS: usize = 50;
const METADATA_KEY_LENGTH: usize = 40;
const METADATA_VALUE_LENGTH: usize = 500;

fn main() -> anyhow::Result<()> {
    let Arguments {
        provider,
        document,
        source,
    } = Arguments::parse();
    let text =
        fs::read(&document).with_context(|| format!("cannot read {}", document.display()))?;
    let mut document: Value =
        serde_json::from_slice(&text).context("the document is not valid JSON")?;
    let selection = match provider {
        Provider::Stripe => &STRIPE,
        Provider::Shipengine => &SHIPENGINE,
    };
    let components: Map<String, Value> = serde_json::from_str(selection.events.components)?;
    let known = document["components"]["schemas"].as_object_mut();
    let known = known.context("the document has no components")?;
    known.extend(components);
    let contract = Extraction {
        document,
        selection,
    }
    .contract(source)?;
    let table = format!("{TABLES}/{}", provider.table());
    let text = serde_json::to_string_pretty(&contract)?;
    fs::write(&table, text + "\n").with_context(|| format!("cannot write {table}"))
}

struct Extraction {
    document: Value,
    selection: &'static Selection,
}

impl Extraction {
    fn contract(&self, source: String) -> anyhow::Result<Contract> {
        let version = self.document["info"]["version"].as_str();
        let operations = self.selection.operations.iter().map(|name| {
            let operation = self.operation(name);
            Ok((
                (*name).to_owned(),
                operation.with_context(|| (*name).to_owned())?,
            ))
        });
        let mut contract = Contract {
            source,
            version: version.context("the document has no version")?.to_owned(),
            operations: operations.collect::<anyhow::Result<_>>()?,
            events: self.events()?,
            schemas: BTreeMap::new(),
        };
        for name in self.selection.objects {
            let object = self.component(name)?;
            contract
                .schemas
                .insert((*name).to_owned(), self.whole(&object)?);
        }
        self.adjust(&mut contract.schemas)?;
        Ok(contract)
    }

    /// Applies the parts of the selection about single properties.
    fn adjust(&self, schemas: &mut BTreeMap<String, Schema>) -> anyhow::Result<()> {
        let Selection {
            parts,
            always,
            in_prose,
            events,
            ..
        } = self.selection;
        for (object, kept) in *parts {
            let object = schemas
                .get_mut(*object)
                .context("`parts` names an object that is not selected")?;
            object
                .properties
                .retain(|name, _| kept.contains(&name.as_str()));
            object.additional_properties = Some(Box::default());
        }
        for (object, names) in *always {
            let object = schemas
                .get_mut(*object)
                .context("`always` names an object that is not selected")?;
            object
                .required
                .extend(names.iter().map(|&name| name.to_owned()));
            object.required.sort_unstable();
            object.required.dedup();
        }
        for (object, property, values) in *in_prose {
            let object = schemas.get_mut(*object);
            let property = object.and_then(|object| object.properties.get_mut(*property));
            let property =
                property.context("`in_prose` names a property that is not in the document")?;
            property.values = values.iter().map(|&value| value.to_owned()).collect();
        }
        for object in events.nullable {
            let object = schemas.get_mut(*object);
            allow_null(object.context("`nullable` names an object that is not selected")?);
        }
        Ok(())
    }

    fn events(&self) -> anyhow::Result<Events> {
        let EventSelection {
            envelope,
            type_field,
            object_path,
            objects,
            ..
        } = &self.selection.events;
        let objects = objects.iter().map(|(kind, object)| {
            let object = Schema {
                reference: Some((*object).to_owned()),
                ..Schema::default()
            };
            ((*kind).to_owned(), object)
        });
        Ok(Events {
            envelope: self.envelope(&self.component(envelope)?, object_path)?,
            type_field: (*type_field).to_owned(),
            object_path: object_path.iter().map(|&field| field.to_owned()).collect(),
            objects: objects.collect(),
        })
    }

    /// The envelope, with the objects on the path to the event's object written out.
    fn envelope(&self, merged: &Value, path: &[&str]) -> anyhow::Result<Schema> {
        let mut schema = self.whole(merged)?;
        if let [field, rest @ ..] = path
            && !rest.is_empty()
        {
            let inner = self.merged(&merged["properties"][*field])?;
            let inner = self.envelope(&inner, rest)?;
            schema.properties.insert((*field).to_owned(), inner);
        }
        Ok(schema)
    }

    fn operation(&self, name: &str) -> anyhow::Result<Operation> {
        let (method, path) = name.split_once(' ').context("is not a method and a path")?;
        let item = &self.document["paths"][path];
        let operation = &item[method.to_lowercase()];
        operation.as_object().context("is not in the document")?;
        let parameters: Vec<&Value> = [item, operation]
            .into_iter()
            .filter_map(|it| it["parameters"].as_array())
            .flatten()
            .collect();
        let responses = &operation["responses"];
        let failed = [&responses["default"], &responses["400"]];
        let failed = failed.into_iter().find(|response| !response.is_null());
        Ok(Operation {
            path: self.parameters(&parameters, "path")?,
            query: self.parameters(&parameters, "query")?,
            body: self.body(&operation["requestBody"])?,
            answer: self.response(&responses["200"])?,
            error: self.response(failed.context("has no documented error")?)?,
        })
    }

    fn parameters(&self, parameters: &[&Value], place: &str) -> anyhow::Result<Schema> {
        let mut schema = Schema {
            kind: Some(contracts::Type::Object),
            ..Schema::default()
        };
        for parameter in parameters.iter().filter(|it| it["in"] == place) {
            let name = parameter["name"]
                .as_str()
                .context("a parameter has no name")?;
            if parameter["required"] == true {
                schema.required.push(name.to_owned());
            }
            let known = self.plain(name, &parameter["schema"])?;
            schema.properties.insert(name.to_owned(), known);
        }
        Ok(schema)
    }

    fn body(&self, body: &Value) -> anyhow::Result<Option<Body>> {
        let content = &body["content"];
        let form = &content["application/x-www-form-urlencoded"]["schema"];
        let json = &content["application/json"]["schema"];
        let whole = |schema: &Value| self.whole(&self.merged(schema)?);
        // Stripe documents an empty form for calls without a body.
        let is_empty = form["properties"].as_object().is_some_and(Map::is_empty);
        Ok(if form.is_object() && !is_empty {
            Some(Body::Form(whole(form)?))
        } else if json.is_object() {
            Some(Body::Json(whole(json)?))
        } else {
            None
        })
    }

    fn response(&self, response: &Value) -> anyhow::Result<Schema> {
        let response = self.target(response)?;
        let schema = &response["content"]["application/json"]["schema"];
        schema
            .as_object()
            .context("has an answer without a schema")?;
        if let Some(named) = self.selected(schema) {
            return Ok(named);
        }
        self.whole(&self.merged(schema)?)
    }

    /// An object with all of its properties.
    fn whole(&self, merged: &Value) -> anyhow::Result<Schema> {
        let mut schema = keywords(merged)?;
        for (name, property) in merged["properties"].as_object().into_iter().flatten() {
            let known = self.plain(name, property).with_context(|| name.clone())?;
            schema.properties.insert(name.clone(), known);
        }
        let known: BTreeSet<&String> = schema.properties.keys().collect();
        schema.required.retain(|name| known.contains(name));
        if schema.kind == Some(contracts::Type::Object) && schema.properties.is_empty() {
            schema.additional_properties = Some(Box::default());
        }
        Ok(schema)
    }

    /// The schema of a property: a reference if its object is selected, else its own keywords. The
    /// properties of other objects are included only if all of them are plain.
    fn plain(&self, name: &str, raw: &Value) -> anyhow::Result<Schema> {
        if let Some(named) = self.selected(raw) {
            return Ok(named);
        }
        let merged = self.merged(raw)?;
        if let Some(alternatives) = alternatives(&merged) {
            return self.one_of(name, &merged, alternatives);
        }
        let mut schema = keywords(&merged)?;
        if schema.kind == Some(contracts::Type::Array) {
            schema.items = Some(Box::new(self.plain(name, &merged["items"])?));
        }
        if schema.kind == Some(contracts::Type::Object) {
            let properties = merged["properties"].as_object();
            let has_plain_properties = properties.is_some_and(|properties| {
                !properties.is_empty() && properties.values().all(|it| self.is_plain(it))
            });
            if has_plain_properties {
                return self.whole(&merged);
            }
            let additional = &merged["additionalProperties"];
            let additional = if additional.is_object() && self.is_plain(additional) {
                self.plain(name, additional)?
            } else {
                Schema::default()
            };
            schema.required.clear();
            schema.additional_properties = Some(Box::new(additional));
            if name == "metadata" {
                limit_metadata(&mut schema);
            }
        }
        Ok(schema)
    }

    fn one_of(&self, name: &str, merged: &Value, all: &[Value]) -> anyhow::Result<Schema> {
        let is_id = |it: &&Value| it["type"] == "string";
        let is_reference = !merged["x-expansionResources"].is_null();
        let selected: Vec<&Value> = if is_reference && !self.selection.expanded.contains(&name) {
            all.iter().filter(is_id).collect()
        } else {
            all.iter().collect()
        };
        let schemas = selected.into_iter().map(|it| self.plain(name, it));
        let mut schemas = schemas.collect::<anyhow::Result<Vec<_>>>()?;
        let nullable = merged["nullable"] == true;
        if schemas.len() == 1 {
            let mut only = schemas.remove(0);
            only.nullable |= nullable;
            return Ok(only);
        }
        Ok(Schema {
            nullable,
            any_of: schemas,
            ..Schema::default()
        })
    }

    /// Whether a value is a scalar or a list of scalars.
    fn is_plain(&self, raw: &Value) -> bool {
        let Ok(merged) = self.merged(raw) else {
            return false;
        };
        match merged["type"].as_str() {
            Some("array") => self.is_plain(&merged["items"]),
            Some("object") | None => false,
            Some(_) => true,
        }
    }

    /// A reference to the selected object that a schema refers to, with the schema's own `required`
    /// and `nullable`.
    fn selected(&self, raw: &Value) -> Option<Schema> {
        let parts = raw["allOf"].as_array();
        let only = parts.filter(|parts| parts.len() == 1 && raw["properties"].is_null());
        let referring = only.map_or(raw, |parts| &parts[0]);
        let reference = referring["$ref"].as_str();
        let name = match reference.and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => name,
            // A copy of a component has its title.
            None => raw["title"].as_str()?,
        };
        let mut schema = if self.selection.objects.contains(&name) {
            Schema {
                reference: Some(name.to_owned()),
                ..Schema::default()
            }
        } else {
            // An alias of a selected object.
            self.selected(reference.and_then(|_| self.target(referring).ok())?)?
        };
        schema.required.extend(names(raw, "required"));
        schema.nullable |= raw["nullable"] == true;
        Some(schema)
    }

    fn component(&self, name: &str) -> anyhow::Result<Value> {
        let component = &self.document["components"]["schemas"][name];
        component
            .as_object()
            .with_context(|| format!("{name} is not in the document"))?;
        self.merged(component)
    }

    /// The target of a reference, or the value itself.
    fn target<'a>(&'a self, raw: &'a Value) -> anyhow::Result<&'a Value> {
        let Some(reference) = raw["$ref"].as_str() else {
            return Ok(raw);
        };
        let pointer = reference
            .strip_prefix('#')
            .context("a reference to another document")?;
        let target = self.document.pointer(pointer);
        self.target(target.ok_or_else(|| anyhow!("{reference} is not in the document"))?)
    }

    /// A schema with its reference resolved and its `allOf` parts merged.
    fn merged(&self, raw: &Value) -> anyhow::Result<Value> {
        let own = self.target(raw)?;
        let mut merged = Map::new();
        for part in own["allOf"].as_array().into_iter().flatten() {
            merge(&mut merged, &self.merged(part)?);
        }
        merge(&mut merged, own);
        merged.remove("allOf");
        if raw["nullable"] == true {
            merged.insert("nullable".to_owned(), true.into());
        }
        Ok(Value::Object(merged))
    }
}

fn merge(into: &mut Map<String, Value>, part: &Value) {
    for (keyword, value) in part.as_object().into_iter().flatten() {
        match (into.get_mut(keyword), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            (Some(Value::Array(known)), Value::Array(more)) if keyword == "required" => {
                known.extend(more.iter().cloned());
            }
            _ => {
                into.insert(keyword.clone(), value.clone());
            }
        }
    }
}

fn alternatives(merged: &Value) -> Option<&Vec<Value>> {
    ["anyOf", "oneOf"]
        .iter()
        .find_map(|keyword| merged[*keyword].as_array())
}

/// The schema's keywords, except for those with nested schemas.
fn keywords(merged: &Value) -> anyhow::Result<Schema> {
    const KNOWN: &[&str] = &[
        "type",
        "format",
        "nullable",
        "minLength",
        "maxLength",
        "minimum",
    ];
    let known = KNOWN.iter().filter_map(|keyword| {
        let value = merged.get(*keyword)?;
        Some(((*keyword).to_owned(), value.clone()))
    });
    let mut schema: Schema = serde_json::from_value(known.collect())?;
    schema.values = names(merged, "enum");
    schema.required = names(merged, "required");
    Ok(schema)
}

/// The list of names in a keyword, sorted and without duplicates.
fn names(schema: &Value, keyword: &str) -> Vec<String> {
    let names = schema[keyword].as_array().into_iter().flatten();
    let names: BTreeSet<&str> = names.filter_map(Value::as_str).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Allows null for each field that is not required, also in nested objects.
fn allow_null(object: &mut Schema) {
    let Schema {
        properties,
        required,
        items,
        ..
    } = object;
    for (name, property) in properties {
        property.nullable |= !required.contains(name);
        allow_null(property);
    }
    if let Some(items) = items {
        allow_null(items);
    }
}

fn limit_metadata(schema: &mut Schema) {
    schema.max_properties = Some(METADATA_KEYS);
    schema.max_name_length = Some(METADATA_KEY_LENGTH);
    if let Some(value) = &mut schema.additional_properties {
        value.max_length = Some(METADATA_VALUE_LENGTH);
    }
}
