//! Money: a whole number in the payment provider's unit, and a currency. Never a float.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    currency::{CurrencyRules, UnsupportedCurrency},
    text::{Invalid, text},
};

/// An amount in the unit that the payment provider counts the currency in, never negative.
///
/// That is a hundredth in most currencies, one yen in JPY, and a thousandth in KWD. HUF, ISK, TWD
/// and UGX are counted in hundredths, but whole only: 5 ISK is 500.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 0, maximum = 999_999_999)]
pub struct Cents(i64);

impl Cents {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The most that one payment can be in any currency. Most currencies have a lower limit.
    pub const MAX: Self = Self(999_999_999);

    /// Creates a limit in the table of currencies, without a check.
    pub(crate) const fn limit(cents: i64) -> Self {
        Self(cents)
    }

    /// The amount as an integer.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the sum, or `None` if it is more than [`Cents::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::try_from(self.0.checked_add(other.0)?).ok()
    }

    /// Returns the difference, or zero if `other` is more.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// Returns the price of `quantity` units, or `None` if it is more than [`Cents::MAX`].
    pub fn checked_mul(self, quantity: u32) -> Option<Self> {
        Self::try_from(self.0.checked_mul(i64::from(quantity))?).ok()
    }
}

impl TryFrom<i64> for Cents {
    type Error = Invalid;

    fn try_from(cents: i64) -> Result<Self, Self::Error> {
        if (0..=Self::MAX.0).contains(&cents) {
            Ok(Self(cents))
        } else {
            Err(Invalid("must be 0 to 999999999 cents"))
        }
    }
}

impl From<Cents> for i64 {
    fn from(cents: Cents) -> Self {
        cents.0
    }
}

text! {
    /// An ISO 4217 currency code, such as `EUR`. Data that was stored earlier may have a currency
    /// that the shop does not support.
    Currency,
    |text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()),
    "must be a currency code of three capital letters, such as EUR"
}

impl Currency {
    /// Returns the rules for amounts of the currency, if the shop supports it.
    pub fn rules(&self) -> Result<&'static CurrencyRules, UnsupportedCurrency> {
        CurrencyRules::of(self.as_str())
    }
}

impl From<&CurrencyRules> for Currency {
    fn from(rules: &CurrencyRules) -> Self {
        Self(rules.code().to_owned())
    }
}

/// A price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// The amount, in the payment provider's unit of the currency.
    pub cents: Cents,
    /// The currency.
    pub currency: Currency,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_and_products_are_in_range(
            a in 0..=Cents::MAX.0, b in 0..=Cents::MAX.0, n: u32,
        ) {
            let (a, b) = (Cents(a), Cents(b));
            for result in [a.checked_add(b), a.checked_mul(n)].into_iter().flatten() {
                prop_assert!(result <= Cents::MAX && result >= Cents::ZERO);
            }
        }
    }
}
