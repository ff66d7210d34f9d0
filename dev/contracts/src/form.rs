//! Form-encoded parameters with nested names, such as `name[member]=value`.

use serde_json::{Map, Value};
use url::form_urlencoded;

/// Decodes form-encoded pairs into a nested value. Every leaf is a string.
pub(crate) fn nested(encoded: &str) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in form_urlencoded::parse(encoded.as_bytes()) {
        let mut place = &mut root;
        for step in steps(&name) {
            place = step_into(place, step);
        }
        *place = Value::String(value.into_owned());
    }
    root
}

/// The steps of a name: `a[b][]` is `a`, `b` and an empty step for the next member of a list.
fn steps(name: &str) -> impl Iterator<Item = &str> {
    name.split('[')
        .map(|step| step.strip_suffix(']').unwrap_or(step))
}

fn step_into<'a>(place: &'a mut Value, step: &str) -> &'a mut Value {
    let is_index = step.is_empty() || step.bytes().all(|byte| byte.is_ascii_digit());
    if is_index {
        if !place.is_array() {
            *place = Value::Array(Vec::new());
        }
    } else if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Array(members) => {
            members.push(Value::Null);
            let last = members.len() - 1;
            &mut members[last]
        }
        object => &mut object[step],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_nest() {
        let form = "amount=5&metadata[order_id]=7&metadata[note]=x&expand[]=a&expand[]=b&list[0]=c";
        let expected = json!({
            "amount": "5",
            "metadata": { "order_id": "7", "note": "x" },
            "expand": ["a", "b"],
            "list": ["c"],
        });
        assert_eq!(nested(form), expected);
        assert_eq!(nested(""), json!({}));
    }
}
