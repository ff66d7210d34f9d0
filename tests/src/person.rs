//! A caller of the API.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Order, OrderRequest, Response, Stack, eventually, response::with_consistency_token};

/// A caller of the API, signed in or anonymous.
#[derive(Debug, Clone)]
pub struct Person {
    /// The access token, if there is one.
    pub token: Option<String>,
    /// The ID token. Empty if the person has not signed in.
    pub id_token: String,
    api: String,
    http: Client,
}

impl Person {
    pub(crate) fn new(stack: &Stack, token: Option<String>) -> Self {
        Self {
            token,
            id_token: String::new(),
            api: stack.api.clone(),
            http: stack.http.clone(),
        }
    }

    /// The same person at another address of the API.
    pub fn at(&self, api: &str) -> Self {
        Self {
            api: api.to_owned(),
            ..self.clone()
        }
    }

    /// Places an order, which must be accepted.
    pub async fn place_order(&self, order_request: &OrderRequest) -> Order {
        self.try_place_order(order_request)
            .await
            .with_status(201)
            .json()
    }

    /// Requests an order.
    pub async fn try_place_order(&self, order_request: &OrderRequest) -> Response {
        self.try_place_order_with_key(order_request, &new_key())
            .await
    }

    /// Requests an order with this idempotency key.
    pub async fn try_place_order_with_key(
        &self,
        order_request: &OrderRequest,
        key: &str,
    ) -> Response {
        Response::of(self.order_request(key).body(order_request.body())).await
    }

    /// Requests the order that was placed with an idempotency key.
    pub async fn find_order_by_key(&self, key: &str) -> Response {
        let request = self.request(Method::POST, "/v1/orders/placed");
        Response::of(request.header("Idempotency-Key", key)).await
    }

    /// A request to place an order, without its body.
    pub fn order_request(&self, key: &str) -> RequestBuilder {
        self.request(Method::POST, "/v1/orders")
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", key)
    }

    /// Requests that an order is cancelled.
    pub async fn cancel(&self, order: &Order) -> Response {
        self.cancel_with_key(order, &new_key()).await
    }

    /// Requests that an order is cancelled, with this idempotency key.
    pub async fn cancel_with_key(&self, order: &Order, key: &str) -> Response {
        Response::of(self.cancel_request(order, key)).await
    }

    /// A request to cancel an order.
    pub fn cancel_request(&self, order: &Order, key: &str) -> RequestBuilder {
        let path = format!("/v1/orders/{}/cancel", order.id);
        self.request(Method::POST, &path)
            .header("Idempotency-Key", key)
    }

    /// A request to refund a part of an order.
    pub fn refund_request(&self, order: &Order, cents: i64, key: &str) -> RequestBuilder {
        let path = format!("/v1/orders/{}/refunds", order.id);
        self.request(Method::POST, &path)
            .header("Idempotency-Key", key)
            .json(&json!({ "amount_cents": cents, "currency": "EUR", "reason": "It was damaged." }))
    }

    /// Sends `GET` to a path.
    pub async fn get(&self, path: &str) -> Response {
        Response::of(self.request(Method::GET, path)).await
    }

    /// Searches at a path. The query, `name=value&name=value`, is sent as JSON.
    pub async fn search(&self, path: &str, query: &str) -> Response {
        let words = query.split('&').filter_map(|word| word.split_once('='));
        let value = |text: &str| {
            text.parse::<i64>()
                .map_or_else(|_| text.into(), Value::from)
        };
        let body: Value = words.map(|(name, text)| (name, value(text))).collect();
        Response::of(self.request(Method::POST, path).json(&body)).await
    }

    /// A request with this person's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        with_consistency_token(self.request_without_consistency_token(method, path))
    }

    /// A request with this person's token and without a consistency token.
    pub fn request_without_consistency_token(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.api));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Selects an order to read.
    pub fn order(&self, order: &Order) -> OrderView<'_> {
        OrderView {
            person: self,
            id: order.id,
        }
    }

    /// The kinds of an order's events, the oldest first.
    pub async fn timeline_of(&self, order: &Order) -> Vec<String> {
        let events = self.events_of(order).await;
        let kinds = events
            .iter()
            .map(|event| event["kind"].as_str().unwrap_or_default());
        kinds.map(str::to_owned).collect()
    }

    /// An order's events, the oldest first.
    pub async fn events_of(&self, order: &Order) -> Vec<Value> {
        let path = format!("/v1/orders/{}/events", order.id);
        let timeline: Value = self.get(&path).await.with_status(200).json();
        timeline["items"].as_array().cloned().unwrap_or_default()
    }

    /// The person's id.
    pub fn id(&self) -> Uuid {
        let sub = self.claims()["sub"]
            .as_str()
            .and_then(|sub| sub.parse().ok());
        sub.expect("a token should name its user")
    }

    /// The person's e-mail address.
    pub fn email(&self) -> String {
        let claims = self.claims();
        let email = claims["email"].as_str();
        email.expect("a token should name an address").to_owned()
    }

    /// The scopes of the access token.
    pub fn scopes(&self) -> Vec<String> {
        let claims = self.claims();
        let scopes = claims["scope"].as_str().unwrap_or_default();
        scopes.split(' ').map(str::to_owned).collect()
    }

    /// The claims of the access token.
    pub fn claims(&self) -> Value {
        let payload = self
            .token
            .as_deref()
            .and_then(|token| token.split('.').nth(1));
        let claims = payload.and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
        let claims = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        claims.expect("a token should have claims")
    }
}

/// An order as a person reads it.
pub struct OrderView<'a> {
    person: &'a Person,
    id: Uuid,
}

impl OrderView<'_> {
    /// The order in its current state.
    pub async fn now(&self) -> Order {
        self.person
            .get(&format!("/v1/orders/{}", self.id))
            .await
            .with_status(200)
            .json()
    }

    /// The order once it is as expected.
    pub async fn until(&self, is_reached: fn(&Order) -> bool) -> Order {
        eventually("as the order should be", async || {
            let order = self.now().await;
            if is_reached(&order) {
                Ok(order)
            } else {
                Err(format!("{order:?}"))
            }
        })
        .await
    }
}

/// An idempotency key that was never used.
pub fn new_key() -> String {
    Uuid::new_v4().to_string()
}
