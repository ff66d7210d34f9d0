//! Generates the shop's catalogue from the vocabularies. The result is the same on every run.

use std::collections::{BTreeMap, HashSet};

use orders::{
    AmountError, CurrencyRules, Invalid, Money, Sku, UnsupportedCurrency,
    catalogue::{Category, LocalizedText, Product},
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::vocabulary::{Choice, Item, Phrase, Shelf, Words, shelves};

/// The seed of all random choices. A change of it changes every product.
const SEED: u64 = 0xCA0CE;

/// How often a product is drawn until its title is unique.
const MAX_DRAWS: usize = 200;

const CENTS_PER_EURO: u32 = 100;

/// The cents of prices. One that is listed twice is twice as frequent.
const PRICE_ENDINGS: [u32; 5] = [0, 50, 90, 90, 95];

/// The share of products that are sold out or nearly sold out.
const SOLD_OUT_PERCENT: u32 = 2;
const NEARLY_SOLD_OUT_PERCENT: u32 = 4;

/// An error in a vocabulary.
#[derive(Debug, Error)]
pub(crate) enum VocabularyError {
    #[error("cannot parse a vocabulary")]
    Unreadable(#[from] serde_json::Error),
    #[error("a vocabulary leads to a value that {0}")]
    Invalid(#[from] Invalid),
    #[error("a vocabulary leads to a price that {0}")]
    Price(#[from] AmountError),
    #[error("the currency {0}")]
    Currency(#[from] UnsupportedCurrency),
    #[error("the vocabulary of {category} has too few words for unique titles")]
    TooFewWords { category: String },
    #[error("the vocabulary of {category} has no {what} to choose from")]
    NoChoice { category: String, what: String },
    #[error("the template {template:?} uses the unknown word {{{name}}}")]
    NoSuchWord { name: String, template: String },
}

/// The catalogue and the stock.
pub(crate) struct Shop {
    pub(crate) categories: Vec<Category>,
    pub(crate) products: Vec<Product>,
    /// The available quantity of each product.
    pub(crate) stock: Vec<(Sku, i64)>,
}

impl Shop {
    /// Generates the shop, which is always the same.
    pub(crate) fn generate() -> Result<Self, VocabularyError> {
        let shelves = shelves()?;
        let mut products = Vec::new();
        for (stream, shelf) in (1..).zip(&shelves) {
            products.extend(ProductGenerator::of(shelf, generator(stream)).products()?);
        }
        let mut random = generator(0);
        let stock = products
            .iter()
            .map(|product| (product.sku.clone(), stock(&mut random)))
            .collect();
        Ok(Self {
            categories: shelves.iter().map(Shelf::category).collect(),
            products,
            stock,
        })
    }
}

/// A random number generator with a stable algorithm. Each shelf has its own stream, so that a
/// change of one does not change the others.
fn generator(stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    random.set_stream(stream);
    random
}

fn stock(random: &mut impl Rng) -> i64 {
    let percent = random.random_range(0..100);
    if percent < SOLD_OUT_PERCENT {
        0
    } else if percent < SOLD_OUT_PERCENT + NEARLY_SOLD_OUT_PERCENT {
        random.random_range(1..=3)
    } else {
        random.random_range(20..=500)
    }
}

/// Generates the products of one shelf.
struct ProductGenerator<'a> {
    shelf: &'a Shelf,
    random: ChaCha8Rng,
    titles: HashSet<String>,
}

/// The random choices for one product.
struct Draw<'a> {
    choices: Vec<(&'a str, &'a Choice)>,
    /// The values of the words in templates.
    words: BTreeMap<&'a str, LocalizedText>,
    title: LocalizedText,
}

impl<'a> ProductGenerator<'a> {
    fn of(shelf: &'a Shelf, random: ChaCha8Rng) -> Self {
        Self {
            shelf,
            random,
            titles: HashSet::new(),
        }
    }

    fn products(mut self) -> Result<Vec<Product>, VocabularyError> {
        // Round-robin, so that each item has products.
        let items = self.shelf.items.iter().cycle();
        let items: Vec<&Item> = items.take(self.shelf.products).collect();
        (1..)
            .zip(items)
            .map(|(number, item)| self.product(number, item))
            .collect()
    }

    fn product(&mut self, number: usize, item: &'a Item) -> Result<Product, VocabularyError> {
        let draw = self.draw_unique(item)?;
        let sku = format!("{}-{number:04}", self.shelf.id.as_str().to_uppercase());
        Ok(Product {
            image: sku.to_lowercase(),
            sku: Sku::try_from(sku)?,
            category: self.shelf.id.clone(),
            description: self.description(item, &draw)?,
            price: self.price(item, &draw)?,
            attributes: draw
                .choices
                .iter()
                .map(|(name, choice)| ((*name).to_owned(), choice.value.clone()))
                .collect(),
            title: draw.title,
        })
    }

    /// Draws until the title is unique.
    fn draw_unique(&mut self, item: &'a Item) -> Result<Draw<'a>, VocabularyError> {
        for _ in 0..MAX_DRAWS {
            let draw = self.draw(item)?;
            let LocalizedText { en, es } = &draw.title;
            if !self.titles.contains(en) && !self.titles.contains(es) {
                self.titles.extend([en.clone(), es.clone()]);
                return Ok(draw);
            }
        }
        Err(VocabularyError::TooFewWords {
            category: self.shelf.id.to_string(),
        })
    }

    fn draw(&mut self, item: &'a Item) -> Result<Draw<'a>, VocabularyError> {
        let mut choices = Vec::new();
        let mut words = BTreeMap::from([("item", item.label())]);
        for attribute in &self.shelf.attributes {
            let name = attribute.name.as_str();
            if item.only.get(name).is_some_and(Vec::is_empty) {
                continue;
            }
            let allowed: Vec<&Choice> = attribute
                .values
                .iter()
                .filter(|choice| item.allows(name, &choice.value))
                .collect();
            let choice = self.one_of(&allowed, name)?;
            words.insert(name, choice.label());
            choices.push((name, *choice));
        }
        for (name, phrases) in overlay(&self.shelf.words, &item.words) {
            words.insert(name, self.one_of(phrases, name)?.text());
        }
        let titles = first_non_empty(&item.titles, &self.shelf.titles);
        let title = fill_in_localized(self.one_of(titles, "titles")?, &words)?;
        Ok(Draw {
            choices,
            words,
            title,
        })
    }

    /// An opening, and the note of an attribute or else a closing.
    fn description(&mut self, item: &Item, draw: &Draw) -> Result<LocalizedText, VocabularyError> {
        let openings = first_non_empty(&item.descriptions, &self.shelf.descriptions);
        let opening = fill_in_localized(self.one_of(openings, "descriptions")?, &draw.words)?;
        let closings = first_non_empty(&item.closings, &self.shelf.closings);
        let closing = self.one_of(closings, "closings")?;
        let mut notes = draw.choices.iter().filter_map(|(_, it)| it.note.as_ref());
        let closing = notes.next().unwrap_or(closing);
        Ok(LocalizedText {
            en: format!("{} {}", opening.en, closing.en),
            es: format!("{} {}", opening.es, closing.es),
        })
    }

    fn price(&mut self, item: &Item, draw: &Draw) -> Result<Money, VocabularyError> {
        let base = self.random.random_range(item.price());
        let cents = draw
            .choices
            .iter()
            .fold(base, |cents, (_, choice)| cents * choice.price / 100);
        let euros = (cents / CENTS_PER_EURO).max(1);
        let ending = self.one_of(&PRICE_ENDINGS, "price endings")?;
        let cents = i64::from(euros * CENTS_PER_EURO + ending);
        let rules = CurrencyRules::of("EUR")?;
        Ok(Money {
            cents: rules.price(cents)?,
            currency: rules.into(),
        })
    }

    fn one_of<'b, T>(&mut self, choices: &'b [T], what: &str) -> Result<&'b T, VocabularyError> {
        choices
            .choose(&mut self.random)
            .ok_or_else(|| VocabularyError::NoChoice {
                category: self.shelf.id.to_string(),
                what: what.to_owned(),
            })
    }
}

/// The words of the shelf, overridden by those of the item.
fn overlay<'a>(shelf: &'a Words, item: &'a Words) -> BTreeMap<&'a str, &'a [Phrase]> {
    let words = shelf.iter().chain(item);
    words
        .map(|(name, phrases)| (name.as_str(), phrases.as_slice()))
        .collect()
}

fn first_non_empty<'a, T>(first: &'a [T], second: &'a [T]) -> &'a [T] {
    if first.is_empty() { second } else { first }
}

fn fill_in_localized(
    template: &LocalizedText,
    words: &BTreeMap<&str, LocalizedText>,
) -> Result<LocalizedText, VocabularyError> {
    Ok(LocalizedText {
        en: fill_in(&template.en, |name| {
            words.get(name).map(|it| it.en.as_str())
        })?,
        es: fill_in(&template.es, |name| {
            words.get(name).map(|it| it.es.as_str())
        })?,
    })
}

/// Replaces every `{name}` in the template, and begins the text with a capital letter.
fn fill_in<'a>(
    template: &str,
    word: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, VocabularyError> {
    let mut text = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let word = word(name).ok_or_else(|| VocabularyError::NoSuchWord {
            name: name.to_owned(),
            template: template.to_owned(),
        })?;
        text.push_str(before);
        text.push_str(word);
        rest = after;
    }
    text.push_str(rest);
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    Ok(first.chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;
    use orders::catalogue::ProductDraft;
    use sha2::{Digest, Sha256};

    use super::*;

    fn shop() -> Shop {
        Shop::generate().unwrap()
    }

    #[test]
    fn there_are_at_least_a_thousand_products_with_unique_skus_and_titles() {
        let shop = shop();
        let products = shop.products.len();
        assert!(products >= 1_000, "{products}");
        let unique = |of: fn(&Product) -> &str| {
            let names: HashSet<&str> = shop.products.iter().map(of).collect();
            names.len()
        };
        assert_eq!(unique(|product| product.sku.as_str()), products);
        assert_eq!(unique(|product| &product.title.en), products);
        assert_eq!(unique(|product| &product.title.es), products);
    }

    #[test]
    fn a_product_can_be_found_by_each_of_its_attributes() {
        let shop = shop();
        for product in &shop.products {
            let mut categories = shop.categories.iter();
            let category = categories.find(|category| category.id == product.category);
            let category = category.unwrap();
            assert!(!product.attributes.is_empty(), "{}", product.sku);
            for (name, value) in &product.attributes {
                let mut attributes = category.attributes.iter();
                let attribute = attributes.find(|attribute| attribute.name == *name);
                let values = &attribute.unwrap().values;
                assert!(
                    values.contains(&value.to_string()),
                    "{} {name}",
                    product.sku
                );
            }
        }
    }

    #[test]
    fn a_product_passes_the_checks_of_the_catalogue_editor() {
        let shop = shop();
        for product in &shop.products {
            let draft = ProductDraft::from(product);
            let checked = draft.check(&product.sku, &shop.categories);
            assert_eq!(checked.as_ref(), Ok(product));
            assert!(store::catalogue::is_findable(product), "{}", product.sku);
        }
    }

    #[test]
    fn every_value_of_an_attribute_finds_a_product() {
        let shop = shop();
        for category in &shop.categories {
            for attribute in &category.attributes {
                for value in &attribute.values {
                    let found = shop.products.iter().any(|product| {
                        let has = product.attributes.get(&attribute.name);
                        product.category == category.id
                            && has.is_some_and(|it| it.to_string() == *value)
                    });
                    assert!(found, "{} {} {value}", category.id, attribute.name);
                }
            }
        }
    }

    #[test]
    fn prices_are_in_range_and_have_usual_endings() {
        for product in shop().products {
            let cents = product.price.cents.get();
            assert!((100..30_000).contains(&cents), "{} {cents}", product.sku);
            assert!(
                [0, 50, 90, 95].contains(&(cents % 100)),
                "{} {cents}",
                product.sku
            );
        }
    }

    #[test]
    fn texts_have_no_placeholders_or_stray_spaces() {
        for product in shop().products {
            for text in [&product.title, &product.description] {
                for text in [&text.en, &text.es] {
                    assert!(!text.contains(['{', '}']), "{text}");
                    assert!(!text.contains("  ") && text.trim() == text, "{text}");
                    assert!(
                        text.starts_with(|c: char| c.is_uppercase() || c.is_numeric()),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn most_products_are_in_stock_and_some_are_sold_out_or_nearly() {
        let shop = shop();
        assert_eq!(shop.stock.len(), shop.products.len());
        let count = |low, high| {
            let stock = shop.stock.iter().map(|(_, available)| *available);
            stock.filter(|it| (low..=high).contains(it)).count()
        };
        let (none, few, plenty) = (count(0, 0), count(1, 3), count(20, 500));
        assert!(
            none > 5 && few > 10 && plenty > 1_000,
            "{none} {few} {plenty}"
        );
        assert_eq!(none + few + plenty, shop.stock.len());
    }

    #[test]
    fn the_shop_is_the_same_every_time() {
        let shop = shop();
        let all = (&shop.categories, &shop.products, &shop.stock);
        let hash = Sha256::digest(serde_json::to_vec(&all).unwrap());
        let hash = hash
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let samples: Vec<&Product> = shop.products.iter().step_by(100).collect();
        assert_json_snapshot!((hash, samples));
    }
}
