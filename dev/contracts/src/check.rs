//! Checks requests, answers and events against a contract.

use serde_json::Value;
use thiserror::Error;

use crate::{
    form::nested,
    table::{Body, Contract, Schema, Type, captures},
};

/// A request as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path, percent-decoded.
    pub path: &'a str,
    /// The query, percent-encoded.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// A value that the specification does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {kind}")]
pub struct Deviation {
    /// Its place, such as `body.shipment.packages[0].weight`.
    pub at: String,
    /// What is wrong with it.
    pub kind: DeviationKind,
}

/// What can be wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum DeviationKind {
    #[error("is not a known operation")]
    UnknownOperation,
    #[error("is not a known event")]
    UnknownEvent,
    #[error("is not valid JSON")]
    InvalidJson,
    #[error("is missing")]
    Missing,
    #[error("is unknown")]
    Unknown,
    #[error("is null")]
    Null,
    #[error("is not of type {0}")]
    NotOfType(Type),
    #[error("is not one of {}", .0.join(", "))]
    NotOneOf(Vec<String>),
    #[error("is longer than {0}")]
    TooLong(usize),
    #[error("is shorter than {0}")]
    TooShort(usize),
    #[error("is too small")]
    TooSmall,
    #[error("has more than {0} members")]
    TooMany(usize),
    #[error("has a name longer than {0}")]
    NameTooLong(usize),
}

/// The encoding of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Json,
    /// Every value is a string.
    Form,
}

impl Contract {
    /// The deviations of a request.
    pub fn check_request(&self, request: Request<'_>) -> Vec<Deviation> {
        let Request {
            method,
            path,
            query,
            body,
        } = request;
        let Some((name, operation)) = self.operation(method, path) else {
            return vec![deviation(path, DeviationKind::UnknownOperation)];
        };
        let mut found = Vec::new();
        let template = name.split_once(' ').map_or(name, |(_, template)| template);
        let parameters: Value = captures(template, path)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        self.check(
            &operation.path,
            &parameters,
            Notation::Form,
            "path",
            &mut found,
        );
        self.check(
            &operation.query,
            &nested(query),
            Notation::Form,
            "query",
            &mut found,
        );
        match &operation.body {
            None if body.is_empty() => {}
            None => found.push(deviation("body", DeviationKind::Unknown)),
            Some(Body::Form(schema)) => {
                let form = nested(&String::from_utf8_lossy(body));
                self.check(schema, &form, Notation::Form, "body", &mut found);
            }
            Some(Body::Json(schema)) => match serde_json::from_slice(body) {
                Ok(json) => self.check(schema, &json, Notation::Json, "body", &mut found),
                Err(_) => found.push(deviation("body", DeviationKind::InvalidJson)),
            },
        }
        found
    }

    /// The deviations of an answer. `operation` is the name in the contract, such as
    /// `GET /v1/labels`.
    pub fn check_answer(&self, operation: &str, status: u16, answer: &Value) -> Vec<Deviation> {
        let Some(known) = self.operations.get(operation) else {
            return vec![deviation(operation, DeviationKind::UnknownOperation)];
        };
        let is_success = (200..300).contains(&status);
        let schema = if is_success {
            &known.answer
        } else {
            &known.error
        };
        let mut found = Vec::new();
        self.check(schema, answer, Notation::Json, "answer", &mut found);
        found
    }

    /// The deviations of the body of a webhook event.
    pub fn check_event(&self, event: &Value) -> Vec<Deviation> {
        let kind = event[&self.events.type_field].as_str().unwrap_or_default();
        let Some(schema) = self.event(kind) else {
            return vec![deviation(kind, DeviationKind::UnknownEvent)];
        };
        let mut found = Vec::new();
        self.check(&schema, event, Notation::Json, "event", &mut found);
        found
    }

    fn check(
        &self,
        schema: &Schema,
        value: &Value,
        notation: Notation,
        at: &str,
        found: &mut Vec<Deviation>,
    ) {
        let schema = self.resolve(schema);
        if value.is_null() && schema.nullable {
            return;
        }
        if !schema.any_of.is_empty() {
            return self.check_alternatives(&schema, value, notation, at, found);
        }
        match value {
            Value::Array(members) if schema.kind == Some(Type::Array) => {
                let items = schema.items.as_deref().cloned().unwrap_or_default();
                for (index, member) in members.iter().enumerate() {
                    self.check(&items, member, notation, &format!("{at}[{index}]"), found);
                }
            }
            Value::Object(_) if schema.kind == Some(Type::Object) => {
                self.check_members(&schema, value, notation, at, found);
            }
            _ => {
                if let Some(problem) = problem_of(&schema, value, notation) {
                    found.push(deviation(at, problem));
                }
            }
        }
    }

