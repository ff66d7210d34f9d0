//! A shopper's request for an order, and the order that it becomes.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    address::Address,
    catalogue::{Language, Product},
    currency::{AmountError, CurrencyRules, UnsupportedCurrency},
    ids::{Email, OrderId, PaymentMethod, ShopperId, Sku},
    money::{Cents, Currency},
    order::{Line, Order},
    payment::Payment,
    status::{FulfilmentStatus, OrderStatus},
    text::Invalid,
};

/// The most lines of one order.
pub const MAX_LINES: usize = 100;

/// The person who places an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shopper {
    /// The shopper's id.
    pub id: ShopperId,
    /// The e-mail address for messages about the order.
    pub email: String,
}

impl Shopper {
    /// Returns a shopper without an account.
    pub fn guest(email: &Email) -> Self {
        Self {
            id: ShopperId::guest(email),
            email: email.as_str().to_owned(),
        }
    }

    /// Whether the order was placed without an account.
    pub fn is_guest(&self) -> bool {
        let email = self.email.parse();
        email.is_ok_and(|email| ShopperId::guest(&email) == self.id)
    }

    /// Whether this is the user with this id, or a guest with the user's e-mail address.
    pub fn is_user(&self, id: ShopperId, email: &str) -> bool {
        let guest = email.parse().map(|email| ShopperId::guest(&email));
        self.id == id || guest == Ok(self.id)
    }
}

/// A number of units of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = u32, minimum = 1, maximum = 999)]
pub struct Quantity(u32);

impl Quantity {
    /// The quantity as a number, 1 to 999.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Invalid;

    fn try_from(quantity: i64) -> Result<Self, Self::Error> {
        match u32::try_from(quantity) {
            Ok(quantity @ 1..=999) => Ok(Self(quantity)),
            _ => Err(Invalid("must be 1 to 999")),
        }
    }
}

/// A line of a requested order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedLine {
    /// The product.
    pub sku: Sku,
    /// The number of units.
    pub quantity: Quantity,
}

/// The lines of a requested order, 1 to 100. Several may have the same SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<RequestedLine>")]
#[schema(min_items = 1, max_items = 100)]
pub struct RequestedLines(Vec<RequestedLine>);

impl TryFrom<Vec<RequestedLine>> for RequestedLines {
    type Error = Invalid;

    fn try_from(lines: Vec<RequestedLine>) -> Result<Self, Self::Error> {
        if (1..=MAX_LINES).contains(&lines.len()) {
            Ok(Self(lines))
        } else {
            Err(Invalid("must have 1 to 100 lines"))
        }
    }
}

/// A shopper's request for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The currency of the prices that the shopper saw.
    pub currency: Currency,
    /// The requested products.
    pub lines: RequestedLines,
    /// The address that the order is shipped to.
    pub shipping_address: Address,
    /// The card that the order is paid with.
    pub payment_method: PaymentMethod,
}

/// The hash of a request. It distinguishes a repeated request from a different one with the same
/// idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash(pub [u8; 32]);

impl RequestHash {
    /// Returns the hash of a parsed request. White space and the order of fields do not change it.
    pub fn of(request: &impl Serialize) -> Self {
        // A request that was parsed from JSON can be serialized as JSON.
        let canonical = serde_json::to_vec(request).unwrap_or_default();
        Self(Sha256::digest(canonical).into())
    }
}

