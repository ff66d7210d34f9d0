//! What a product is found by: pure functions from products and searches to keys of the table.
//!
//! A product stands in the table once by its SKU, and once more as an [`Entry`] under everything it
//! can be found by: the whole shop, its category, each attribute, each word of its titles. A search
//! reads the entries of its narrowest condition, and drops those that fail the others.

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

/// How many letters of a word name its partition: enough to spread them, few enough to search by.
const PARTITION_LETTERS: usize = 2;

/// The most words, attributes and shelves that one product is found by: a change writes an item for
/// each new one and takes away one for each old one, and a transaction of DynamoDB has room for 100.
pub const MAX_TERMS: usize = 49;

/// The most words of a search that count.
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

/// Enough of a product to tell whether a search wants it.
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

    /// Where the entry stands: once for everything that its product can be found by.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        let sku = self.sku.as_str();
        let by_shelf = [whole_shop(), shelf(&self.category)].map(|pk| Key {
            pk,
            sk: sku.to_owned(),
        });
        // Those of a category stand together, for who looks in there.
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

/// Whether the product is found by no more than [`MAX_TERMS`].
pub fn is_findable(product: &Product) -> bool {
    Entry::of(product).keys().len() <= MAX_TERMS
}

/// What to look for. Every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    category: Option<CategoryId>,
    words: Vec<String>,
    attributes: BTreeMap<String, String>,
}

/// Where in the table a search reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) pk: String,
    /// What the sort keys begin with.
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

/// Where a page of a search begins.
#[derive(Debug, Clone)]
pub struct SearchFrom {
    pub(super) range: Range,
    pub(super) position: Key,
}

impl Search {
    /// A search for products of `category`, with a word that begins with each word of `text`, and
    /// with these attributes.
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

    /// Where the page that gave out the cursor ended; it must have been a page of this search.
    pub fn from(&self, cursor: &str) -> Result<SearchFrom, BadCursor> {
        let position: Key = cursor::decode(cursor)?;
        let mut ranges = self.ranges().into_iter();
        let range = ranges.find(|range| range.contains(&position));
        let range = range.ok_or(BadCursor)?;
        Ok(SearchFrom { range, position })
    }

    /// Ranges of which each holds everything that is looked for: one for each word, the longest first, as the one
    /// that most likely holds least.
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

    /// Where everything stands that is looked for without words.
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

    /// How many entries to read in one call for a page of `limit` products: one more than are on it where the range
    /// decides, or else as many as there may be to drop.
    pub(super) fn entries_at_once(&self, limit: usize) -> usize {
        match (self.words.len(), self.attributes.len(), &self.category) {
            (0, 0 | 1, _) | (1, 0, None) => limit + 1,
            _ => READ_BATCH,
        }
    }

    /// Whether the entry that stands at `sk` in that range is looked for. A product with several words that begin
    /// alike has an entry in the range for each of them; the first alone counts.
    pub(super) fn wants(&self, entry: &Entry, range: &Range, sk: &str) -> bool {
        let found_by = |word: &str| entry.words.iter().find(|known| known.starts_with(word));
        let word = range.prefix.as_deref().filter(|_| !self.words.is_empty());
        let first = word.is_none_or(|word| {
            found_by(word).is_some_and(|known| {
                sk.strip_prefix(known.as_str())
                    .is_some_and(|rest| rest.starts_with('#'))
            })
        });
        first
            && self
                .category
                .as_ref()
                .is_none_or(|category| *category == entry.category)
            && self
                .attributes
                .iter()
                .all(|(name, value)| entry.attributes.get(name) == Some(value))
            && self.words.iter().all(|word| found_by(word).is_some())
    }
}

/// The words of a text as they are compared: without accents, in lower case, two letters or more.
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

    /// How often a product is found in each range of a search.
    fn finds_in_each(search: &Search, product: &Product) -> Vec<usize> {
        let entry = Entry::of(product);
        let finds_in = |range: &Range| {
            entry
                .keys()
                .iter()
                .filter(|key| range.contains(key) && search.wants(&entry, range, &key.sk))
                .count()
        };
        search.ranges().iter().map(finds_in).collect()
    }

    fn finds(search: &Search, product: &Product) -> usize {
        let found = finds_in_each(search, product);
        assert!(found.iter().all(|times| *times == found[0]), "{found:?}");
        found[0]
    }

    fn by(text: &str, attributes: &[(&str, &str)]) -> Search {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Search::new(None, text, attributes.collect())
    }

    #[test]
    fn words_are_found_by_their_beginnings_in_both_languages_without_accents() {
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
            assert_eq!(finds(&by(text, &[]), &tea), 1, "{text}");
        }
        for text in ["black", "green black", "reen"] {
            assert_eq!(finds(&by(text, &[]), &tea), 0, "{text}");
        }
    }

    #[test]
    fn attributes_narrow_a_search() {
        let tea = product("TEA-1", "Green tea", "Té verde");
        assert_eq!(
            finds(&by("", &[("origin", "Japan"), ("organic", "true")]), &tea),
            1
        );
        assert_eq!(
            finds(&by("", &[("origin", "Japan"), ("organic", "false")]), &tea),
            0
        );
        assert_eq!(finds(&by("green", &[("origin", "China")]), &tea), 0);
    }

    #[test]
    fn an_attribute_is_looked_for_in_one_category_alone() {
        let tea = product("TEA-1", "Green tea", "Té verde");
        let organic = BTreeMap::from([("organic".to_owned(), "true".to_owned())]);
        for (category, times) in [("tea", 1), ("te", 0), ("coffee", 0)] {
            let search = Search::new(Some(category.parse().unwrap()), "", organic.clone());
            assert_eq!(finds(&search, &tea), times, "{category}");
        }
    }

    #[test]
    fn where_one_range_decides_no_more_is_read_than_a_page_holds() {
        let in_tea = |text, attributes: &[(&str, &str)]| Search {
            category: Some("tea".parse().unwrap()),
            ..by(text, attributes)
        };
        let (organic, japan) = (("organic", "true"), ("origin", "Japan"));
        let decided = [
            by("", &[]),
            by("green", &[]),
            by("", &[organic]),
            in_tea("", &[]),
            in_tea("", &[organic]),
        ];
        let undecided = [
            by("green tea", &[]),
            by("green", &[organic]),
            by("", &[organic, japan]),
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
            let from = by("green tea", &[]).from(&cursor).unwrap();
            assert_eq!(from.range.prefix.as_deref(), Some(word));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_search() {
        let cursor = cursor::encode(&Key {
            pk: whole_shop(),
            sk: "TEA-1".to_owned(),
        });
        assert!(by("", &[]).from(&cursor).is_ok());
        assert!(by("green", &[]).from(&cursor).is_err());
        assert!(by("", &[]).from("nonsense").is_err());
    }

    proptest! {
        #[test]
        fn no_search_finds_a_product_twice(title in "[a-c ]{0,12}", text in "[a-c ]{0,6}") {
            prop_assert!(finds(&by(&text, &[]), &product("TEA-1", &title, &title)) <= 1);
        }
    }
}
