//! What a shopper asks for, and how it becomes an order.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    address::Address,
    catalogue::{Language, Product},
    ids::{Email, OrderId, PaymentMethod, ShopperId, Sku},
    money::{Cents, Currency},
    order::{Line, Order},
    status::{FulfilmentStatus, OrderStatus, PaymentStatus},
    text::Invalid,
};

/// The most lines of one order.
pub const MAX_LINES: usize = 100;

/// The least that one payment can be, in cents: the payment provider's own limit for the euro.
const MIN_TOTAL: i64 = 50;

/// Who places an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shopper {
    /// The shopper's own id.
    pub id: ShopperId,
    /// Where messages about the order go.
    pub email: String,
}

impl Shopper {
    /// Somebody who orders without an account.
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
}

/// How many of one thing.
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

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedLine {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// 1 to [`MAX_LINES`] wishes. Two may name the same SKU.
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
    /// The currency the shopper was shown.
    pub currency: Currency,
    /// What is wanted.
    pub lines: RequestedLines,
    /// Where it goes.
    pub shipping_address: Address,
    /// What it is paid with.
    pub payment_method: PaymentMethod,
}

/// The fingerprint of a request: tells a repeated request from another under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash(pub [u8; 32]);

impl RequestHash {
    /// The fingerprint of any parsed request, blind to white space and the order of its fields.
    pub fn of(request: &impl Serialize) -> Self {
        // A request that was parsed from JSON can be written as JSON.
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
        /// Which line, from 0.
        line: usize,
    },
    /// The product is sold in another currency.
    #[error("this product is sold in {sold_in}")]
    WrongCurrency {
        /// Which currency it is sold in.
        sold_in: Currency,
    },
    /// The total is beyond what one payment can be.
    #[error("the order must cost 50 to 99999999 cents")]
    TotalOutOfRange,
}

impl PlacementError {
    /// The field of the request that is at fault.
    pub fn field(&self) -> String {
        match self {
            Self::UnknownSku { line } => format!("lines[{line}].sku"),
            Self::WrongCurrency { .. } => "currency".to_owned(),
            Self::TotalOutOfRange => "lines".to_owned(),
        }
    }
}

impl Placement {
    /// The SKUs that are wanted, each once.
    pub fn skus(&self) -> Vec<Sku> {
        let mut skus: Vec<Sku> = self.lines.0.iter().map(|line| line.sku.clone()).collect();
        skus.sort_unstable();
        skus.dedup();
        skus
    }

    /// The first line that wants one of `skus`, as a path in the request.
    pub fn field_of(&self, skus: &[Sku]) -> Option<String> {
        let line = self
            .lines
            .0
            .iter()
            .position(|line| skus.contains(&line.sku))?;
        Some(format!("lines[{line}].sku"))
    }

    /// The order that this request makes, at the catalogue's prices.
    pub fn into_order(
        self,
        id: OrderId,
        shopper: Shopper,
        products: &HashMap<Sku, Product>,
        language: Language,
        now: Timestamp,
    ) -> Result<Order, PlacementError> {
        let lines = self.priced_lines(products, language)?;
        let total = total(&lines).ok_or(PlacementError::TotalOutOfRange)?;
        Ok(Order {
            id,
            number: id.number(),
            shopper,
            status: OrderStatus::Pending,
            payment: PaymentStatus::NotPaid,
            fulfilment: FulfilmentStatus::Unfulfilled,
            hold: None,
            currency: self.currency,
            total,
            lines,
            shipping_address: self.shipping_address,
            payment_method: self.payment_method,
            payment_id: None,
            authorize_round: 0,
            capture_before: None,
            refunds: Vec::new(),
            label: None,
            placed_at: now,
            updated_at: now,
        })
    }

    fn priced_lines(
        &self,
        products: &HashMap<Sku, Product>,
        language: Language,
    ) -> Result<Vec<Line>, PlacementError> {
        let priced = self.lines.0.iter().enumerate().map(|(line, wish)| {
            let product = products
                .get(&wish.sku)
                .ok_or(PlacementError::UnknownSku { line })?;
            if product.price.currency != self.currency {
                return Err(PlacementError::WrongCurrency {
                    sold_in: product.price.currency.clone(),
                });
            }
            Ok(Line {
                sku: wish.sku.clone(),
                title: product.title.get(language).to_owned(),
                quantity: wish.quantity,
                unit_cents: product.price.cents,
            })
        });
        priced.collect()
    }
}

fn total(lines: &[Line]) -> Option<Cents> {
    let total = lines.iter().try_fold(Cents::ZERO, |sum, line| {
        sum.plus(line.unit_cents.times(line.quantity.get())?)
    })?;
    (total.get() >= MIN_TOTAL).then_some(total)
}
