//! Somebody without an account.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Answer, Order, Stack, Wish, person::new_key};

/// Somebody without an account, at a browser of their own.
pub struct Guest<'a> {
    stack: &'a Stack,
    /// Where messages about the orders go.
    pub email: String,
    /// The network address that the frontend reports for the browser.
    address: String,
}

impl<'a> Guest<'a> {
    /// A guest with a new e-mail address, at a new network address.
    pub fn of(stack: &'a Stack) -> Self {
        let email = format!("{}@guests.cauce.example", Uuid::new_v4());
        Self::at(stack, email, new_address())
    }

    /// A guest with that e-mail address, at that network address.
    pub const fn at(stack: &'a Stack, email: String, address: String) -> Self {
        Self {
            stack,
            email,
            address,
        }
    }

    /// Sends a body to a path under an idempotency key.
    pub async fn posts(&self, path: &str, key: &str, body: &Value) -> Answer {
        let stranger = self.stack.stranger();
        let request = stranger
            .request(Method::POST, path)
            .header("Cauce-Frontend-Key", &self.stack.frontend_key)
            .header("Cauce-Client-Address", &self.address)
            .header("Idempotency-Key", key);
        Answer::of(request.json(body)).await
    }

    /// Tries to place an order under an idempotency key.
    pub async fn tries(&self, wish: &Wish, key: &str) -> Answer {
        let wish = wish.clone().plus("email", self.email.as_str());
        let wish: Value = serde_json::from_str(&wish.body()).expect("a wish is JSON");
        self.posts("/v1/guest/orders", key, &wish).await
    }

    /// Places an order, which must be accepted.
    pub async fn places(&self, wish: &Wish) -> Order {
        self.tries(wish, &new_key()).await.with_status(201).json()
    }

    /// Asks for the order of that number.
    pub async fn asks_for(&self, number: &str) -> Answer {
        let words = json!({ "number": number, "email": self.email });
        self.posts("/v1/guest/orders/find", "", &words).await
    }

    /// Asks for the order that was placed with an idempotency key.
    pub async fn asks_for_placed(&self, key: &str) -> Answer {
        let words = json!({ "email": self.email });
        self.posts("/v1/guest/orders/placed", key, &words).await
    }

    /// The order, and what has happened to it.
    pub async fn finds(&self, order: &Order) -> (Order, Vec<Value>) {
        let found: Value = self.asks_for(&order.number).await.with_status(200).json();
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let order = serde_json::from_value(found["order"].clone());
        (order.expect("an order should be found"), events)
    }

    /// Tries to cancel an order under an idempotency key.
    pub async fn cancels(&self, order: &Order, key: &str) -> Answer {
        let words = json!({ "number": order.number, "email": self.email });
        self.posts("/v1/guest/orders/cancel", key, &words).await
    }
}

/// A network address that no other visitor has.
pub fn new_address() -> String {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    let part = |shift: u32| (high >> shift) & 0xffff;
    format!("2001:db8:{:x}:{:x}::{:x}", part(0), part(48), low & 0xffff)
}
