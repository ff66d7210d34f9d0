//! The search index: pure functions from products and searches to keys of the table.
//!
//! The table holds a product once under its SKU, and an [`Entry`] for it under each of its search
//! terms: the whole shop, its category, each attribute, each word of its titles. A search reads the
//! entries of its narrowest condition, and drops those that do not match the others.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use orders::{
    Sku,
    catalogue::{AttributeValue, CategoryId, Product},
};
use serde::{Deserialize, Serialize};

use super::READ_BATCH;
use crate::cursor::{self, BadCursor};

/// How many letters of a word name its partition: enough to spread the words over partitions, few
/// enough for short search words.
const PARTITION_LETTERS: usize = 2;

/// The maximum number of search terms (words, attributes and shelves) of one product. A change
/// writes an item for each new term and deletes one for each old term, and a DynamoDB transaction
/// may have 100 items.
pub const MAX_TERMS: usize = 49;

/// How many words of a search are used. Further words are ignored.
const MAX_SEARCH_WORDS: usize = 8;

/// The key of an item of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn product(sku: &Sku) -> Self {
        Self {
            pk: format!("product#{sku}"),
            sk: "product".to_owned(),
        }
    }

    pub(super) fn category(id: &CategoryId) -> Self {
        Self {
            pk: CATEGORIES.to_owned(),
            sk: id.to_string(),
        }
    }
}

/// The partition of all categories.
pub(super) const CATEGORIES: &str = "categories";

/// The part of a product that searches are matched against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) sku: Sku,
    category: CategoryId,
    attributes: BTreeMap<String, String>,
    words: BTreeSet<String>,
}

impl Entry {
    pub(super) fn of(product: &Product) -> Self {
        let attributes: BTreeMap<_, _> = product
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let named = product.attributes.values().filter_map(|value| match value {
            AttributeValue::Text(text) => Some(text.as_str()),
            AttributeValue::Flag(_) | AttributeValue::Number(_) => None,
        });
        let texts = [
            product.title.en.as_str(),
            &product.title.es,
            product.category.as_str(),
        ];
        Self {
            sku: product.sku.clone(),
            category: product.category.clone(),
            words: texts.into_iter().chain(named).flat_map(words).collect(),
            attributes,
        }
    }

    /// The keys under which the entry is stored: one for each search term of its product.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        let sku = self.sku.as_str();
        let by_shelf = [whole_shop(), shelf(&self.category)].map(|pk| Key {
            pk,
            sk: sku.to_owned(),
        });
        // Sorted by category, for searches within one.
        let by_attribute = self.attributes.iter().map(|(name, value)| Key {
            pk: attribute(name, value),
            sk: format!("{}#{sku}", self.category),
        });
        let by_word = self.words.iter().map(|word| Key {
            pk: partition(word),
            sk: format!("{word}#{sku}"),
        });
        let by_shelf = by_shelf.into_iter();
        by_shelf.chain(by_attribute).chain(by_word).collect()
    }
}

/// Whether the product has at most [`MAX_TERMS`] search terms.
pub fn is_findable(product: &Product) -> bool {
    Entry::of(product).keys().len() <= MAX_TERMS
}

/// The conditions of a search for products. Every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    category: Option<CategoryId>,
    words: Vec<String>,
    attributes: BTreeMap<String, String>,
}

/// A range of the table that a search reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) pk: String,
    /// The prefix of the sort keys; none for the whole partition.
    pub(super) prefix: Option<String>,
}

impl Range {
    fn contains(&self, key: &Key) -> bool {
        key.pk == self.pk
            && key
                .sk
                .starts_with(self.prefix.as_deref().unwrap_or_default())
    }
}

/// The start of a page of a search.
#[derive(Debug, Clone)]
pub struct SearchCursor {
    pub(super) range: Range,
    pub(super) position: Key,
}

impl Search {
    /// A search for products of `category` with these attributes, in which each word of `text` is
    /// the beginning of a word.
    pub fn new(
        category: Option<CategoryId>,
        text: &str,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        Self {
            category,
            words: words(text).take(MAX_SEARCH_WORDS).collect(),
            attributes,
        }
    }

