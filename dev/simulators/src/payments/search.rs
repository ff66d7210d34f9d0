//! A part of Stripe's search query language: `metadata['order_id']:'7' AND status:'succeeded'`.

use super::{ApiResponse, intent::Intent};
use crate::storage::Read;

/// A query, which matches if all of its clauses match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<Clause>);

#[derive(Debug, PartialEq, Eq)]
enum Clause {
    Metadata { name: String, value: String },
    Status(String),
    Currency(String),
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, ApiResponse> {
        let clauses = text.split(" AND ").map(|clause| {
            Clause::parse(clause.trim()).ok_or_else(|| {
                let message = format!("We were unable to parse your search query: {clause}");
                ApiResponse::invalid(None, "query", &message)
            })
        });
        clauses.collect::<Result<_, _>>().map(Self)
    }

    /// The value that the query requires of the metadata `name`.
    pub(super) fn metadata(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|clause| match clause {
            Clause::Metadata { name: other, value } if other == name => Some(value.as_str()),
            _ => None,
        })
    }

    /// The matching payments, newest first. With an `end`, only those with smaller ids.
    pub(super) fn run(&self, state: &impl Read, end: Option<&str>) -> anyhow::Result<Vec<Intent>> {
        let indexed = self.0.iter().find_map(|clause| match clause {
            Clause::Metadata { name, value } => Some(metadata_key(name, value)),
            _ => None,
        });
        let mut found: Vec<Intent> = match indexed {
            Some(key) => state.indexed(&key)?,
            None => state.newest("intent/", end)?.collect::<Result<_, _>>()?,
        };
        found.retain(|intent| self.matches(intent) && end.is_none_or(|end| *intent.id < *end));
        Ok(found)
    }

    fn matches(&self, intent: &Intent) -> bool {
        self.0.iter().all(|clause| match clause {
            Clause::Metadata { name, value } => intent.metadata.get(name) == Some(value),
            Clause::Status(status) => intent.status.name() == status,
            Clause::Currency(currency) => intent.currency.eq_ignore_ascii_case(currency),
        })
    }
}

/// The index key of payments with this metadata.
pub(super) fn metadata_key(name: &str, value: &str) -> String {
    format!("metadata/{name}/{value}")
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (field, value) = text.rsplit_once(':')?;
        let value = unquoted(value)?;
        if let Some(member) = field.strip_prefix("metadata[") {
            let name = unquoted(member.strip_suffix(']')?)?;
            return Some(Self::Metadata { name, value });
        }
        match field {
            "status" => Some(Self::Status(value)),
            "currency" => Some(Self::Currency(value)),
            _ => None,
        }
    }
}

fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(quote)).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_quotes_are_parsed() {
        let metadata = Clause::Metadata {
            name: "order_id".to_owned(),
            value: "7".to_owned(),
        };
        let expected = Query(vec![metadata, Clause::Status("succeeded".to_owned())]);
        let query = Query::parse(r#"metadata['order_id']:'7' AND status:"succeeded""#);
        assert_eq!(query.ok(), Some(expected));
    }

    #[test]
    fn an_invalid_query_is_refused() {
        for text in ["", "order_id", "metadata[order_id]:'7'", "amount>5"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
    }
}