    /// The value has to match one alternative. If it matches none, reports the deviations from the
    /// nearest one.
    fn check_alternatives(
        &self,
        schema: &Schema,
        value: &Value,
        notation: Notation,
        at: &str,
        found: &mut Vec<Deviation>,
    ) {
        let problems = schema.any_of.iter().map(|alternative| {
            let mut problems = Vec::new();
            self.check(alternative, value, notation, at, &mut problems);
            problems
        });
        // An alternative that only some member deviates from is nearer than one of another type.
        let nearest = problems.min_by_key(|problems| {
            let is_of_other_type = problems.iter().any(|problem| problem.at == at);
            (!problems.is_empty(), is_of_other_type, problems.len())
        });
        found.extend(nearest.unwrap_or_default());
    }

    fn check_members(
        &self,
        schema: &Schema,
        value: &Value,
        notation: Notation,
        at: &str,
        found: &mut Vec<Deviation>,
    ) {
        let Some(members) = value.as_object() else {
            return;
        };
        for name in &schema.required {
            if !members.contains_key(name) {
                found.push(deviation(&format!("{at}.{name}"), DeviationKind::Missing));
            }
        }
        let additional = schema.additional_properties.as_deref();
        for (name, member) in members {
            let at = format!("{at}.{name}");
            match (schema.properties.get(name), additional) {
                (Some(known), _) | (None, Some(known)) => {
                    self.check(known, member, notation, &at, found);
                }
                (None, None) => found.push(deviation(&at, DeviationKind::Unknown)),
            }
        }
        if let Some(most) = schema.max_properties.filter(|&most| members.len() > most) {
            found.push(deviation(at, DeviationKind::TooMany(most)));
        }
        let Some(most) = schema.max_name_length else {
            return;
        };
        for name in members.keys().filter(|name| name.chars().count() > most) {
            found.push(deviation(
                &format!("{at}.{name}"),
                DeviationKind::NameTooLong(most),
            ));
        }
    }
}

/// The problem of a scalar value, or of an object or a list where a scalar is expected.
fn problem_of(schema: &Schema, value: &Value, notation: Notation) -> Option<DeviationKind> {
    let kind = schema.kind?;
    if value.is_null() {
        return Some(DeviationKind::Null);
    }
    if !has_type(kind, value, notation) {
        return Some(DeviationKind::NotOfType(kind));
    }
    if kind == Type::String {
        return problem_of_text(schema, value.as_str()?);
    }
    let text = value.as_str().and_then(|text| text.parse().ok());
    let number = value.as_f64().or(text)?;
    schema
        .minimum
        .is_some_and(|least| number < least)
        .then_some(DeviationKind::TooSmall)
}

fn has_type(kind: Type, value: &Value, notation: Notation) -> bool {
    match (kind, value, notation) {
        (Type::String, Value::String(_), _)
        | (Type::Boolean, Value::Bool(_), Notation::Json)
        | (Type::Number, Value::Number(_), Notation::Json) => true,
        (Type::Integer, Value::Number(number), Notation::Json) => {
            number.is_i64() || number.is_u64()
        }
        (Type::Boolean, Value::String(text), Notation::Form) => {
            matches!(text.as_str(), "true" | "false")
        }
        (Type::Integer, Value::String(text), Notation::Form) => text.parse::<i64>().is_ok(),
        (Type::Number, Value::String(text), Notation::Form) => text.parse::<f64>().is_ok(),
        _ => false,
    }
}

fn problem_of_text(schema: &Schema, text: &str) -> Option<DeviationKind> {
    let length = text.chars().count();
    if !schema.values.is_empty() && !schema.values.iter().any(|known| known == text) {
        return Some(DeviationKind::NotOneOf(schema.values.clone()));
    }
    if let Some(most) = schema.max_length.filter(|&most| length > most) {
        return Some(DeviationKind::TooLong(most));
    }
    let least = schema.min_length.filter(|&least| length < least);
    least.map(DeviationKind::TooShort)
}

