//! The controls of a provider's simulator: its ledger, and the faults that it injects.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::{Order, Response};

/// The call that authorizes a payment.
pub const AUTHORIZE: &str = "POST /v1/payment_intents";
/// The call that refunds a payment.
pub const REFUND: &str = "POST /v1/refunds";
/// The call that captures a payment.
pub const CAPTURE: &str = "/capture";
/// The call that buys a label.
pub const BUY_LABEL: &str = "POST /v1/labels";
/// The shop's id at the providers, as the stack is deployed.
pub const SHOP_ID: &str = "laptop";
/// A fragment of every call.
pub const EVERYTHING: &str = "/v1/";

/// A bought label in the shipping ledger, at the simulator's only price.
pub const LABEL_BOUGHT: &str = "label_bought 599 USD";
/// A voided label in the shipping ledger.
pub const LABEL_VOIDED: &str = "label_voided 599 USD";

/// A refusal that the provider replays for an idempotency key.
#[derive(Debug, Clone, Copy)]
pub enum ReplayedRefusal {
    /// A server error by its body, with the status of a client error.
    OwnError,
    /// The account is not allowed to make the call.
    Account,
}

/// The simulator of a provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its address, without a slash at the end.
    pub url: String,
    pub(crate) http: Client,
    /// The settings of its webhooks, as the stack configures them.
    pub(crate) webhooks: Value,
}

#[derive(Deserialize)]
struct Effect {
    #[serde(rename = "effect")]
    kind: String,
    cents: i64,
    currency: String,
    at: Timestamp,
}

impl Provider {
    /// The effects for an order, the oldest first, such as `captured 1100 EUR`.
    pub async fn ledger_of(&self, order: &Order) -> Vec<String> {
        let effects = self.effects_of(order).await;
        effects
            .iter()
            .map(|it| format!("{} {} {}", it.kind, it.cents, it.currency))
            .collect()
    }

    /// The time of its first effect for an order.
    pub async fn first_effect_at(&self, order: &Order) -> Timestamp {
        let effects = self.effects_of(order).await;
        effects.first().expect("there should be an effect").at
    }

    async fn effects_of(&self, order: &Order) -> Vec<Effect> {
        let address = format!("{}/_ledger?order_id={}", self.url, order.id);
        let ledger = Response::of(self.http.get(address)).await;
        ledger.with_status(200).json()
    }

    /// A request to the provider's public API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Executes the next calls, and closes the connection instead of responding.
    pub async fn lose_next_responses(&self, calls: u32, operation: &str) {
        self.set_fault(json!({ "mode": "lose_answer", "next": calls, "operation": operation }))
            .await;
    }

    /// Executes all calls, and closes the connection instead of responding.
    pub async fn lose_all_responses(&self) {
        self.set_fault(json!({ "mode": "lose_answer", "operation": EVERYTHING }))
            .await;
    }

    /// Responds to the next calls with 503, and does not execute them.
    pub async fn fail_next(&self, calls: u32, operation: &str) {
        self.set_fault(
            json!({ "mode": "error", "status": 503, "next": calls, "operation": operation }),
        )
        .await;
    }

    /// Responds to all these calls with 503, and does not execute them.
    pub async fn fail_all(&self, operation: &str) {
        self.set_fault(json!({ "mode": "error", "status": 503, "operation": operation }))
            .await;
    }

    /// Refuses all these calls about an order permanently.
    pub async fn refuse_all_for(&self, order: &Order, operation: &str) {
        self.set_fault(json!({ "mode": "refuse", "order_id": order.id, "operation": operation }))
            .await;
    }

    /// Refuses all these calls because of the account.
    pub async fn reject_account(&self, operation: &str) {
        self.set_fault(json!({ "mode": "not_served", "operation": operation }))
            .await;
    }

