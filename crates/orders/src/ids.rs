//! Identifiers.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::text::{Invalid, made_of, text};

/// The id of an order: in the database, as the execution's name, and in the providers' metadata.
///
/// A version 7 UUID, so that ids sort by the time of acceptance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// Returns a new id, greater than all that this process has generated before.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the short number of the order, which people can read out.
    pub fn number(self) -> OrderNumber {
        OrderNumber::of(self)
    }
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a refund: in the order, as the execution's name, and in the provider's metadata.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct RefundId(pub Uuid);

impl RefundId {
    /// Returns a new id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for RefundId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

text! {
    /// The id of a shop at the providers, so that several shops can share an account there.
    ShopId,
    |text| made_of(text, 128, |byte| byte.is_ascii_alphanumeric() || byte == b'-'),
    "must have 1 to 128 letters, digits or hyphens"
}

/// Whether `id` can be a segment of a provider's URL. The providers do not document the form of
/// their ids, so nothing else is required.
fn is_provider_id(id: &str) -> bool {
    let is_dots = matches!(id, "." | "..");
    !is_dots
        && made_of(id, 255, |byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'%')
        })
}

text! {
    /// The payment provider's id of a payment.
    PaymentId,
    is_provider_id,
    "must be 1 to 255 characters that can be a segment of a URL"
}

text! {
    /// The shipping provider's id of a label.
    LabelId,
    is_provider_id,
    "must be 1 to 255 characters that can be a segment of a URL"
}

text! {
    /// The shipping provider's id of a shipment.
    ShipmentId,
    is_provider_id,
    "must be 1 to 255 characters that can be a segment of a URL"
}

/// A short order number for people, such as `C7K3-F9Q2-MX`: 50 random bits of the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String)]
pub struct OrderNumber(String);

impl OrderNumber {
    /// Crockford's alphabet: it has no letters that can be mistaken for digits.
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const LENGTH: usize = 10;

    fn of(id: OrderId) -> Self {
        // The last 62 bits of a version 7 UUID are random.
        let bits = id.0.as_u128();
        let symbol = |place: usize| {
            let index = usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
            char::from(Self::ALPHABET[index])
        };
        Self::from_symbols((0..Self::LENGTH).rev().map(symbol))
    }

    fn from_symbols(symbols: impl Iterator<Item = char>) -> Self {
        let mut number = String::with_capacity(12);
        for (place, symbol) in symbols.enumerate() {
            if place == 4 || place == 8 {
                number.push('-');
            }
            number.push(symbol);
        }
        Self(number)
    }

    /// The number with its hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OrderNumber {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl FromStr for OrderNumber {
    type Err = Invalid;

    /// Parses a number as people type it: in lower case, without hyphens, or with an O for a zero.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let symbols = text
            .chars()
            .filter(|char| !matches!(char, '-' | ' '))
            .map(|char| match char.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                char => char,
            });
        let is_symbol = |char| u8::try_from(char).is_ok_and(|it| Self::ALPHABET.contains(&it));
        if symbols.clone().count() == Self::LENGTH && symbols.clone().all(is_symbol) {
            Ok(Self::from_symbols(symbols))
        } else {
            Err(Invalid("must be an order number, such as C7K3-F9Q2-MX"))
        }
    }
}

/// The id of the shopper who placed an order: the `sub` of the user's token, or a guest's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ShopperId(pub Uuid);

impl ShopperId {
    /// The UUID namespace of guests' ids. It must never change: guests' orders are found by their
    /// ids.
    const GUESTS: Uuid = Uuid::from_u128(0x5b0f_4f3e_92c7_4d0a_8a51_6c1e_7d2b_9f84);

    /// Returns the id of a guest with this e-mail address, ignoring case. It differs from the id of
    /// every account, even of one with the same address.
    pub fn guest(email: &Email) -> Self {
        let email = email.as_str().to_lowercase();
        Self(Uuid::new_v5(&Self::GUESTS, email.as_bytes()))
    }
}

impl RefundId {
    /// The UUID namespace of refunds that were made at the provider itself. It must never change:
    /// the refunds are found by their ids.
    const MADE_ELSEWHERE: Uuid = Uuid::from_u128(0x9d1e_7a60_3c54_4b8f_b0c2_51f7_e8a9_6d13);

