//! Where a parcel goes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{is_phrase, text};

text! {
    /// One line of an address.
    AddressLine,
    |text| is_phrase(text, 100),
    "must be 1 to 100 characters, without control characters or spaces at the ends"
}

text! {
    /// A postal code, in any country's form.
    PostalCode,
    |text| is_phrase(text, 20),
    "must be 1 to 20 characters"
}

text! {
    /// An ISO 3166-1 alpha-2 country code, such as `ES`.
    Country,
    |text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()),
    "must be a country code of two capital letters, such as ES"
}

/// A postal address and who is to be found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The person or company.
    pub name: AddressLine,
    /// Street and number.
    pub line1: AddressLine,
    /// Flat, floor, company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<AddressLine>,
    /// City or town.
    pub city: AddressLine,
    /// Province or state, where the country's addresses have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<AddressLine>,
    /// In the country's form.
    pub postal_code: PostalCode,
    /// Which country.
    pub country: Country,
}
