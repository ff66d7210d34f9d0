//! The part of Stripe's search language that finds payments: `metadata['order_id']:'7' AND
//! status:'succeeded'`.

use super::{answer::Refusal, intents::Intent};

/// A query: all of its clauses have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<Clause>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Clause {
    Metadata(String, String),
    Status(String),
    Currency(String),
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let clauses = text.split(" AND ").map(|clause| {
            Clause::parse(clause.trim()).ok_or_else(|| {
                let message = format!("We were unable to parse your search query: {clause}");
                Refusal::invalid("query", message)
            })
        });
        clauses.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a payment is one of those searched for.
    pub fn finds(&self, intent: &Intent) -> bool {
        self.0.iter().all(|clause| match clause {
            Clause::Metadata(name, value) => intent.metadata.get(name) == Some(value),
            Clause::Status(status) => intent.status.as_str() == status,
            Clause::Currency(currency) => intent.currency == *currency,
        })
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (field, value) = text.rsplit_once(':')?;
        let value = unquoted(value)?;
        if let Some(member) = field.strip_prefix("metadata[") {
            let name = unquoted(member.strip_suffix(']')?)?;
            return Some(Self::Metadata(name, value));
        }
        match field {
            "status" => Some(Self::Status(value)),
            "currency" => Some(Self::Currency(value.to_lowercase())),
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
    fn both_kinds_of_quotes_are_read() {
        let expected = Query(vec![
            Clause::Metadata("order_id".to_owned(), "7".to_owned()),
            Clause::Status("succeeded".to_owned()),
        ]);
        let text = r#"metadata['order_id']:'7' AND status:"succeeded""#;
        assert_eq!(Query::parse(text).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["", "order_id", "metadata[order_id]:'7'", "amount>5"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
    }
}
