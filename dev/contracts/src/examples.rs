//! Example values that conform to a schema: minimal, full, and variants of the full value.

use serde_json::{Map, Value, json};

use crate::table::{Contract, Schema, Type};

/// An enum value that the specification does not know yet.
const UNKNOWN_VALUE: &str = "a_value_of_tomorrow";

/// How many levels of nested objects are filled in. Deeper ones are minimal.
const DEPTH: usize = 4;

impl Contract {
    /// The minimal value: only required fields, null where allowed.
    pub fn minimal(&self, schema: &Schema) -> Value {
        let schema = self.resolve(schema);
        if schema.nullable {
            return Value::Null;
        }
        if let Some(first) = schema.any_of.first() {
            return self.minimal(first);
        }
        match schema.kind {
            Some(Type::Object) => schema
                .required
                .iter()
                .filter_map(|name| Some((name.clone(), self.minimal(schema.properties.get(name)?))))
                .collect(),
            Some(Type::Array) => json!([]),
            _ => scalar(&schema),
        }
    }

    /// The full value: every field.
    pub fn full(&self, schema: &Schema) -> Value {
        self.filled(schema, DEPTH)
    }

    /// Copies of the full value with one change each, and a description of the change: each value
    /// of an enum and an unknown one, each null, each absent field, each alternative, each empty
    /// list.
    pub fn variants(&self, schema: &Schema) -> Vec<(String, Value)> {
        self.changed(schema, DEPTH)
    }

    fn filled(&self, schema: &Schema, depth: usize) -> Value {
        if depth == 0 {
            return self.minimal(schema);
        }
        let schema = self.resolve(schema);
        if let Some(first) = schema.any_of.first() {
            return self.filled(first, depth);
        }
        match schema.kind {
            Some(Type::Object) => {
                let properties = schema.properties.iter();
                let filled =
                    properties.map(|(name, it)| (name.clone(), self.filled(it, depth - 1)));
                let mut object: Map<String, Value> = filled.collect();
                if let Some(additional) = &schema.additional_properties {
                    object.insert("another".to_owned(), self.filled(additional, depth - 1));
                }
                Value::Object(object)
            }
            Some(Type::Array) => {
                let items = schema.items.as_deref();
                json!([items.map_or(Value::Null, |items| self.filled(items, depth))])
            }
            _ => scalar(&schema),
        }
    }

    fn changed(&self, schema: &Schema, depth: usize) -> Vec<(String, Value)> {
        let mut changed = Vec::new();
        if depth == 0 {
            return changed;
        }
        let schema = self.resolve(schema);
        if schema.nullable {
            changed.push((" = null".to_owned(), Value::Null));
        }
        for alternative in &schema.any_of {
            changed.push((
                " = another type".to_owned(),
                self.filled(alternative, depth),
            ));
            changed.extend(self.changed(alternative, depth));
        }
        if !schema.values.is_empty() {
            let known = schema.values.iter().map(String::as_str);
            let values = known.chain([UNKNOWN_VALUE]);
            changed.extend(values.map(|value| (format!(" = {value}"), value.into())));
        }
        match schema.kind {
            Some(Type::Object) => self.change_members(&schema, depth, &mut changed),
            Some(Type::Array) => {
                changed.push((" = []".to_owned(), json!([])));
                let items = schema.items.as_deref().into_iter();
                let of_items = items.flat_map(|items| self.changed(items, depth));
                changed
                    .extend(of_items.map(|(place, item)| (format!("[0]{place}"), json!([item]))));
            }
            _ => {}
        }
        changed
    }

    fn change_members(&self, schema: &Schema, depth: usize, changed: &mut Vec<(String, Value)>) {
        let Value::Object(full) = self.filled(schema, depth) else {
            return;
        };
        for (name, property) in &schema.properties {
            if !schema.required.contains(name) {
                let mut without = full.clone();
                without.remove(name);
                changed.push((format!(".{name} absent"), Value::Object(without)));
            }
            for (place, value) in self.changed(property, depth - 1) {
                let mut with = full.clone();
                with.insert(name.clone(), value);
                changed.push((format!(".{name}{place}"), Value::Object(with)));
            }
        }
    }
}

fn scalar(schema: &Schema) -> Value {
    let format = schema.format.as_deref();
    match schema.kind {
        _ if !schema.values.is_empty() => schema.values[0].as_str().into(),
        Some(Type::Boolean) => false.into(),
        Some(Type::Integer) if format == Some("unix-time") => 1_800_000_000.into(),
        Some(Type::Integer) => 1.into(),
        Some(Type::Number) => 1.5.into(),
        _ => match format {
            Some("date-time") => "2026-01-02T03:04:05.678Z".into(),
            Some("uuid") => "0bcb569d-1727-4ff9-ab49-b2fec0cee5ae".into(),
            Some("currency") => "eur".into(),
            _ => "x".repeat(schema.min_length.unwrap_or(1).max(1)).into(),
        },
    }
}
