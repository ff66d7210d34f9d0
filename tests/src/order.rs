//! An order as its shopper sees it.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// The price of one, in cents.
    pub unit_cents: i64,
}

/// An order, whole or in a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: Uuid,
    /// Its name for people.
    pub number: String,
    /// Where it stands as a whole.
    pub status: String,
    /// Where its money stands.
    pub payment: String,
    /// Where its parcel stands.
    pub fulfilment: String,
    /// Why it waits, while it waits.
    pub hold: Option<Value>,
    /// What it costs.
    pub total_cents: i64,
    /// The parcel's number, once there is a label.
    pub tracking_number: Option<String>,
    /// What was ordered; not in a list.
    #[serde(default)]
    pub lines: Vec<Line>,
}

impl Order {
    /// The payment ledger of an order that was paid once, to the cent.
    pub fn paid_once(&self) -> [String; 2] {
        let total = self.total_cents;
        [
            format!("authorized {total} EUR"),
            format!("captured {total} EUR"),
        ]
    }

    /// The payment ledger of an order whose money was held, and let go.
    pub fn let_go(&self) -> [String; 2] {
        let total = self.total_cents;
        [
            format!("authorized {total} EUR"),
            format!("canceled {total} EUR"),
        ]
    }

    fn stands(&self, status: &str, payment: &str, fulfilment: &str) -> bool {
        self.status == status && self.payment == payment && self.fulfilment == fulfilment
    }
}

/// Paid, and on its way.
pub fn shipped(order: &Order) -> bool {
    order.stands("completed", "captured", "shipped")
}

/// Cancelled, because the bank said no.
pub fn declined(order: &Order) -> bool {
    order.stands("cancelled", "failed", "cancelled")
}

/// Cancelled, and the money that was held let go.
pub fn undone(order: &Order) -> bool {
    order.stands("cancelled", "voided", "cancelled")
}

/// Waiting for a provider.
pub fn waiting(order: &Order) -> bool {
    order.hold.is_some()
}
