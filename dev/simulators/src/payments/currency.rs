//! The currencies that the provider charges, and the amounts that it refuses.
//!
//! This is the provider's side, so it does not use the shop's own table: a test compares them.
//! Sources: <https://docs.stripe.com/currencies>, as of July 2026; three-decimal currencies as of
//! December 2022.
//!
//! The simulated account has a bank account for every currency with a documented minimum. Other
//! charges are converted, and must reach 50 US cents. Rates are rough, and known only of the
//! currencies that have a rule of their own.

use super::Answer;

const CURRENCIES: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd \
    gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak \
    lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd \
    omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std \
    szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// What every amount is a multiple of, in the currencies where that is not 1.
const STEPS: &[(&str, i64)] = &[
    ("isk", 100),
    ("ugx", 100),
    ("bhd", 10),
    ("jod", 10),
    ("kwd", 10),
    ("omr", 10),
    ("tnd", 10),
];

/// The least charge of each currency.
const MINIMA: &[(&str, i64)] = &[
    ("aed", 200),
    ("czk", 1_500),
    ("dkk", 250),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("thb", 1_000),
    // Converted.
    ("isk", 7_000),
    ("kwd", 160),
    ("twd", 1_700),
    ("ugx", 190_000),
];
const OTHER_MINIMUM: i64 = 50;

/// The currencies with a higher maximum than others.
const OF_NINE_DIGITS: &[&str] = &["cop", "huf", "idr", "inr"];
const EIGHT_DIGITS: i64 = 99_999_999;
const NINE_DIGITS: i64 = 999_999_999;

/// Refuses what cannot be charged. The currency is in small letters.
pub(super) fn check_charge(amount: i64, currency: &str) -> Result<(), Answer> {
    if !CURRENCIES.split_whitespace().any(|code| code == currency) {
        let message = format!("Invalid currency: {currency}. It must be one of: {CURRENCIES}");
        return Err(Answer::invalid(None, "currency", &message));
    }
    let refuse = |code, rule: String| {
        let message = format!("Amount {rule} {currency} in minor units.");
        Err(Answer::invalid(Some(code), "amount", &message))
    };
    let minimum = found(MINIMA, currency).unwrap_or(OTHER_MINIMUM);
    let maximum = if OF_NINE_DIGITS.contains(&currency) {
        NINE_DIGITS
    } else {
        EIGHT_DIGITS
    };
    if amount < minimum {
        return refuse("amount_too_small", format!("must be at least {minimum}"));
    }
    if amount > maximum {
        return refuse(
            "amount_too_large",
            format!("must be no more than {maximum}"),
        );
    }
    check_fraction(amount, currency)
}

/// Refuses an amount, of a charge or a refund, with a fraction that the currency does not have.
pub(super) fn check_fraction(amount: i64, currency: &str) -> Result<(), Answer> {
    match found(STEPS, currency) {
        Some(step) if amount % step != 0 => {
            let message = format!("Invalid amount. Amounts of {currency} are multiples of {step}.");
            Err(Answer::invalid(None, "amount", &message))
        }
        _ => Ok(()),
    }
}

fn found(table: &[(&str, i64)], currency: &str) -> Option<i64> {
    let (_, value) = table.iter().find(|(code, _)| *code == currency)?;
    Some(*value)
}
