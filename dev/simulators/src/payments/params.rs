//! Parameters as the provider takes them: flat names with brackets, in any order.

use serde::{Deserialize, Serialize};

/// The parameters of one call, in a canonical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Params(Vec<(String, String)>);

impl From<Vec<(String, String)>> for Params {
    fn from(mut pairs: Vec<(String, String)>) -> Self {
        pairs.sort_unstable();
        Self(pairs)
    }
}

impl Params {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The pairs of `metadata[name]`.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        })
    }

    /// Whether `expand[]` asks for the latest charge, of one payment or of each in a list.
    pub(super) fn expands_charge(&self) -> bool {
        self.0.iter().any(|(name, value)| {
            name.starts_with("expand[") && value.trim_start_matches("data.") == "latest_charge"
        })
    }
}
