//! What a shopper asks for.

use serde_json::{Value, json};

/// A card that pays.
pub const APPROVED: &str = "pm_card_visa";

/// A card that the bank declines.
pub const DECLINED: &str = "pm_card_chargeDeclined";

/// A postal code that no carrier goes to.
pub const NOWHERE: &str = "00000";

/// An order before it is placed.
#[derive(Debug, Clone)]
pub struct Wish(Value);

impl Wish {
    /// One product, to Madrid, with a card that pays.
    pub fn of(sku: &str, quantity: i64) -> Self {
        Self(json!({
            "currency": "EUR",
            "lines": [],
            "payment_method": APPROVED,
            "shipping_address": {
                "name": "Ana Gómez",
                "line1": "Calle Mayor 1",
                "city": "Madrid",
                "postal_code": "28013",
                "country": "ES",
            },
        }))
        .and(sku, quantity)
    }

    /// Another line.
    #[must_use]
    pub fn and(mut self, sku: &str, quantity: i64) -> Self {
        let line = json!({ "sku": sku, "quantity": quantity });
        let lines = self.0["lines"].as_array_mut();
        lines.expect("a wish should have lines").push(line);
        self
    }

    /// Another card.
    #[must_use]
    pub fn paid_with(self, payment_method: &str) -> Self {
        self.with("/payment_method", payment_method)
    }

    /// Another place in Spain.
    #[must_use]
    pub fn to(self, postal_code: &str) -> Self {
        self.with("/shipping_address/postal_code", postal_code)
    }

    /// Another value at a JSON pointer, right or wrong.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self
            .0
            .pointer_mut(pointer)
            .expect("a wish should have that field") = value.into();
        self
    }

    /// Another field beside the usual ones.
    #[must_use]
    pub fn plus(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    /// All but one of the usual fields.
    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        let fields = self.0.as_object_mut();
        fields.expect("a wish should be an object").remove(field);
        self
    }

    /// The body of the request.
    pub fn body(&self) -> String {
        self.0.to_string()
    }
}