    /// Returns the id in this shop of a refund that was made at the provider itself. It is the same
    /// each time.
    pub fn made_elsewhere(provider_id: &str) -> Self {
        Self(Uuid::new_v5(&Self::MADE_ELSEWHERE, provider_id.as_bytes()))
    }
}

text! {
    /// An e-mail address by the rule of the HTML standard, with a dot in its domain.
    Email,
    is_email,
    "must be an e-mail address, such as ana@example.com, of at most 254 characters"
}

fn is_email(text: &str) -> bool {
    let local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let label = |label: &str| {
        made_of(label, 63, |b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 254
        && text.split_once('@').is_some_and(|(name, domain)| {
            (1..=64).contains(&name.len())
                && name.bytes().all(local)
                && domain.contains('.')
                && domain.split('.').all(label)
        })
}

text! {
    /// A stock-keeping unit: the id of a product in the catalogue and in stock.
    Sku,
    |text| {
        made_of(text, 40, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
    },
    "must be 1 to 40 of A-Z, 0-9 and '-', and not begin with '-'"
}

text! {
    /// The client's key for one change. Requests with the same key are carried out once.
    IdempotencyKey,
    |text| made_of(text, 64, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    "must be 1 to 64 of A-Z, a-z, 0-9, '-' and '_'"
}

text! {
    /// The payment provider's token for a card. The shop never receives card numbers.
    PaymentMethod,
    |text| text.starts_with("pm_") && made_of(text, 64, |b| b.is_ascii_alphanumeric() || b == b'_'),
    "must be a payment method token that begins with 'pm_'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_id_is_one_segment_of_a_url() {
        for id in ["pi_3MtwBwLkdIwHu7ix28a3tqPa", "se-123456789", "a.b:c@d"] {
            assert_eq!(
                id.parse().map(|id: PaymentId| id.to_string()),
                Ok(id.to_owned())
            );
        }
        let long = "x".repeat(256);
        for id in [
            "", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "\u{e9}", &long,
        ] {
            assert!(id.parse::<PaymentId>().is_err(), "{id}");
        }
    }

    #[test]
    fn an_order_number_is_the_end_of_its_id() {
        let id = OrderId(Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 | 0b00001_11111,
        ));
        assert_eq!(id.number().as_str(), "0000-0000-1Z");
    }

    #[test]
    fn an_order_number_is_read_as_people_type_it() {
        let number = OrderId::generate().number();
        let sloppy = number.as_str().replace('-', " ").to_lowercase();
        assert_eq!(sloppy.parse(), Ok(number));
        let read = "o-il0 0000 1z".parse::<OrderNumber>();
        assert_eq!(read.unwrap().as_str(), "0110-0000-1Z");
        for bad in [
            "",
            "C7K3-F9Q2-M",
            "C7K3-F9Q2-MXX",
            "C7K3-F9Q2-MU",
            "Ñ7K3-F9Q2-MX",
        ] {
            assert!(bad.parse::<OrderNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_e_mail_address_follows_the_same_rule_as_in_the_frontend() {
        #[derive(Deserialize)]
        struct Emails {
            good: Vec<String>,
            bad: Vec<String>,
        }
        // The frontend's rule is tested with the same cases.
        let cases = include_str!("../../../frontend/tests/emails.json");
        let Emails { good, bad } = serde_json::from_str(cases).unwrap();
        assert!(!good.is_empty() && !bad.is_empty());
        for good in good {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in bad {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_id_of_a_guest_ignores_the_case_of_the_address() {
        let guest = |email: &str| ShopperId::guest(&email.parse().unwrap());
        assert_eq!(guest("Ana@Example.com"), guest("ana@example.com"));
        assert_ne!(guest("ana@example.com"), guest("ana@example.es"));
        // Ids in the database must not change.
        let ana = guest("ana@example.com").0.to_string();
        assert_eq!(ana, "d4ab7c2a-493a-5a29-ab48-9a5586620cda");
    }

    #[test]
    fn a_sku_is_upper_case() {
        assert!("TEA-0001".parse::<Sku>().is_ok());
        for bad in ["", "tea-1", "-TEA", "TÉ-1", &"A".repeat(41)] {
            assert!(bad.parse::<Sku>().is_err(), "{bad}");
        }
    }
}
