//! Orders as the API returns them.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// The product.
    pub sku: String,
    /// The number of articles.
    pub quantity: i64,
    /// The price of one article, in cents.
    pub unit_cents: i64,
}

/// An order as a whole or in a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Order {
    /// The order's id.
    pub id: Uuid,
    /// The number that people use.
    pub number: String,
    /// The status of the order.
    pub status: String,
    /// The status of its payment.
    pub payment: String,
    /// The status of its shipment.
    pub fulfilment: String,
    /// Why it waits for a provider, if it does.
    pub wait: Option<Value>,
    /// The total, in cents.
    pub total_cents: i64,
    /// The parcel's tracking number, once there is a label.
    pub tracking_number: Option<String>,
    /// What was ordered. Empty in a list.
    #[serde(default)]
    pub lines: Vec<Line>,
}

impl Order {
    /// The payment ledger of an order whose total was captured once.
    pub fn paid_once(&self) -> [String; 2] {
        let total = self.total_cents;
        [
            format!("authorized {total} EUR"),
            format!("captured {total} EUR"),
        ]
    }

    /// The payment ledger of an order whose authorization was voided.
    pub fn voided_once(&self) -> [String; 2] {
        let total = self.total_cents;
        [
            format!("authorized {total} EUR"),
            format!("canceled {total} EUR"),
        ]
    }

    fn has_status(&self, status: &str, payment: &str, fulfilment: &str) -> bool {
        self.status == status && self.payment == payment && self.fulfilment == fulfilment
    }
}

/// The order is paid and shipped.
pub fn shipped(order: &Order) -> bool {
    order.has_status("completed", "captured", "shipped")
}

/// The order was cancelled because the bank declined the payment.
pub fn declined(order: &Order) -> bool {
    order.has_status("cancelled", "failed", "cancelled")
}

/// The order was cancelled and its authorization voided.
pub fn voided(order: &Order) -> bool {
    order.has_status("cancelled", "voided", "cancelled")
}

/// The order waits for a provider.
pub fn waiting(order: &Order) -> bool {
    order.wait.is_some()
}
