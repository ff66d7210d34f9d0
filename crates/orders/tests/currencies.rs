//! Compares the frontend's copy of the table of currencies with the table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use orders::{CURRENCIES, CurrencyRules};

/// Writes a currency of the frontend's copy, formatted as Prettier does.
fn entry(rules: &CurrencyRules) -> String {
    let (code, exponent, digits) = (rules.code(), rules.exponent(), rules.digits());
    let step = rules.step().get();
    format!(r#"  "{code}": {{ "exponent": {exponent}, "digits": {digits}, "step": {step} }}"#)
}

#[test]
fn the_frontend_s_table_is_up_to_date() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = manifest.join("../../frontend/src/lib/currencies.json");
    let entries: Vec<String> = CURRENCIES.iter().map(entry).collect();
    let expected = format!("{{\n{}\n}}\n", entries.join(",\n"));
    if std::env::var_os("UPDATE_CURRENCIES").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let actual = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "run UPDATE_CURRENCIES=1 cargo test -p orders --test currencies, and review the change"
    );
}
