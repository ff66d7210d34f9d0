//! Validates the e-mail address of a sign-up. The code that is sent there proves that it is the
//! user's.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{HookError, TriggerEvent};

/// The longest e-mail address, in bytes (RFC 5321).
const MAX_EMAIL: usize = 254;

/// The longest part before the `@`, in bytes.
const MAX_MAILBOX: usize = 64;

/// The longest label of a domain, in bytes.
const MAX_LABEL: usize = 63;

/// Why a sign-up is refused, as a text for the user. Cognito adds a text before it and a full stop
/// after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The e-mail address is missing.
    #[error("an e-mail address is needed, such as name@example.com")]
    NoEmail,
    /// The e-mail address is not valid.
    #[error(
        "this e-mail address is not complete or has a typing error; write it like name@example.com"
    )]
    BadEmail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    user_attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    email: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    auto_confirm_user: bool,
    auto_verify_email: bool,
}

/// Allows the sign-up if its address is valid. With `auto_confirm`, the user is confirmed at once.
pub(crate) fn check(event: TriggerEvent, auto_confirm: bool) -> Result<TriggerEvent, HookError> {
    let Request { user_attributes } = event.request()?;
    let email = user_attributes.email.ok_or(Refusal::NoEmail)?;
    if !is_well_formed(&email) {
        return Err(Refusal::BadEmail.into());
    }
    event.with_response(&Response {
        auto_confirm_user: auto_confirm,
        auto_verify_email: auto_confirm,
    })
}

/// Whether `email` is like `mailbox@domain.tld`: no spaces, no quoting, at least one dot in the
/// domain, and internationalized domains in ASCII.
///
/// It is stricter than the standard. Every address that the API refuses is refused here.
fn is_well_formed(email: &str) -> bool {
    let Some((mailbox, domain)) = email.split_once('@') else {
        return false;
    };
    let labels = || domain.split('.');
    email.len() <= MAX_EMAIL
        && mailbox.len() <= MAX_MAILBOX
        && mailbox.split('.').all(is_atom)
        && labels().count() >= 2
        && labels().all(is_label)
        && labels().next_back().is_some_and(is_top_level)
}

/// Whether `text` can be a part of a mailbox between dots.
fn is_atom(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

/// Whether `text` can be a label of a domain.
fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether `text` can be the last label of a domain, which is not a number as in an IP address.
fn is_top_level(text: &str) -> bool {
    text.chars().count() >= 2 && !text.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_addresses_are_well_formed() {
        for email in [
            "ana@cauce.example",
            "ana.lopez+shop@mail.cauce.example",
            "o'neill@x-y.ie",
            "a@b.co",
            "pepe@xn--espaa-rta.es",
        ] {
            assert!(is_well_formed(email), "{email}");
        }
    }

    #[test]
    fn mistyped_addresses_are_not_well_formed() {
        let long = format!("{}@cauce.example", "a".repeat(65));
        let longest = format!("a@{}.example", ["a".repeat(60).as_str(); 5].join("."));
        for email in [
            "",
            "ana",
            "ana@",
            "@cauce.example",
            "ana@cauce",
            "ana@cauce.",
            "ana@.example",
            "ana@cauce..example",
            "ana@-cauce.example",
            "ana@127.0.0.1",
            "ana@@cauce.example",
            "ana@b@cauce.example",
            "ana lopez@cauce.example",
            " ana@cauce.example",
            "ana@cauce.example ",
            "ana@cauce.example\r\nBcc: all@cauce.example",
            ".ana@cauce.example",
            "ana..lopez@cauce.example",
            "<ana@cauce.example>",
            "ana@cauce.example,eva@cauce.example",
            &long,
            &longest,
        ] {
            assert!(!is_well_formed(email), "{email}");
        }
    }

    #[test]
    fn addresses_that_the_api_refuses_are_not_well_formed() {
        let cases = include_str!("../../../frontend/tests/emails.json");
        let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
        let refused = cases["bad"].as_array().unwrap();
        assert!(!refused.is_empty());
        for email in refused {
            assert!(!is_well_formed(email.as_str().unwrap()), "{email}");
        }
    }

    proptest! {
        #[test]
        fn a_well_formed_address_is_safe_in_a_header_of_a_mail(text in ".*") {
            if is_well_formed(&text) {
                prop_assert_eq!(text.matches('@').count(), 1);
                prop_assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()));
                prop_assert!(!text.contains(['<', '>', '"', ',', ';', ':']));
            }
        }
    }
}
