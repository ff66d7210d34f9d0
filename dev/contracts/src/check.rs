//! Requests and answers against the table.

use serde_json::Value;
use thiserror::Error;

use crate::{
    form::nested,
    table::{Body, Contract, Schema, Type, captures},
};

/// A request, as it went out.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, percent-decoded.
    pub path: &'a str,
    /// Its query, encoded.
    pub query: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// Where a value is not what the specification has it be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {kind}")]
pub struct Deviation {
    /// The place, such as `body.shipment.packages[0].weight`.
    pub at: String,
    /// What is wrong there.
    pub kind: DeviationKind,
}

/// What can be wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum DeviationKind {
    #[error("is no operation")]
    NoOperation,
    #[error("is no event")]
    NoEvent,
    #[error("is no JSON")]
    NoJson,
    #[error("is missing")]
    Missing,
    #[error("is unknown")]
    Unknown,
    #[error("is null")]
    Null,
    #[error("is no {0}")]
    No(Type),
    #[error("is none of {}", .0.join(", "))]
    NoneOf(Vec<String>),
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

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Json,
    /// Everything is text.
    Form,
}

impl Contract {
    /// What is wrong with a request.
    pub fn check_request(&self, request: Request<'_>) -> Vec<Deviation> {
        let Request {
            method,
            path,
            query,
            body,
        } = request;
        let Some((name, operation)) = self.operation(method, path) else {
            return vec![deviation(path, DeviationKind::NoOperation)];
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
                Err(_) => found.push(deviation("body", DeviationKind::NoJson)),
            },
        }
        found
    }

    /// What is wrong with the answer to the operation of that name.
    pub fn check_answer(&self, operation: &str, status: u16, answer: &Value) -> Vec<Deviation> {
        let Some(known) = self.operations.get(operation) else {
            return vec![deviation(operation, DeviationKind::NoOperation)];
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

    /// What is wrong with the body of an event.
    pub fn check_event(&self, event: &Value) -> Vec<Deviation> {
        let kind = event[&self.events.type_field].as_str().unwrap_or_default();
        let Some(schema) = self.event(kind) else {
            return vec![deviation(kind, DeviationKind::NoEvent)];
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

    /// It has to fit one of several; if it fits none, what keeps it from the nearest is told.
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
        // One that is deviant deep inside is nearer than one that is so as a whole.
        let nearest = problems.min_by_key(|problems| {
            let as_a_whole = problems.iter().any(|problem| problem.at == at);
            (!problems.is_empty(), as_a_whole, problems.len())
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

/// What is wrong with a value that is no object and no list, or should be none.
fn problem_of(schema: &Schema, value: &Value, notation: Notation) -> Option<DeviationKind> {
    let kind = schema.kind?;
    if value.is_null() {
        return Some(DeviationKind::Null);
    }
    if !is_of(kind, value, notation) {
        return Some(DeviationKind::No(kind));
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

fn is_of(kind: Type, value: &Value, notation: Notation) -> bool {
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
        return Some(DeviationKind::NoneOf(schema.values.clone()));
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
    fn a_request_is_checked_to_its_last_member() {
        let path = "/v1/payment_intents";
        let created = |more: &str| {
            let form = format!("amount=1299&currency=eur&{more}");
            found("POST", path, "", &form)
        };
        assert!(created("confirm=true&metadata[order_id]=7&expand[]=latest_charge").is_empty());
        let long = "x".repeat(501);
        for (more, expected) in [
            ("confirm=yes".to_owned(), "body.confirm: is no boolean"),
            ("colour=red".to_owned(), "body.colour: is unknown"),
            (
                "capture_method=later".to_owned(),
                "body.capture_method: is none of automatic, automatic_async, manual",
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
            ["body.currency: is missing", "body.amount: is no integer"]
        );
        let limit = found("GET", path, "limit=many&created[gte]=now", "");
        assert_eq!(
            limit,
            [
                "query.created.gte: is no integer",
                "query.limit: is no integer"
            ]
        );
        assert_eq!(
            found("PUT", path, "", ""),
            ["/v1/payment_intents: is no operation"]
        );
    }

    #[test]
    fn a_fixed_path_is_not_taken_for_a_parameter() {
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
    fn all_that_is_made_up_is_allowed() {
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
        assert_eq!(found[0].to_string(), "charge.repainted: is no event");
    }
}
