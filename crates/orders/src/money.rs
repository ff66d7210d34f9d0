//! Money: whole minor units and a currency, never a float.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Invalid, text};

/// An amount in the currency's minor unit (cents), never negative.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 0, maximum = 99_999_999)]
pub struct Cents(i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that one payment can be: eight digits, the payment provider's own limit.
    pub const MAX: Self = Self(99_999_999);

    /// The amount as an integer.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, unless it is more than [`Cents::MAX`].
    pub fn plus(self, other: Self) -> Option<Self> {
        Self::try_from(self.0.checked_add(other.0)?).ok()
    }

    /// What is left when `other` is taken away; nothing, if that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// The price of `quantity` of these, unless it is more than [`Cents::MAX`].
    pub fn times(self, quantity: u32) -> Option<Self> {
        Self::try_from(self.0.checked_mul(i64::from(quantity))?).ok()
    }
}

impl TryFrom<i64> for Cents {
    type Error = Invalid;

    fn try_from(cents: i64) -> Result<Self, Self::Error> {
        if (0..=Self::MAX.0).contains(&cents) {
            Ok(Self(cents))
        } else {
            Err(Invalid("must be 0 to 99999999 cents"))
        }
    }
}

impl From<Cents> for i64 {
    fn from(cents: Cents) -> Self {
        cents.0
    }
}

text! {
    /// An ISO 4217 currency code, such as `EUR`.
    Currency,
    |text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()),
    "must be a currency code of three capital letters, such as EUR"
}

/// A price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// In minor units.
    pub cents: Cents,
    /// Of which currency.
    pub currency: Currency,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_and_products_never_leave_the_range(a in 0..=Cents::MAX.0, b in 0..=Cents::MAX.0, n: u32) {
            let (a, b) = (Cents(a), Cents(b));
            for result in [a.plus(b), a.times(n)].into_iter().flatten() {
                prop_assert!(result <= Cents::MAX && result >= Cents::ZERO);
            }
        }
    }
}
