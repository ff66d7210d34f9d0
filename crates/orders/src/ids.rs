//! The names of things.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::text::{made_of, text};

/// Names an order everywhere: in the database, as the execution's name, in the providers' metadata.
///
/// A version 7 UUID, so that ids sort by the time of acceptance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// A new id, later than every one made before by this process.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The number that people read out to each other.
    pub fn number(self) -> OrderNumber {
        OrderNumber::of(self)
    }
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a refund: in the order, as the execution's name, in the provider's metadata.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct RefundId(pub Uuid);

impl RefundId {
    /// A new id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for RefundId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A short order number for people, such as `C7K3-F9Q2-MX`: 50 random bits of the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct OrderNumber(String);

impl OrderNumber {
    /// Crockford's alphabet: no letter that is mistaken for a digit.
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const LENGTH: u32 = 10;

    fn of(id: OrderId) -> Self {
        // The last 62 bits of a version 7 UUID are random.
        let bits = id.0.as_u128();
        let symbol = |place: u32| {
            let index = usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
            char::from(Self::ALPHABET[index])
        };
        let mut number = String::with_capacity(12);
        for place in (0..Self::LENGTH).rev() {
            number.push(symbol(place));
            if place == 6 || place == 2 {
                number.push('-');
            }
        }
        Self(number)
    }

    /// The number as people write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who placed the order: the `sub` of the shopper's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ShopperId(pub Uuid);

text! {
    /// A stock-keeping unit: the name of one product in the catalogue and in stock.
    Sku,
    |text| made_of(text, 40, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') && !text.starts_with('-'),
    "must be 1 to 40 of A-Z, 0-9 and '-', and not begin with '-'"
}

text! {
    /// The client's name for one attempt to change something; the same key is carried out once.
    IdempotencyKey,
    |text| made_of(text, 64, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    "must be 1 to 64 of A-Z, a-z, 0-9, '-' and '_'"
}

text! {
    /// The payment provider's token for a card. Card numbers never come here.
    PaymentMethod,
    |text| text.starts_with("pm_") && made_of(text, 64, |b| b.is_ascii_alphanumeric() || b == b'_'),
    "must be a payment method token that begins with 'pm_'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_number_is_the_tail_of_its_id() {
        let id = OrderId(Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 | 0b00001_11111,
        ));
        assert_eq!(id.number().as_str(), "0000-0000-1Z");
    }

    #[test]
    fn a_sku_is_upper_case() {
        assert!("TEA-0001".parse::<Sku>().is_ok());
        for bad in ["", "tea-1", "-TEA", "TÉ-1", &"A".repeat(41)] {
            assert!(bad.parse::<Sku>().is_err(), "{bad}");
        }
    }
}
