//! Somebody who uses the API.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Answer, Order, Stack, Wish, answer::having_seen, eventually};

/// Somebody who uses the API, signed in or not.
#[derive(Debug, Clone)]
pub struct Person {
    /// The access token, if there is one.
    pub token: Option<String>,
    /// The ID token of somebody who has signed in; else it is empty.
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

    /// The same person, who asks at another address.
    pub fn at(&self, api: &str) -> Self {
        Self {
            api: api.to_owned(),
            ..self.clone()
        }
    }

    /// Places an order, which must be accepted.
    pub async fn places(&self, wish: &Wish) -> Order {
        self.tries(wish).await.with_status(201).json()
    }

    /// Tries to place an order.
    pub async fn tries(&self, wish: &Wish) -> Answer {
        self.sends(wish, &new_key()).await
    }

    /// Tries to place an order under that idempotency key.
    pub async fn sends(&self, wish: &Wish, key: &str) -> Answer {
        Answer::of(self.order_request(key).body(wish.body())).await
    }

    /// Asks for the order that was placed with an idempotency key.
    pub async fn asks_for_placed(&self, key: &str) -> Answer {
        let request = self.request(Method::POST, "/v1/orders/placed");
        Answer::of(request.header("Idempotency-Key", key)).await
    }

    /// A request to place an order that lacks its body.
    pub fn order_request(&self, key: &str) -> RequestBuilder {
        self.request(Method::POST, "/v1/orders")
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", key)
    }

    /// Tries to call an order off.
    pub async fn cancels(&self, order: &Order) -> Answer {
        self.cancels_under(order, &new_key()).await
    }

    /// Tries to call an order off under that idempotency key.
    pub async fn cancels_under(&self, order: &Order, key: &str) -> Answer {
        Answer::of(self.cancel_request(order, key)).await
    }

    /// A request to call an order off.
    pub fn cancel_request(&self, order: &Order, key: &str) -> RequestBuilder {
        let path = format!("/v1/orders/{}/cancel", order.id);
        self.request(Method::POST, &path)
            .header("Idempotency-Key", key)
    }

    /// A request to give money of an order back.
    pub fn refund_request(&self, order: &Order, cents: i64, key: &str) -> RequestBuilder {
        let path = format!("/v1/orders/{}/refunds", order.id);
        self.request(Method::POST, &path)
            .header("Idempotency-Key", key)
            .json(&json!({ "amount_cents": cents, "currency": "EUR", "reason": "It was damaged." }))
    }

    /// Reads what is at a path.
    pub async fn gets(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Searches at a path for what is written as `name=value&name=value`; it is sent as JSON.
    pub async fn searches(&self, path: &str, query: &str) -> Answer {
        let words = query.split('&').filter_map(|word| word.split_once('='));
        let value = |text: &str| {
            text.parse::<i64>()
                .map_or_else(|_| text.into(), Value::from)
        };
        let body: Value = words.map(|(name, text)| (name, value(text))).collect();
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    /// A request with this person's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        having_seen(self.forgetful_request(method, path))
    }

    /// The same, of somebody who does not say what they have seen.
    pub fn forgetful_request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.api));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Looks at an order.
    pub fn sees(&self, order: &Order) -> Sees<'_> {
        Sees {
            person: self,
            id: order.id,
        }
    }

    /// The kinds of what has happened to an order, the oldest first.
    pub async fn timeline_of(&self, order: &Order) -> Vec<String> {
        let events = self.events_of(order).await;
        let kinds = events
            .iter()
            .map(|event| event["kind"].as_str().unwrap_or_default());
        kinds.map(str::to_owned).collect()
    }

    /// What has happened to an order, the oldest first.
    pub async fn events_of(&self, order: &Order) -> Vec<Value> {
        let path = format!("/v1/orders/{}/events", order.id);
        let timeline: Value = self.gets(&path).await.with_status(200).json();
        timeline["items"].as_array().cloned().unwrap_or_default()
    }

    /// The person's own id.
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

    /// What the person may do.
    pub fn scopes(&self) -> Vec<String> {
        let claims = self.claims();
        let scopes = claims["scope"].as_str().unwrap_or_default();
        scopes.split(' ').map(str::to_owned).collect()
    }

    /// What the token says.
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

/// A look at an order.
pub struct Sees<'a> {
    person: &'a Person,
    id: Uuid,
}

impl Sees<'_> {
    /// The order as it is now.
    pub async fn now(&self) -> Order {
        self.person
            .gets(&format!("/v1/orders/{}", self.id))
            .await
            .with_status(200)
            .json()
    }

    /// The order once it is as it should be.
    pub async fn until(&self, as_it_should_be: fn(&Order) -> bool) -> Order {
        eventually("as the order should be", async || {
            let order = self.now().await;
            if as_it_should_be(&order) {
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
