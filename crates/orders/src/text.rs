//! Text with a rule: string newtypes that can only be created by parsing.

use std::ops::RangeInclusive;

use icu_properties::{
    CodePointSetData,
    props::{DefaultIgnorableCodePoint, ExtendedPictographic, UnifiedIdeograph},
};
use thiserror::Error;

/// A value that breaks the rule of its type. The text states the rule, for the sender of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// Defines a string newtype whose values always follow its rule, in Rust and in JSON.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, utoipa::ToSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::text::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err($crate::text::Invalid($rule)) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use text;

/// Whether `text` has 1 to `max` bytes, and `allowed` accepts each of them.
pub(crate) fn made_of(text: &str, max: usize, allowed: fn(u8) -> bool) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether `text` is 1 to `max` characters of legible, trimmed text.
pub(crate) fn is_phrase(text: &str, max: usize) -> bool {
    text.trim() == text && (1..=max).contains(&text.chars().count()) && is_legible(text)
}

/// Whether `text` looks like what is stored: it has no control characters and no invisible
/// characters, which hide text, reorder it (bidirectional controls) or make two names look the
/// same.
///
/// Scripts and emoji need some invisible characters. Joiners are accepted between characters that
/// can be joined, variation selectors after a character that has variants. A replacement character
/// is refused, because it means that the text was damaged in transit.
pub fn is_legible(text: &str) -> bool {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_allowed = match char {
            ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => {
                let after = chars.peek().copied();
                before.is_some_and(is_joined) && after.is_some_and(is_joined)
            }
            char if is_selector(char) => before.is_some_and(|before| has_variant(before, char)),
            char => is_visible(char) || is_space(char),
        };
        if !is_allowed {
            return false;
        }
        before = Some(char);
    }
    true
}

/// Removes the characters that [`is_legible`] refuses, from text that was stored before that rule.
pub(crate) fn to_legible(text: &str) -> String {
    let is_kept = |char: &char| is_visible(*char) || is_space(*char);
    let kept: String = text.chars().filter(is_kept).collect();
    match kept.trim() {
        "" => "-".to_owned(),
        kept => kept.to_owned(),
    }
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// The variation selectors for the text and the emoji style of a character.
const STYLES: RangeInclusive<char> = '\u{fe0e}'..='\u{fe0f}';

/// The variation selectors for the shape of an ideograph, which Japanese names need.
const IDEOGRAPHIC_SELECTORS: RangeInclusive<char> = '\u{e0100}'..='\u{e01ef}';

fn is_selector(char: char) -> bool {
    STYLES.contains(&char) || IDEOGRAPHIC_SELECTORS.contains(&char)
}

fn has_variant(char: char, selector: char) -> bool {
    if STYLES.contains(&selector) {
        CodePointSetData::new::<ExtendedPictographic>().contains(char)
    } else {
        CodePointSetData::new::<UnifiedIdeograph>().contains(char)
    }
}

/// Whether a joiner next to the character can change how it looks. The Latin, Greek, Cyrillic and
/// Armenian scripts, below U+0590 and from U+1E00 to U+1FFF, do not use joiners.
fn is_joined(char: char) -> bool {
    let has_no_joiners = char < '\u{590}' || ('\u{1e00}'..='\u{1fff}').contains(&char);
    !has_no_joiners && (is_visible(char) || STYLES.contains(&char))
}

fn is_visible(char: char) -> bool {
    let is_annotation = ('\u{fff9}'..='\u{fffb}').contains(&char);
    !char.is_whitespace()
        && !char.is_control()
        && !is_annotation
        && char != char::REPLACEMENT_CHARACTER
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char)
}

/// A space within a line.
fn is_space(char: char) -> bool {
    char.is_whitespace() && !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bidirectional controls, and other characters without a shape.
    const INVISIBLE: &str = "\u{61c}\u{200b}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\
        \u{202e}\u{2060}\u{2061}\u{2066}\u{2067}\u{2068}\u{2069}\u{ad}\u{34f}\u{115f}\u{180e}\
        \u{2028}\u{2029}\u{3164}\u{feff}\u{fff9}\u{fffd}\u{e0041}\u{7f}\u{85}\0\n\t";

    #[test]
    fn names_in_all_scripts_are_legible() {
        for name in [
            "Ana Gómez",
            "José Núñez d’Ávila-Ó Cinnéide",
            "Nguyễn Thị Minh",
            "محمد علی",
            // Persian, with a non-joiner within a word.
            "می\u{200c}خواهم",
            // Sinhala, with a joiner.
            "ශ්\u{200d}රී ලංකා",
            "משה כהן",
            "山田　太郎",
            "김철수",
            "❤\u{fe0f}\u{200d}🔥 Calle 1",
            "👩\u{200d}👩\u{200d}👧",
            "葛\u{e0100}城市",
        ] {
            assert!(is_legible(name), "{name}");
        }
    }

    #[test]
    fn joiners_and_selectors_are_refused_where_they_are_invisible() {
        for text in [
            "\u{200d}Ana",
            "Ana\u{200c}",
            "Ana \u{200d}Gómez",
            "Ana\u{200d} Gómez",
            "A\u{200d}\u{200d}na",
            "A\u{200d}na",
            "Ан\u{200c}а",
            "\u{fe0f}Ana",
            "Ana\u{fe0f}",
            "Ana \u{fe0f}",
            "❤\u{fe0f}\u{fe0f}",
            "Ana\u{e0100}",
        ] {
            assert!(!is_legible(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_invisible_character_is_refused_at_any_place(
            before in "[a-zñ ]{0,8}",
            invisible in prop::sample::select(INVISIBLE.chars().collect::<Vec<_>>()),
            after in "[a-zñ ]{0,8}",
        ) {
            let text = format!("{before}{invisible}{after}");
            prop_assert!(!is_legible(&text), "{:?}", text);
        }

        #[test]
        fn any_stored_text_can_be_made_legible(text in ".{0,100}") {
            let legible = to_legible(&text);
            prop_assert!(is_phrase(&legible, usize::MAX), "{:?}", legible);
        }

        #[test]
        fn legible_text_has_no_bidirectional_control(text in "\\PC{0,40}") {
            let is_bidi = |c| matches!(
                c,
                '\u{202a}'..='\u{202e}'
                    | '\u{2066}'..='\u{2069}'
                    | '\u{200e}'
                    | '\u{200f}'
                    | '\u{61c}'
            );
            prop_assert!(!is_legible(&text) || !text.contains(is_bidi));
        }
    }
}