    /// Hides the payments of an order from searches, and refuses to authorize more of them.
    pub async fn hide_payments_of(&self, order: &Order) {
        let fault = |mut fault: Value, operation| {
            fault["order_id"] = json!(order.id);
            fault["operation"] = json!(operation);
            fault
        };
        let lag = json!({ "mode": "search_lag", "ms": 600_000 });
        self.set_fault(json!({ "seed": 0, "faults": [
            fault(lag, "/v1/payment_intents/search"),
            fault(json!({ "mode": "rate_limited", "retry_after": 1 }), AUTHORIZE),
        ]}))
        .await;
    }

    /// Responds to the next such call with 500, and replays that response for its idempotency key.
    pub async fn replay_error(&self, operation: &str) {
        self.set_fault(json!({
            "mode": "error", "status": 500, "kept": true, "next": 1, "operation": operation,
        }))
        .await;
    }

    /// Refuses the next such call, and replays that response for its idempotency key.
    pub async fn replay_refusal(&self, refusal: ReplayedRefusal, operation: &str) {
        let mut fault = match refusal {
            ReplayedRefusal::OwnError => json!({ "mode": "error", "status": 400 }),
            ReplayedRefusal::Account => json!({ "mode": "not_served" }),
        };
        fault["kept"] = true.into();
        fault["next"] = 1.into();
        fault["operation"] = operation.into();
        self.set_fault(fault).await;
    }

    /// Responds to the next such call with an error, and executes it all the same after a delay.
    pub async fn delay_next_effect(&self, after_ms: u64, operation: &str) {
        self.set_fault(
            json!({ "mode": "late_effect", "ms": after_ms, "next": 1, "operation": operation }),
        )
        .await;
    }

    /// Responds to the next purchases with a label that the carrier could not create.
    pub async fn fail_next_labels(&self, calls: u32) {
        self.set_fault(
            json!({ "mode": "label_error", "next": calls, "operation": "POST /v1/labels" }),
        )
        .await;
    }

    /// Responds to the next purchase with a label that the carrier creates after a delay.
    pub async fn delay_next_label(&self, ms: u64) {
        let operation = "POST /v1/labels";
        self.set_fault(
            json!({ "mode": "label_processing", "ms": ms, "next": 1, "operation": operation }),
        )
        .await;
    }

    /// Executes the next such call, and never responds.
    pub async fn hang_after_next(&self, operation: &str) {
        self.set_fault(json!({ "mode": "hang_after", "next": 1, "operation": operation }))
            .await;
    }

    /// Resets the count of calls.
    pub async fn reset_calls(&self) {
        let request = self.http.delete(format!("{}/_calls", self.url));
        Response::of(request).await.with_status(204);
    }

    /// The number of these calls.
    pub async fn calls_to(&self, operation: &str) -> u64 {
        self.call_counts().await["by_operation"][operation]
            .as_u64()
            .unwrap_or_default()
    }

    /// The number of all calls.
    pub async fn total_calls(&self) -> u64 {
        let calls = self.call_counts().await;
        calls["total"].as_u64().unwrap_or_default()
    }

    /// The second in which the first counted call arrived.
    pub async fn first_call_at(&self) -> Timestamp {
        let calls = self.call_counts().await;
        let second = calls["by_second"][0][0].as_i64();
        let second = second.and_then(|second| Timestamp::from_second(second).ok());
        second.expect("it should have been called")
    }

    async fn call_counts(&self) -> Value {
        let request = self.http.get(format!("{}/_calls", self.url));
        Response::of(request).await.with_status(200).json()
    }

    /// Sets the carrier's status code of an order's parcel, and returns the event about it.
    pub async fn move_parcel_of(&self, order: &Order, status: &str) -> String {
        let request = self.http.post(format!("{}/_carrier", self.url));
        let moved = request.json(&json!({ "order_id": order.id, "status": status }));
        Response::of(moved).await.with_status(200).body
    }

    /// Has the bank dispute an order's payment, or update its dispute. Returns the dispute's id.
    pub async fn dispute_payment_of(&self, order: &Order, status: &str) -> String {
        let request = self.http.post(format!("{}/_dispute", self.url));
        let asked = request.json(&json!({ "order_id": order.id, "status": status }));
        let dispute: Value = Response::of(asked).await.with_status(200).json();
        let id = dispute["id"].as_str();
        id.expect("a dispute should have an id").to_owned()
    }