fn deviation(at: &str, kind: DeviationKind) -> Deviation {
    Deviation {
        at: at.to_owned(),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(method: &str, path: &str, query: &str, body: &str) -> Vec<String> {
        let contract = Contract::stripe().unwrap();
        let body = body.as_bytes();
        let request = Request {
            method,
            path,
            query,
            body,
        };
        let found = contract.check_request(request);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_member_of_a_request_is_checked() {
        let path = "/v1/payment_intents";
        let created = |more: &str| {
            let form = format!("amount=1299&currency=eur&{more}");
            found("POST", path, "", &form)
        };
        assert!(created("confirm=true&metadata[order_id]=7&expand[]=latest_charge").is_empty());
        let long = "x".repeat(501);
        for (more, expected) in [
            (
                "confirm=yes".to_owned(),
                "body.confirm: is not of type boolean",
            ),
            ("colour=red".to_owned(), "body.colour: is unknown"),
            (
                "capture_method=later".to_owned(),
                "body.capture_method: is not one of automatic, automatic_async, manual",
            ),
            (
                format!("metadata[a]={long}"),
                "body.metadata.a: is longer than 500",
            ),
        ] {
            assert_eq!(created(&more), [expected]);
        }
        let many: Vec<String> = (0..51).map(|n| format!("metadata[{n}x]=1")).collect();
        assert_eq!(
            created(&many.join("&")),
            ["body.metadata: has more than 50 members"]
        );
        let missing = found("POST", path, "", "amount=x");
        assert_eq!(
            missing,
            [
                "body.currency: is missing",
                "body.amount: is not of type integer"
            ]
        );
        let limit = found("GET", path, "limit=many&created[gte]=now", "");
        assert_eq!(
            limit,
            [
                "query.created.gte: is not of type integer",
                "query.limit: is not of type integer"
            ]
        );
        assert_eq!(
            found("PUT", path, "", ""),
            ["/v1/payment_intents: is not a known operation"]
        );
    }

    #[test]
    fn a_fixed_path_goes_before_a_parameter() {
        let contract = Contract::stripe().unwrap();
        let named = |path| contract.operation("GET", path).map(|(name, _)| name);
        let search = "/v1/payment_intents/search";
        assert_eq!(named(search), Some("GET /v1/payment_intents/search"));
        assert_eq!(
            named("/v1/payment_intents/pi_1"),
            Some("GET /v1/payment_intents/{intent}")
        );
        assert_eq!(named("/v1/payment_intents/"), None);
    }

    #[test]
    fn generated_examples_conform() {
        for contract in [Contract::stripe().unwrap(), Contract::shipengine().unwrap()] {
            for (name, operation) in &contract.operations {
                for answer in [
                    contract.minimal(&operation.answer),
                    contract.full(&operation.answer),
                ] {
                    let found = contract.check_answer(name, 200, &answer);
                    assert_eq!(found, [], "{name}: {answer}");
                }
            }
            for kind in contract.events.objects.keys() {
                let schema = contract.event(kind).unwrap();
                for event in [contract.minimal(&schema), contract.full(&schema)] {
                    assert_eq!(contract.check_event(&event), [], "{kind}: {event}");
                }
            }
        }
        let contract = Contract::stripe().unwrap();
        let found = contract.check_answer("POST /v1/refunds", 402, &json!({ "error": {} }));
        assert_eq!(found[0].to_string(), "answer.error.type: is missing");
    }

    #[test]
    fn an_event_is_checked_with_the_object_of_its_type() {
        let contract = Contract::stripe().unwrap();
        let schema = contract.event("charge.dispute.created").unwrap();
        let mut event = contract.full(&schema);
        event["data"]["object"]["status"] = "in_arbitration".into();
        event["colour"] = "red".into();
        let found = contract.check_event(&event);
        let found: Vec<String> = found.iter().map(|it| it.at.clone()).collect();
        assert_eq!(found, ["event.colour", "event.data.object.status"]);
        event["type"] = "charge.repainted".into();
        let found = contract.check_event(&event);
        assert_eq!(
            found[0].to_string(),
            "charge.repainted: is not a known event"
        );
    }
}
