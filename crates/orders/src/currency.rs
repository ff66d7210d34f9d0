//! The supported currencies: how amounts of each are counted, written and limited.
//!
//! [`Cents`] count a currency in the payment provider's unit, so that the stored amounts are those
//! that are sent. Only amounts that people read or type are converted, and only by this table. The
//! decimals in a runtime's locale data are not used: they change with its version, and differ from
//! the provider's. The frontend has a copy of the table, which `tests/currencies.rs` writes and
//! compares.
//!
//! # Sources
//!
//! - **Unit:** <https://docs.stripe.com/currencies>, as of July 2026. ISK and UGX are special
//!   cases: they are counted in hundredths but charged whole. HUF and TWD may be charged in
//!   hundredths but are paid out whole, so the shop's prices are whole. KWD is counted in
//!   thousandths whose last digit must be 0. That rule is from the page as of December 2022,
//!   because the newer page describes no three-decimal currencies.
//! - **Digits for people:** ISO 4217, but none for HUF and TWD.
//! - **Minimum:** "Minimum charge amount by currency", the same page as of July 2026. It applies to
//!   an account that settles in the currency. A charge that is converted must reach the settlement
//!   currency's minimum, so the provider may refuse a higher amount too, with `amount_too_small`.
//!   The page has no minimum for ISK, KWD, TWD and UGX, which are always converted. Theirs is our
//!   own: it is worth over two US dollars, which is more than any minimum on the page.
//! - **Maximum:** eight digits, from <https://docs.stripe.com/api/payment_intents/create>. The
//!   currencies page has higher limits for most cards, but not for all. Every version of it allows
//!   nine digits for COP, HUF, IDR and INR with every card.
//!
//! A currency without a known minimum is not supported. Nor is BGN, because Bulgaria has used the
//! euro since 2026.

use thiserror::Error;

use self::Decimals::{Three, Two, WholeOfTwo, Zero};
use crate::money::Cents;

/// How the provider counts a currency, and how people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decimals {
    /// Counted and written whole.
    Zero,
    /// Counted and written in hundredths.
    Two,
    /// Counted in hundredths, but charged and written whole.
    WholeOfTwo,
    /// Counted and written in thousandths, whose last digit is 0.
    Three,
}

/// How amounts of one currency are counted, written and limited.
#[derive(Debug, PartialEq, Eq)]
pub struct CurrencyRules {
    code: &'static str,
    decimals: Decimals,
    minimum: Cents,
    highest: Cents,
}

const EIGHT_DIGITS: i64 = 99_999_999;
const NINE_DIGITS: i64 = 999_999_999;

/// Every supported currency, sorted by its code.
pub static CURRENCIES: &[CurrencyRules] = &[
    row("AED", Two, 200, EIGHT_DIGITS),
    row("ARS", Two, 50, EIGHT_DIGITS),
    row("AUD", Two, 50, EIGHT_DIGITS),
    row("BRL", Two, 50, EIGHT_DIGITS),
    row("CAD", Two, 50, EIGHT_DIGITS),
    row("CHF", Two, 50, EIGHT_DIGITS),
    row("COP", Two, 50, NINE_DIGITS),
    row("CZK", Two, 1_500, EIGHT_DIGITS),
    row("DKK", Two, 250, EIGHT_DIGITS),
    row("EUR", Two, 50, EIGHT_DIGITS),
    row("GBP", Two, 30, EIGHT_DIGITS),
    row("HKD", Two, 400, EIGHT_DIGITS),
    row("HUF", WholeOfTwo, 17_500, NINE_DIGITS),
    row("IDR", Two, 50, NINE_DIGITS),
    row("ILS", Two, 50, EIGHT_DIGITS),
    row("INR", Two, 50, NINE_DIGITS),
    row("ISK", WholeOfTwo, 30_000, EIGHT_DIGITS),
    row("JPY", Zero, 50, EIGHT_DIGITS),
    row("KRW", Zero, 50, EIGHT_DIGITS),
    row("KWD", Three, 700, EIGHT_DIGITS),
    row("MXN", Two, 1_000, EIGHT_DIGITS),
    row("MYR", Two, 200, EIGHT_DIGITS),
    row("NOK", Two, 300, EIGHT_DIGITS),
    row("NZD", Two, 50, EIGHT_DIGITS),
    row("PHP", Two, 50, EIGHT_DIGITS),
    row("PLN", Two, 200, EIGHT_DIGITS),
    row("RON", Two, 200, EIGHT_DIGITS),
    row("RUB", Two, 50, EIGHT_DIGITS),
    row("SEK", Two, 300, EIGHT_DIGITS),
    row("SGD", Two, 50, EIGHT_DIGITS),
    row("THB", Two, 1_000, EIGHT_DIGITS),
    row("TWD", WholeOfTwo, 7_000, EIGHT_DIGITS),
    row("UGX", WholeOfTwo, 800_000, EIGHT_DIGITS),
    row("USD", Two, 50, EIGHT_DIGITS),
    row("ZAR", Two, 50, EIGHT_DIGITS),
];

