//! Stripe's form encoding: names with brackets, such as `metadata[order_id]` and `expand[0]`.

use std::collections::BTreeMap;

use super::answer::Refusal;

/// The parameters of one call, from its query and its body.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query and a body.
    pub fn parse(query: &[u8], body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(body));
        Self(pairs.into_owned().collect())
    }

    /// The value of `name`; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of `name`, which must be there.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::missing(name))
    }

    /// `true` or `false`; absent is `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::invalid(name, format!("Invalid boolean: {other}"))),
        }
    }

    /// A positive whole number, if it is there.
    pub fn amount(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let amount = text
            .parse::<i64>()
            .map_err(|_| Refusal::not_an_integer(name, text))?;
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::invalid(name, message).code("parameter_invalid_integer"));
        }
        Ok(Some(amount))
    }

    /// The members of an array, written `name[]` or `name[0]`.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.members(name)
            .filter(|(member, _)| member.bytes().all(|b| b.is_ascii_digit()))
            .map(|(_, value)| value)
            .collect()
    }

    /// The members of an object, written `name[member]`.
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        self.members(name)
            .filter(|(member, value)| !member.is_empty() && !value.is_empty())
            .map(|(member, value)| (member.to_owned(), value.to_owned()))
            .collect()
    }

    /// Refuses a parameter that the operation does not know.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        for (given, _) in &self.0 {
            let root = given.split('[').next().unwrap_or(given);
            if !known.contains(&root) {
                let message = format!("Received unknown parameter: {given}");
                return Err(Refusal::invalid(given, message).code("parameter_unknown"));
            }
        }
        Ok(())
    }

    /// The same text for the same parameters, in whatever order they were sent.
    pub fn canonical(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.sort();
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }

    fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(given, value)| {
            let member = given.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((member, value.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_name_members() {
        let body = b"metadata[order_id]=7&expand[0]=latest_charge&expand[]=x&amount=12";
        let params = Params::parse(b"", body);
        assert_eq!(params.map("metadata")["order_id"], "7");
        assert_eq!(params.list("expand"), ["latest_charge", "x"]);
        assert_eq!(params.amount("amount").unwrap(), Some(12));
        assert!(params.only(&["metadata", "expand"]).is_err());
    }

    #[test]
    fn the_order_of_parameters_does_not_matter() {
        let one = Params::parse(b"", b"a=1&b=2").canonical();
        assert_eq!(one, Params::parse(b"", b"b=2&a=1").canonical());
        assert_ne!(one, Params::parse(b"", b"a=1&b=3").canonical());
    }
}
