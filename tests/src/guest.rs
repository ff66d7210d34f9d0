//! A shopper without an account.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Order, OrderRequest, Response, Stack, person::new_key};

/// A shopper without an account, with a browser of their own.
pub struct Guest<'a> {
    stack: &'a Stack,
    /// The e-mail address of the orders.
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

    /// A guest with this e-mail address and network address.
    pub const fn at(stack: &'a Stack, email: String, address: String) -> Self {
        Self {
            stack,
            email,
            address,
        }
    }

    /// Sends a body to a path with an idempotency key.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        let stranger = self.stack.anonymous();
        let request = stranger
            .request(Method::POST, path)
            .header("Cauce-Frontend-Key", &self.stack.frontend_key)
            .header("Cauce-Client-Address", &self.address)
            .header("Idempotency-Key", key);
        Response::of(request.json(body)).await
    }

    /// Requests an order with an idempotency key.
    pub async fn try_place_order(&self, order_request: &OrderRequest, key: &str) -> Response {
        let order_request = order_request.clone().plus("email", self.email.as_str());
        let order_request: Value =
            serde_json::from_str(&order_request.body()).expect("an order request is JSON");
        self.post("/v1/guest/orders", key, &order_request).await
    }

    /// Places an order, which must be accepted.
    pub async fn place_order(&self, order_request: &OrderRequest) -> Order {
        self.try_place_order(order_request, &new_key())
            .await
            .with_status(201)
            .json()
    }

    /// Requests the order with this number.
    pub async fn find_order(&self, number: &str) -> Response {
        let words = json!({ "number": number, "email": self.email });
        self.post("/v1/guest/orders/find", "", &words).await
    }

    /// Requests the order that was placed with an idempotency key.
    pub async fn find_order_by_key(&self, key: &str) -> Response {
        let words = json!({ "email": self.email });
        self.post("/v1/guest/orders/placed", key, &words).await
    }

    /// The order and its events.
    pub async fn order_and_events(&self, order: &Order) -> (Order, Vec<Value>) {
        let found: Value = self.find_order(&order.number).await.with_status(200).json();
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let order = serde_json::from_value(found["order"].clone());
        (order.expect("an order should be found"), events)
    }

    /// Requests that an order is cancelled, with an idempotency key.
    pub async fn cancel(&self, order: &Order, key: &str) -> Response {
        let words = json!({ "number": order.number, "email": self.email });
        self.post("/v1/guest/orders/cancel", key, &words).await
    }
}

/// A network address that no other visitor has.
pub fn new_address() -> String {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    let part = |shift: u32| (high >> shift) & 0xffff;
    format!("2001:db8:{:x}:{:x}::{:x}", part(0), part(48), low & 0xffff)
}