const fn row(code: &'static str, decimals: Decimals, minimum: i64, highest: i64) -> CurrencyRules {
    CurrencyRules {
        code,
        decimals,
        minimum: Cents::limit(minimum),
        highest: Cents::limit(highest),
    }
}

/// The shop does not support the currency: it cannot be paid in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a currency that the shop can be paid in: {}", codes())]
pub struct UnsupportedCurrency;

fn codes() -> String {
    let codes: Vec<&str> = CURRENCIES.iter().map(CurrencyRules::code).collect();
    codes.join(", ")
}

/// Why an amount cannot be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// The amount is less than the minimum or more than the maximum.
    #[error("must be {} to {} cents ({} to {})", .least.get(), .rules.maximum().get(),
        .rules.write(*.least), .rules.write(.rules.maximum()))]
    OutOfRange {
        /// The minimum.
        least: Cents,
        /// The rules of the currency, with the maximum.
        rules: &'static CurrencyRules,
    },
    /// The amount has a fraction that cannot be charged.
    #[error("must be a multiple of {} cents ({})", .0.step().get(), .0.write(.0.step()))]
    Fraction(&'static CurrencyRules),
}

impl CurrencyRules {
    /// Returns the rules of the currency with this ISO 4217 code, in capital letters.
    pub fn of(code: &str) -> Result<&'static Self, UnsupportedCurrency> {
        let rules = CURRENCIES.iter().find(|rules| rules.code == code);
        rules.ok_or(UnsupportedCurrency)
    }

    /// The ISO 4217 code.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The number of decimals by which [`Cents`] are smaller than the unit that people use.
    pub const fn exponent(&self) -> u32 {
        match self.decimals {
            Zero => 0,
            Two | WholeOfTwo => 2,
            Three => 3,
        }
    }

    /// The number of decimals that people write.
    pub const fn digits(&self) -> u32 {
        match self.decimals {
            Zero | WholeOfTwo => 0,
            Two => 2,
            Three => 3,
        }
    }

    /// The smallest chargeable amount. Every other amount is a multiple of it.
    pub const fn step(&self) -> Cents {
        Cents::limit(match self.decimals {
            Zero | Two => 1,
            Three => 10,
            WholeOfTwo => 100,
        })
    }

    /// The minimum of an order's total.
    pub const fn minimum(&self) -> Cents {
        self.minimum
    }

    /// The maximum of an order's total.
    pub const fn maximum(&self) -> Cents {
        let highest = self.highest.get();
        Cents::limit(highest - highest % self.step().get())
    }

    /// Converts `euro_cents` to this currency, roughly: it assumes that the minimum charges of all
    /// currencies have the same value. For limits, not for prices.
    pub fn convert_from_euro(&self, euro_cents: i64) -> i64 {
        const SMALLEST_IN_EUROS: i64 = 50;
        euro_cents.saturating_mul(self.minimum().get()) / SMALLEST_IN_EUROS
    }

    /// Checks the price of one unit. It may be less than the minimum of an order.
    pub fn price(&'static self, cents: i64) -> Result<Cents, AmountError> {
        self.amount(cents, self.step())
    }

    /// Checks the total of an order.
    pub fn total(&'static self, cents: Cents) -> Result<Cents, AmountError> {
        self.amount(cents.get(), self.minimum)
    }

    /// Checks that an amount has no fraction that cannot be charged or refunded.
    pub fn without_fraction(&'static self, cents: Cents) -> Result<Cents, AmountError> {
        if cents.get() % self.step().get() == 0 {
            Ok(cents)
        } else {
            Err(AmountError::Fraction(self))
        }
    }

    fn amount(&'static self, cents: i64, least: Cents) -> Result<Cents, AmountError> {
        let in_range = |cents: &Cents| (least..=self.maximum()).contains(cents);
        match Cents::try_from(cents).ok().filter(in_range) {
            Some(cents) => self.without_fraction(cents),
            None => Err(AmountError::OutOfRange { least, rules: self }),
        }
    }

    /// Writes the amount as people do in English, without separators: `12.50 EUR`.
    pub fn write(&self, cents: Cents) -> String {
        let (unit, code) = (10_i64.pow(self.exponent()), self.code);
        let (whole, rest) = (cents.get() / unit, cents.get() % unit);
        match self.digits() {
            0 => format!("{whole} {code}"),
            digits => format!("{whole}.{rest:0digits$} {code}", digits = digits as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(code: &str) -> &'static CurrencyRules {
        CurrencyRules::of(code).unwrap()
    }

    fn any_currency() -> impl Strategy<Value = &'static CurrencyRules> {
        prop::sample::select(CURRENCIES.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_limit_in_euros_is_converted_by_the_minimum_charges() {
        let about = |code: &str| {
            CurrencyRules::of(code)
                .unwrap()
                .convert_from_euro(1_000_000)
        };
        assert_eq!(about("EUR"), 1_000_000);
        for rules in CURRENCIES {
            let minimum_charges = rules.convert_from_euro(1_000_000) / rules.minimum().get();
            assert_eq!(minimum_charges, 20_000, "{}", rules.code());
        }
    }

    /// The provider's amount for 5 units of the currency, and how people write it.
    #[test]
    fn five_units_of_each_kind_of_currency_are_counted_as_the_provider_documents() {
        for (code, sent, written) in [
            ("EUR", 500, "5.00 EUR"),
            ("JPY", 5, "5 JPY"),
            ("ISK", 500, "5 ISK"),
            ("UGX", 500, "5 UGX"),
            ("HUF", 500, "5 HUF"),
            ("TWD", 500, "5 TWD"),
            ("KWD", 5_000, "5.000 KWD"),
        ] {
            let sent = rules(code).price(sent).unwrap();
            assert_eq!(rules(code).write(sent), written);
            assert_eq!(5 * 10_i64.pow(rules(code).exponent()), sent.get());
        }
    }

    #[test]
    fn a_price_with_a_fraction_that_cannot_be_charged_is_refused() {
        for (code, cents, rule) in [
            ("ISK", 550, "must be a multiple of 100 cents (1 ISK)"),
            ("UGX", 501, "must be a multiple of 100 cents (1 UGX)"),
            ("KWD", 5_124, "must be a multiple of 10 cents (0.010 KWD)"),
        ] {
            let refused = rules(code).price(cents).unwrap_err();
            assert_eq!(refused.to_string(), rule);
        }
        assert_eq!(rules("KWD").price(5_120).unwrap().get(), 5_120);
    }

    #[test]
    fn each_currency_has_its_own_limits() {
        let total = |code, cents| rules(code).total(Cents::try_from(cents).unwrap());
        for (code, minimum) in [
            ("EUR", 50),
            ("GBP", 30),
            ("CZK", 1_500),
            ("HUF", 17_500),
            ("JPY", 50),
        ] {
            assert!(total(code, minimum).is_ok(), "{code}");
            assert!(total(code, minimum - 1).is_err(), "{code}");
        }
        let refused = total("EUR", 49).unwrap_err().to_string();
        assert_eq!(
            refused,
            "must be 50 to 99999999 cents (0.50 EUR to 999999.99 EUR)"
        );
        let refused = rules("ISK").price(0).unwrap_err().to_string();
        assert_eq!(
            refused,
            "must be 100 to 99999900 cents (1 ISK to 999999 ISK)"
        );
        assert_eq!(rules("HUF").maximum().get(), 999_999_900);
        assert_eq!(rules("KWD").maximum().get(), 99_999_990);
    }

    #[test]
    fn a_currency_that_is_not_in_the_table_is_not_supported() {
        for code in ["RSD", "BGN", "XXX", "eur", "euro", ""] {
            assert_eq!(CurrencyRules::of(code), Err(UnsupportedCurrency), "{code}");
        }
        let rule = UnsupportedCurrency.to_string();
        assert!(rule.contains("EUR, GBP"), "{rule}");
    }

    #[test]
    fn the_table_is_sorted_and_each_limit_can_be_charged() {
        assert!(CURRENCIES.is_sorted_by(|a, b| a.code < b.code));
        for rules in CURRENCIES {
            assert!(rules.code.parse::<crate::Currency>().is_ok());
            assert_eq!(rules.total(rules.minimum()), Ok(rules.minimum()));
            assert_eq!(rules.total(rules.maximum()), Ok(rules.maximum()));
        }
    }

    proptest! {
        #[test]
        fn a_price_is_in_range_and_a_multiple_of_the_step(rules in any_currency(), cents: i64) {
            match rules.price(cents) {
                Ok(price) => {
                    prop_assert_eq!(price.get(), cents);
                    prop_assert!((rules.step()..=rules.maximum()).contains(&price));
                    prop_assert_eq!(cents % rules.step().get(), 0);
                }
                Err(AmountError::OutOfRange { .. }) => {
                    prop_assert!(cents < rules.step().get() || cents > rules.maximum().get());
                }
                Err(AmountError::Fraction(_)) => prop_assert_ne!(cents % rules.step().get(), 0),
            }
        }

        #[test]
        fn the_written_amount_equals_the_charged_amount(
            rules in any_currency(), steps in 1..=99_999_i64,
        ) {
            let price = rules.price(steps * rules.step().get()).unwrap();
            let written = rules.write(price);
            let (number, code) = written.split_once(' ').unwrap();
            let (whole, part) = number.split_once('.').unwrap_or((number, ""));
            prop_assert_eq!(code, rules.code());
            prop_assert_eq!(part.len(), rules.digits() as usize);
            let zeros = "0".repeat(rules.exponent() as usize - part.len());
            prop_assert_eq!(format!("{whole}{part}{zeros}").parse::<i64>().unwrap(), price.get());
        }
    }
}
