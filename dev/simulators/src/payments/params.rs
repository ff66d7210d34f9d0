//! Form parameters in the provider's form: flat names with brackets, in any order.

use contracts::{Deviation, DeviationKind, Type};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::ApiResponse;
use crate::injection::Call;

/// The parameters of one call, in a canonical order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Params(Vec<(String, String)>);

impl From<Vec<(String, String)>> for Params {
    fn from(mut pairs: Vec<(String, String)>) -> Self {
        pairs.sort_unstable();
        Self(pairs)
    }
}

/// The refusal of a deviation from the provider's specification.
pub(super) fn refusal(deviation: &Deviation) -> ApiResponse {
    let name = name_of(&deviation.at);
    match &deviation.kind {
        DeviationKind::Missing => missing(&name),
        DeviationKind::Unknown => unknown(&name),
        DeviationKind::NotOfType(Type::Integer) => {
            let message = format!("Invalid integer: {name}");
            ApiResponse::invalid(Some("parameter_invalid_integer"), &name, &message)
        }
        // Stripe names the whole of `metadata` for a wrong member.
        kind if name.starts_with("metadata") => {
            ApiResponse::invalid(None, "metadata", &format!("Invalid: {name} {kind}"))
        }
        kind => ApiResponse::invalid(None, &name, &format!("Invalid: {name} {kind}")),
    }
}

/// The parameter of a deviation's place: `body.created.gte` is `created[gte]`.
fn name_of(place: &str) -> String {
    let mut steps = place.split('.').skip(1);
    let first = steps.next().unwrap_or(place).to_owned();
    steps.fold(first, |name, step| format!("{name}[{step}]"))
}

fn missing(name: &str) -> ApiResponse {
    let message = format!("Missing required param: {name}.");
    ApiResponse::invalid(Some("parameter_missing"), name, &message)
}

fn unknown(name: &str) -> ApiResponse {
    let message = format!("Received unknown parameter: {name}");
    ApiResponse::invalid(Some("parameter_unknown"), name, &message)
}

impl Params {
    /// The parameters of a call, in its query and in its body.
    pub(super) fn of(call: &Call<'_>) -> Self {
        let query = call.uri.query().unwrap_or_default().as_bytes();
        let in_query = form_urlencoded::parse(query).into_owned();
        let in_body = form_urlencoded::parse(call.body).into_owned();
        Self::from(in_query.chain(in_body).collect::<Vec<_>>())
    }

    /// The value of `name`; `None` if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiResponse> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// The value of `name` as a positive integer, if it is given.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ApiResponse> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => {
                let message = format!("Invalid positive integer: {text}");
                Err(ApiResponse::invalid(
                    Some("parameter_invalid_integer"),
                    name,
                    &message,
                ))
            }
        }
    }

    /// Refuses parameters that are not in `known`.
    pub(super) fn allow_only(&self, known: &[&str]) -> Result<(), ApiResponse> {
        for (name, _) in &self.0 {
            let root = name.split('[').next().unwrap_or(name);
            if !known.contains(&root) {
                return Err(unknown(name));
            }
        }
        Ok(())
    }

    /// The pairs of `metadata[name]`.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        })
    }

    /// The members of a list, `name[]` or `name[0]`.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_member = move |given: &str| {
            given
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('['))
        };
        self.0
            .iter()
            .filter(move |(given, _)| is_member(given))
            .map(|(_, value)| value.as_str())
    }

    /// Whether `expand[]` names the field, of one object or of each object in a list.
    pub(super) fn expands(&self, field: &str) -> bool {
        self.list("expand")
            .any(|value| value.trim_start_matches("data.") == field)
    }
}
