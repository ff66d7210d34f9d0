//! Postal addresses.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::text::{is_phrase, text, to_legible};

text! {
    /// One line of an address.
    AddressLine,
    |text| is_phrase(text, 100),
    "must be 1 to 100 characters, without control or invisible characters or spaces at the ends"
}

text! {
    /// A postal code, in the form of any country.
    PostalCode,
    |text| is_phrase(text, 20),
    "must be 1 to 20 characters, without control or invisible characters or spaces at the ends"
}

text! {
    /// An ISO 3166-1 alpha-2 country code, such as `ES`.
    Country,
    |text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()),
    "must be a country code of two capital letters, such as ES"
}

/// A postal address with the recipient's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The recipient: a person or company.
    pub name: AddressLine,
    /// Street and number.
    pub line1: AddressLine,
    /// Flat, floor or company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<AddressLine>,
    /// City or town.
    pub city: AddressLine,
    /// Province or state, where the country's addresses have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<AddressLine>,
    /// The postal code, in the form of the country.
    pub postal_code: PostalCode,
    /// The country.
    pub country: Country,
}

impl Address {
    /// Reads a stored address. It may have been stored before a rule became stricter: characters
    /// that are no longer allowed are removed.
    pub fn from_stored(mut stored: Value) -> serde_json::Result<Self> {
        if let Ok(address) = Self::deserialize(&stored) {
            return Ok(address);
        }
        for line in stored
            .as_object_mut()
            .into_iter()
            .flat_map(|fields| fields.values_mut())
        {
            if let Value::String(text) = line {
                *text = to_legible(text);
            }
        }
        serde_json::from_value(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(name: &str) -> Value {
        json!({
            "name": name, "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001",
            "country": "ES",
        })
    }

    #[test]
    fn a_name_with_invisible_or_control_characters_is_refused() {
        for name in [
            "Ana\u{202e}zem\u{f3}G",
            "\u{200f}Ana",
            "An\u{200b}a",
            "Ana\n",
        ] {
            assert!(
                serde_json::from_value::<Address>(stored(name)).is_err(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn an_address_that_was_stored_before_the_rule_can_be_read() {
        for (name, read) in [
            ("An\u{200b}a\u{202e}", "Ana"),
            ("\u{200b}", "-"),
            ("Ana", "Ana"),
        ] {
            let address = Address::from_stored(stored(name)).unwrap();
            assert_eq!(address.name.as_str(), read);
        }
        let mut other = stored("Ana");
        other["country"] = json!("Spain");
        assert!(Address::from_stored(other).is_err());
    }
}
