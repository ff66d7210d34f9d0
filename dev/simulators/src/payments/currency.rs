//! The currencies that the provider supports, and the limits of amounts.
//!
//! It does not use the shop's own table, so that a test can compare the two.
//! Sources: <https://docs.stripe.com/currencies>, as of July 2026; three-decimal currencies as of
//! December 2022.
//!
//! The simulated account has a bank account in every currency with a documented minimum. Charges in
//! other currencies are converted and must reach 50 US cents. Rates are rough, and exist only for
//! the currencies with special rules.

use super::ApiResponse;

const CURRENCIES: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd \
    gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak \
    lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd \
    omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std \
    szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// The step of amounts, in minor units, for currencies where it is not 1.
const STEPS: &[(&str, i64)] = &[
    ("isk", 100),
    ("ugx", 100),
    ("bhd", 10),
    ("jod", 10),
    ("kwd", 10),
    ("omr", 10),
    ("tnd", 10),
];

/// The minimum charge by currency, in minor units.
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

/// The currencies that allow nine digits.
const OF_NINE_DIGITS: &[&str] = &["cop", "huf", "idr", "inr"];
const EIGHT_DIGITS: i64 = 99_999_999;
const NINE_DIGITS: i64 = 999_999_999;

/// Refuses an amount that cannot be charged. The currency is in lower case.
pub(super) fn check_charge(amount: i64, currency: &str) -> Result<(), ApiResponse> {
    if !CURRENCIES.split_whitespace().any(|code| code == currency) {
        let message = format!("Invalid currency: {currency}. It must be one of: {CURRENCIES}");
        return Err(ApiResponse::invalid(None, "currency", &message));
    }
    let refuse = |code, rule: String| {
        let message = format!("Amount {rule} {currency} in minor units.");
        Err(ApiResponse::invalid(Some(code), "amount", &message))
    };
    let minimum = lookup(MINIMA, currency).unwrap_or(OTHER_MINIMUM);
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

/// Refuses an amount of a charge or a refund that is not a multiple of the currency's step.
pub(super) fn check_fraction(amount: i64, currency: &str) -> Result<(), ApiResponse> {
    match lookup(STEPS, currency) {
        Some(step) if amount % step != 0 => {
            let message = format!("Invalid amount. Amounts of {currency} are multiples of {step}.");
            Err(ApiResponse::invalid(None, "amount", &message))
        }
        _ => Ok(()),
    }
}

fn lookup(table: &[(&str, i64)], currency: &str) -> Option<i64> {
    let (_, value) = table.iter().find(|(code, _)| *code == currency)?;
    Some(*value)
}
