//! Requests to place an order.

use serde_json::{Value, json};

/// A card that is approved.
pub const APPROVED: &str = "pm_card_visa";

/// A card that the bank declines.
pub const DECLINED: &str = "pm_card_chargeDeclined";

/// A postal code that no carrier delivers to.
pub const NOWHERE: &str = "00000";

/// The body of a request to place an order.
#[derive(Debug, Clone)]
pub struct OrderRequest(Value);

impl OrderRequest {
    /// One line, to an address in Madrid, paid with an approved card.
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

    /// Adds a line.
    #[must_use]
    pub fn and(mut self, sku: &str, quantity: i64) -> Self {
        let line = json!({ "sku": sku, "quantity": quantity });
        let lines = self.0["lines"].as_array_mut();
        lines
            .expect("an order request should have lines")
            .push(line);
        self
    }

    /// Replaces the card.
    #[must_use]
    pub fn paid_with(self, payment_method: &str) -> Self {
        self.with("/payment_method", payment_method)
    }

    /// Replaces the postal code.
    #[must_use]
    pub fn to(self, postal_code: &str) -> Self {
        self.with("/shipping_address/postal_code", postal_code)
    }

    /// Replaces the value at a JSON pointer with a valid or invalid one.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self
            .0
            .pointer_mut(pointer)
            .expect("an order request should have that field") = value.into();
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn plus(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    /// Removes a field.
    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        let fields = self.0.as_object_mut();
        fields
            .expect("an order request should be an object")
            .remove(field);
        self
    }

    /// The body as JSON.
    pub fn body(&self) -> String {
        self.0.to_string()
    }
}