    /// Sends no events until the [`ProviderLock`] is dropped.
    pub async fn drop_events(&self) {
        let request = self.http.delete(format!("{}/_webhooks", self.url));
        Response::of(request).await.with_status(204);
    }

    /// Sends each event twice, and all of them out of order.
    pub async fn duplicate_and_shuffle_events(&self) {
        let mut settings = self.webhooks.clone();
        settings["duplicate"] = 1.into();
        settings["shuffle"] = true.into();
        let address = format!("{}/_webhooks", self.url);
        Response::of(self.http.put(address).json(&settings))
            .await
            .with_status(204);
    }

    /// The number of events that are not delivered yet.
    pub async fn pending_events(&self) -> u64 {
        let request = self.http.get(format!("{}/_webhooks", self.url));
        let events: Value = Response::of(request).await.with_status(200).json();
        events["waiting"].as_u64().unwrap_or_default()
    }

    /// Responds to the next such call with 429 and `Retry-After`.
    pub async fn rate_limit_next(&self, operation: &str, seconds: u16) {
        self.set_fault(json!({
            "mode": "rate_limited", "retry_after": seconds, "next": 1, "operation": operation,
        }))
        .await;
    }

    /// Ends all faults.
    pub async fn recover(&self) {
        Response::of(self.http.delete(self.faults()))
            .await
            .with_status(204);
    }

    /// Fails unless the fault has struck as many calls as it was set for.
    pub async fn assert_fault_used_up(&self) {
        let fault: Value = Response::of(self.http.get(self.faults())).await.json();
        assert_eq!(fault["next"], 0, "the fault struck too few calls: {fault}");
    }

    async fn set_fault(&self, fault: Value) {
        Response::of(self.http.put(self.faults()).json(&fault))
            .await
            .with_status(204);
    }

    fn faults(&self) -> String {
        format!("{}/_faults", self.url)
    }
}

static LOCK: Mutex<()> = Mutex::const_new(());

/// The exclusive right to inject faults, because a simulator has one fault at a time. When this is
/// dropped, also by a panic, both providers work and send their events as usual.
pub struct ProviderLock {
    providers: [Provider; 2],
    _lock: MutexGuard<'static, ()>,
}

impl ProviderLock {
    pub(crate) async fn with(providers: [Provider; 2]) -> Self {
        let lock = LOCK.lock().await;
        for provider in &providers {
            provider.recover().await;
        }
        Self {
            providers,
            _lock: lock,
        }
    }
}

impl Drop for ProviderLock {
    fn drop(&mut self) {
        for provider in &self.providers {
            let address = provider.url.trim_start_matches("http://");
            send_blocking(address, "DELETE /_faults", "");
            send_blocking(address, "PUT /_webhooks", &provider.webhooks.to_string());
        }
    }
}

/// Sends a request without `await`, which `drop` cannot use. It ignores errors, because a second
/// panic would hide the message of a failed test.
fn send_blocking(address: &str, method_and_path: &str, body: &str) {
    if let Ok(mut stream) = TcpStream::connect(address) {
        let length = body.len();
        let request = format!(
            "{method_and_path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut String::new());
    }
}

/// The form of a request to authorize a payment with an approved card, for an order of a shop.
/// Other systems set no metadata.
pub fn authorization_form(
    cents: i64,
    shop: Option<&str>,
    order: Option<Uuid>,
) -> Vec<(&'static str, String)> {
    let mut form = vec![
        ("amount", cents.to_string()),
        ("currency", "eur".to_owned()),
        ("payment_method", "pm_card_visa".to_owned()),
        ("payment_method_types[]", "card".to_owned()),
        ("capture_method", "manual".to_owned()),
        ("confirm", "true".to_owned()),
    ];
    form.extend(shop.map(|shop| ("metadata[shop]", shop.to_owned())));
    form.extend(order.map(|order| ("metadata[order_id]", order.to_string())));
    form
}