    /// Continues after the page that returned the cursor, which must be a page of this search.
    pub fn from(&self, cursor: &str) -> Result<SearchCursor, BadCursor> {
        let position: Key = cursor::decode(cursor)?;
        let mut ranges = self.ranges().into_iter();
        let range = ranges.find(|range| range.contains(&position));
        let range = range.ok_or(BadCursor)?;
        Ok(SearchCursor { range, position })
    }

    /// The ranges to choose from, each of which holds every match: one for each word, the longest
    /// word first, because it most likely has the fewest entries.
    pub(super) fn ranges(&self) -> Vec<Range> {
        if self.words.is_empty() {
            return vec![self.shelf()];
        }
        let mut words: Vec<_> = self.words.iter().collect();
        words.sort_by_key(|word| Reverse(word.len()));
        let ranges = words.into_iter().map(|word| Range {
            pk: partition(word),
            prefix: Some(word.clone()),
        });
        ranges.collect()
    }

    /// The range that holds every match of a search without words.
    fn shelf(&self) -> Range {
        let (pk, prefix) = match (self.attributes.first_key_value(), &self.category) {
            (Some((name, value)), category) => (
                attribute(name, value),
                category.as_ref().map(|category| format!("{category}#")),
            ),
            (None, Some(category)) => (shelf(category), None),
            (None, None) => (whole_shop(), None),
        };
        Range { pk, prefix }
    }

    /// How many entries to read in one call for a page of `limit` products. If every entry of the
    /// range matches, one more than the page holds; else a whole batch, because some are dropped.
    pub(super) fn entries_at_once(&self, limit: usize) -> usize {
        match (self.words.len(), self.attributes.len(), &self.category) {
            (0, 0 | 1, _) | (1, 0, None) => limit + 1,
            _ => READ_BATCH,
        }
    }

    /// Whether the entry at `sk` in the range matches. A product with several words that begin
    /// alike has an entry in the range for each of them; only the first counts.
    pub(super) fn matches(&self, entry: &Entry, range: &Range, sk: &str) -> bool {
        let first_match = |word: &str| entry.words.iter().find(|known| known.starts_with(word));
        let word = range.prefix.as_deref().filter(|_| !self.words.is_empty());
        let is_first = word.is_none_or(|word| {
            first_match(word).is_some_and(|known| {
                sk.strip_prefix(known.as_str())
                    .is_some_and(|rest| rest.starts_with('#'))
            })
        });
        is_first
            && self
                .category
                .as_ref()
                .is_none_or(|category| *category == entry.category)
            && self
                .attributes
                .iter()
                .all(|(name, value)| entry.attributes.get(name) == Some(value))
            && self.words.iter().all(|word| first_match(word).is_some())
    }
}

/// The words of a text, normalized: without accents, in lower case, of two letters or more.
fn words(text: &str) -> impl Iterator<Item = String> {
    let plain = deunicode::deunicode(text).to_lowercase();
    let words: Vec<String> = plain
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() >= PARTITION_LETTERS)
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

fn whole_shop() -> String {
    "shelf#all".to_owned()
}

fn shelf(category: &CategoryId) -> String {
    format!("shelf#category#{category}")
}

fn attribute(name: &str, value: &str) -> String {
    format!("attribute#{name}={value}")
}

fn partition(word: &str) -> String {
    format!("words#{}", &word[..PARTITION_LETTERS])
}

#[cfg(test)]
mod tests {
    use orders::{
        Cents, Money,
        catalogue::{AttributeValue, LocalizedText},
    };
    use proptest::prelude::*;

    use super::*;

    fn product(sku: &str, en: &str, es: &str) -> Product {
        Product {
            sku: sku.parse().unwrap(),
            category: "tea".parse().unwrap(),
            title: LocalizedText {
                en: en.to_owned(),
                es: es.to_owned(),
            },
            description: LocalizedText {
                en: String::new(),
                es: String::new(),
            },
            price: Money {
                cents: Cents::try_from(100).unwrap(),
                currency: "EUR".parse().unwrap(),
            },
            attributes: BTreeMap::from([
                (
                    "origin".to_owned(),
                    AttributeValue::Text("Japan".to_owned()),
                ),
                ("organic".to_owned(), AttributeValue::Flag(true)),
            ]),
            image: String::new(),
        }
    }