/// Why a request cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlacementError {
    /// The catalogue has no such product.
    #[error("no product has this SKU")]
    UnknownSku {
        /// The index of the line, from 0.
        line: usize,
    },
    /// The product is sold in another currency.
    #[error("this product is sold in {sold_in}")]
    WrongCurrency {
        /// The currency of its price.
        sold_in: Currency,
    },
    /// The shop does not support the currency. Products may have been stored with it before.
    #[error(transparent)]
    UnsupportedCurrency(#[from] UnsupportedCurrency),
    /// The product was stored with a price that cannot be charged.
    #[error("this product cannot be ordered: its price {rule}")]
    UnchargeablePrice {
        /// The index of the line, from 0.
        line: usize,
        /// The rule that the price breaks.
        rule: AmountError,
    },
    /// The total is less or more than one payment can be.
    #[error("the order must cost {} to {}", .0.write(.0.minimum()), .0.write(.0.maximum()))]
    TotalOutOfRange(&'static CurrencyRules),
}

impl PlacementError {
    /// Returns the path of the invalid field in the request.
    pub fn field(&self) -> String {
        match self {
            Self::UnknownSku { line } | Self::UnchargeablePrice { line, .. } => {
                format!("lines[{line}].sku")
            }
            Self::WrongCurrency { .. } | Self::UnsupportedCurrency(_) => "currency".to_owned(),
            Self::TotalOutOfRange(_) => "lines".to_owned(),
        }
    }
}

impl Placement {
    /// Returns the requested SKUs, each once.
    pub fn skus(&self) -> Vec<Sku> {
        let mut skus: Vec<Sku> = self.lines.0.iter().map(|line| line.sku.clone()).collect();
        skus.sort_unstable();
        skus.dedup();
        skus
    }

    /// Returns the path of the first line with one of `skus`.
    pub fn field_of(&self, skus: &[Sku]) -> Option<String> {
        let line = self
            .lines
            .0
            .iter()
            .position(|line| skus.contains(&line.sku))?;
        Some(format!("lines[{line}].sku"))
    }

    /// Returns the order for this request, at the catalogue's prices.
    pub fn into_order(
        self,
        id: OrderId,
        shopper: Shopper,
        products: &HashMap<Sku, Product>,
        language: Language,
        now: Timestamp,
    ) -> Result<Order, PlacementError> {
        let rules = self.currency.rules()?;
        let lines = self.priced_lines(products, language, rules)?;
        let total = total(&lines).and_then(|total| rules.total(total).ok());
        let total = total.ok_or(PlacementError::TotalOutOfRange(rules))?;
        Ok(Order {
            id,
            number: id.number(),
            shopper,
            status: OrderStatus::Pending,
            payment: Payment::NEW,
            fulfilment: FulfilmentStatus::Unfulfilled,
            wait: None,
            currency: self.currency,
            total,
            lines,
            shipping_address: self.shipping_address,
            payment_method: self.payment_method,
            disputes: Vec::new(),
            refunds: Vec::new(),
            label: None,
            placed_at: now,
            updated_at: now,
            last_call_at: None,
        })
    }

    fn priced_lines(
        &self,
        products: &HashMap<Sku, Product>,
        language: Language,
        rules: &'static CurrencyRules,
    ) -> Result<Vec<Line>, PlacementError> {
        let priced = self.lines.0.iter().enumerate().map(|(line, requested)| {
            let product = products
                .get(&requested.sku)
                .ok_or(PlacementError::UnknownSku { line })?;
            if product.price.currency != self.currency {
                return Err(PlacementError::WrongCurrency {
                    sold_in: product.price.currency.clone(),
                });
            }
            let unit_cents = rules
                .without_fraction(product.price.cents)
                .map_err(|rule| PlacementError::UnchargeablePrice { line, rule })?;
            Ok(Line {
                sku: requested.sku.clone(),
                title: product.title.get(language).to_owned(),
                quantity: requested.quantity,
                unit_cents,
            })
        });
        priced.collect()
    }
}

fn total(lines: &[Line]) -> Option<Cents> {
    lines.iter().try_fold(Cents::ZERO, |sum, line| {
        sum.checked_add(line.unit_cents.checked_mul(line.quantity.get())?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Orders two units of a product with this price, in `currency`.
    fn order(price: i64, sold_in: &str, currency: &str) -> Result<Order, PlacementError> {
        let product: Product = serde_json::from_value(json!({
            "sku": "TEA-1",
            "category": "tea",
            "title": { "en": "Tea", "es": "Té" },
            "description": { "en": "It is green.", "es": "Es verde." },
            "price": { "cents": price, "currency": sold_in },
            "attributes": {},
            "image": "tea",
        }))
        .unwrap();
        let placement: Placement = serde_json::from_value(json!({
            "currency": currency,
            "lines": [{ "sku": "TEA-1", "quantity": 2 }],
            "shipping_address": {
                "name": "Ana", "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001",
                "country": "ES",
            },
            "payment_method": "pm_card_visa",
        }))
        .unwrap();
        let shopper = Shopper::guest(&"ana@cauce.example".parse().unwrap());
        let products = HashMap::from([(product.sku.clone(), product)]);
        let now = Timestamp::UNIX_EPOCH;
        placement.into_order(OrderId::generate(), shopper, &products, Language::En, now)
    }

    #[test]
    fn an_order_follows_the_rules_of_its_currency() {
        for (price, currency) in [(25, "EUR"), (25, "JPY"), (15_000, "ISK"), (8_800, "HUF")] {
            let order = order(price, currency, currency).unwrap();
            assert_eq!(order.total.get(), 2 * price, "{currency}");
        }
        for (price, currency, field) in [
            (24, "EUR", "lines"),
            (24, "JPY", "lines"),
            // Enough in euros, but too little in these currencies.
            (25, "CZK", "lines"),
            (8_700, "HUF", "lines"),
            (50_000_000, "EUR", "lines"),
            (999_999_999, "IDR", "lines"),
        ] {
            let refused = order(price, currency, currency).unwrap_err();
            assert_eq!(refused.field(), field, "{price} {currency}");
        }
        let too_little = order(24, "EUR", "EUR").unwrap_err().to_string();
        assert_eq!(too_little, "the order must cost 0.50 EUR to 999999.99 EUR");
    }

    #[test]
    fn a_product_that_was_stored_before_the_rules_is_refused() {
        let unsupported = order(1_250, "RSD", "RSD").unwrap_err();
        assert_eq!(unsupported.field(), "currency");
        let other = order(1_250, "RSD", "EUR").unwrap_err();
        assert_eq!(other.to_string(), "this product is sold in RSD");
        let fraction = order(25_050, "ISK", "ISK").unwrap_err();
        assert_eq!(fraction.field(), "lines[0].sku");
        assert!(fraction.to_string().contains("a multiple of 100"));
    }
}