    /// How many entries of a product match in each range of a search.
    fn count_matches_by_range(search: &Search, product: &Product) -> Vec<usize> {
        let entry = Entry::of(product);
        let count_matches = |range: &Range| {
            entry
                .keys()
                .iter()
                .filter(|key| range.contains(key) && search.matches(&entry, range, &key.sk))
                .count()
        };
        search.ranges().iter().map(count_matches).collect()
    }

    fn count_matches(search: &Search, product: &Product) -> usize {
        let found = count_matches_by_range(search, product);
        assert!(found.iter().all(|times| *times == found[0]), "{found:?}");
        found[0]
    }

    fn search_for(text: &str, attributes: &[(&str, &str)]) -> Search {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Search::new(None, text, attributes.collect())
    }

    #[test]
    fn words_match_by_their_beginnings_in_both_languages_without_accents() {
        let tea = product(
            "TEA-1",
            "Green tea, spring harvest",
            "Té verde, cosecha de primavera",
        );
        for text in [
            "green",
            "gre",
            "GREEN tea",
            "verde",
            "primav",
            "cosecha green",
            "japan",
        ] {
            assert_eq!(count_matches(&search_for(text, &[]), &tea), 1, "{text}");
        }
        for text in ["black", "green black", "reen"] {
            assert_eq!(count_matches(&search_for(text, &[]), &tea), 0, "{text}");
        }
    }

    #[test]
    fn attributes_narrow_a_search() {
        let tea = product("TEA-1", "Green tea", "Té verde");
        assert_eq!(
            count_matches(
                &search_for("", &[("origin", "Japan"), ("organic", "true")]),
                &tea
            ),
            1
        );
        assert_eq!(
            count_matches(
                &search_for("", &[("origin", "Japan"), ("organic", "false")]),
                &tea
            ),
            0
        );
        assert_eq!(
            count_matches(&search_for("green", &[("origin", "China")]), &tea),
            0
        );
    }

    #[test]
    fn a_search_for_an_attribute_can_be_limited_to_a_category() {
        let tea = product("TEA-1", "Green tea", "Té verde");
        let organic = BTreeMap::from([("organic".to_owned(), "true".to_owned())]);
        for (category, times) in [("tea", 1), ("te", 0), ("coffee", 0)] {
            let search = Search::new(Some(category.parse().unwrap()), "", organic.clone());
            assert_eq!(count_matches(&search, &tea), times, "{category}");
        }
    }

    #[test]
    fn a_search_that_its_range_decides_reads_no_more_than_a_page() {
        let in_tea = |text, attributes: &[(&str, &str)]| Search {
            category: Some("tea".parse().unwrap()),
            ..search_for(text, attributes)
        };
        let (organic, japan) = (("organic", "true"), ("origin", "Japan"));
        let decided = [
            search_for("", &[]),
            search_for("green", &[]),
            search_for("", &[organic]),
            in_tea("", &[]),
            in_tea("", &[organic]),
        ];
        let undecided = [
            search_for("green tea", &[]),
            search_for("green", &[organic]),
            search_for("", &[organic, japan]),
            in_tea("green", &[]),
            in_tea("", &[organic, japan]),
        ];
        for (searches, entries) in [(decided, 25), (undecided, READ_BATCH)] {
            for search in searches {
                assert_eq!(search.entries_at_once(24), entries, "{search:?}");
            }
        }
    }

    #[test]
    fn a_cursor_of_either_word_belongs_to_a_search_for_both() {
        for word in ["green", "tea"] {
            let cursor = cursor::encode(&Key {
                pk: partition(word),
                sk: format!("{word}#TEA-1"),
            });
            let from = search_for("green tea", &[]).from(&cursor).unwrap();
            assert_eq!(from.range.prefix.as_deref(), Some(word));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_search() {
        let cursor = cursor::encode(&Key {
            pk: whole_shop(),
            sk: "TEA-1".to_owned(),
        });
        assert!(search_for("", &[]).from(&cursor).is_ok());
        assert!(search_for("green", &[]).from(&cursor).is_err());
        assert!(search_for("", &[]).from("nonsense").is_err());
    }

    proptest! {
        #[test]
        fn no_search_finds_a_product_twice(title in "[a-c ]{0,12}", text in "[a-c ]{0,6}") {
            prop_assert!(count_matches(&search_for(&text, &[]), &product("TEA-1", &title, &title)) <= 1);
        }
    }
}
