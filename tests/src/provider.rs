//! One of the two external services, from behind: what it did, and what is to go wrong with it.

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

use crate::{Answer, Order};

/// The call that holds the money.
pub const AUTHORIZE: &str = "POST /v1/payment_intents";
/// The call that gives money back.
pub const REFUND: &str = "POST /v1/refunds";
/// The call that takes the money.
pub const CAPTURE: &str = "/capture";
/// The call that buys a label.
pub const BUY_LABEL: &str = "POST /v1/labels";
/// The shop's id at the providers, as the stack is deployed.
pub const SHOP_ID: &str = "laptop";
/// Every call.
pub const EVERYTHING: &str = "/v1/";

/// How a label stands in the shipping ledger, at the simulator's one price.
pub const LABEL_BOUGHT: &str = "label_bought 599 USD";
/// How a label that was given back does.
pub const LABEL_VOIDED: &str = "label_voided 599 USD";

/// A refusal that the provider keeps under an idempotency key.
#[derive(Debug, Clone, Copy)]
pub enum KeptRefusal {
    /// Its own error, by its form; the caller's, by its status.
    OwnError,
    /// Something is wrong with the account.
    Account,
}

/// One of the two external services.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its address, without a slash at the end.
    pub url: String,
    pub(crate) http: Client,
    /// Where it tells of what happens, as the stack has set it up.
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
    /// Everything it did for an order, the oldest first, such as `captured 1100 EUR`.
    pub async fn ledger_of(&self, order: &Order) -> Vec<String> {
        let effects = self.effects_of(order).await;
        effects
            .iter()
            .map(|it| format!("{} {} {}", it.kind, it.cents, it.currency))
            .collect()
    }

    /// When it first did something for an order.
    pub async fn began_with(&self, order: &Order) -> Timestamp {
        let effects = self.effects_of(order).await;
        effects.first().expect("it should have done something").at
    }

    async fn effects_of(&self, order: &Order) -> Vec<Effect> {
        let address = format!("{}/_ledger?order_id={}", self.url, order.id);
        let ledger = Answer::of(self.http.get(address)).await;
        ledger.with_status(200).json()
    }

    /// A request to it, as anybody with a key can make.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Does the work of the next calls, and breaks off before it answers.
    pub async fn loses_the_answers_of_the_next(&self, calls: u32, operation: &str) {
        self.suffers(json!({ "mode": "lose_answer", "next": calls, "operation": operation }))
            .await;
    }

    /// Does the work of all calls, and breaks off before it answers.
    pub async fn loses_all_answers(&self) {
        self.suffers(json!({ "mode": "lose_answer", "operation": EVERYTHING }))
            .await;
    }

    /// Answers the next calls with an error of its own, and does nothing.
    pub async fn fails_the_next(&self, calls: u32, operation: &str) {
        self.suffers(
            json!({ "mode": "error", "status": 503, "next": calls, "operation": operation }),
        )
        .await;
    }

    /// Answers all such calls with an error of its own, and does nothing.
    pub async fn fails_all(&self, operation: &str) {
        self.suffers(json!({ "mode": "error", "status": 503, "operation": operation }))
            .await;
    }

    /// Refuses for good all such calls that concern an order.
    pub async fn refuses_all_of(&self, order: &Order, operation: &str) {
        self.suffers(json!({ "mode": "refuse", "order_id": order.id, "operation": operation }))
            .await;
    }

    /// Refuses all such calls for what is wrong with the account.
    pub async fn serves_nobody(&self, operation: &str) {
        self.suffers(json!({ "mode": "not_served", "operation": operation }))
            .await;
    }

    /// Finds nothing for an order when it is searched, and does nothing more for it.
    pub async fn hides_what_it_holds_for(&self, order: &Order) {
        let fault = |mut fault: Value, operation| {
            fault["order_id"] = json!(order.id);
            fault["operation"] = json!(operation);
            fault
        };
        let lag = json!({ "mode": "search_lag", "ms": 600_000 });
        self.suffers(json!({ "seed": 0, "faults": [
            fault(lag, "/v1/payment_intents/search"),
            fault(json!({ "mode": "rate_limited", "retry_after": 1 }), AUTHORIZE),
        ]}))
        .await;
    }

    /// Answers the next such call with an error that it keeps under the call's idempotency key.
    pub async fn keeps_an_error(&self, operation: &str) {
        self.suffers(json!({
            "mode": "error", "status": 500, "kept": true, "next": 1, "operation": operation,
        }))
        .await;
    }

    /// Refuses the next such call with an error that it keeps under the call's idempotency key: of its
    /// own, but with a status of ours, or for what is wrong with the account.
    pub async fn keeps_a_refusal(&self, kept: KeptRefusal, operation: &str) {
        let mut fault = match kept {
            KeptRefusal::OwnError => json!({ "mode": "error", "status": 400 }),
            KeptRefusal::Account => json!({ "mode": "not_served" }),
        };
        fault["kept"] = true.into();
        fault["next"] = 1.into();
        fault["operation"] = operation.into();
        self.suffers(fault).await;
    }

    /// Answers the next such call with an error, and does its work all the same after a while.
    pub async fn does_the_next_late(&self, after_ms: u64, operation: &str) {
        self.suffers(
            json!({ "mode": "late_effect", "ms": after_ms, "next": 1, "operation": operation }),
        )
        .await;
    }

    /// Answers the next purchases with a label that the carrier could not make.
    pub async fn cannot_make_the_next_labels(&self, calls: u32) {
        self.suffers(
            json!({ "mode": "label_error", "next": calls, "operation": "POST /v1/labels" }),
        )
        .await;
    }

    /// Answers the next purchase with a label that the carrier takes a while to make.
    pub async fn takes_a_while_for_the_next_label(&self, ms: u64) {
        let operation = "POST /v1/labels";
        self.suffers(
            json!({ "mode": "label_processing", "ms": ms, "next": 1, "operation": operation }),
        )
        .await;
    }

    /// Does the work of the next such call, and never answers.
    pub async fn hangs_after_the_next(&self, operation: &str) {
        self.suffers(json!({ "mode": "hang_after", "next": 1, "operation": operation }))
            .await;
    }

    /// Begins to count calls anew.
    pub async fn forgets_calls(&self) {
        let request = self.http.delete(format!("{}/_calls", self.url));
        Answer::of(request).await.with_status(204);
    }

    /// How many such calls it has counted.
    pub async fn calls(&self, operation: &str) -> u64 {
        self.counted().await["by_operation"][operation]
            .as_u64()
            .unwrap_or_default()
    }

    /// How many calls it has counted.
    pub async fn all_calls(&self) -> u64 {
        let calls = self.counted().await;
        calls["total"].as_u64().unwrap_or_default()
    }

    /// The second in which the first call came that it has counted.
    pub async fn first_call(&self) -> Timestamp {
        let calls = self.counted().await;
        let second = calls["by_second"][0][0].as_i64();
        let second = second.and_then(|second| Timestamp::from_second(second).ok());
        second.expect("it should have been called")
    }

    async fn counted(&self) -> Value {
        let request = self.http.get(format!("{}/_calls", self.url));
        Answer::of(request).await.with_status(200).json()
    }

    /// Has the carrier say where an order's parcel is, by the carrier's code. The answer is the event
    /// that tells of it.
    pub async fn moves_parcel_of(&self, order: &Order, status: &str) -> String {
        let request = self.http.post(format!("{}/_carrier", self.url));
        let moved = request.json(&json!({ "order_id": order.id, "status": status }));
        Answer::of(moved).await.with_status(200).body
    }

    /// Has the bank dispute an order's payment, or change its dispute. The answer is the dispute's
    /// id.
    pub async fn disputes_payment_of(&self, order: &Order, status: &str) -> String {
        let request = self.http.post(format!("{}/_dispute", self.url));
        let asked = request.json(&json!({ "order_id": order.id, "status": status }));
        let dispute: Value = Answer::of(asked).await.with_status(200).json();
        let id = dispute["id"].as_str();
        id.expect("a dispute should have an id").to_owned()
    }

    /// Sends no events until the turn ends.
    pub async fn loses_its_events(&self) {
        let request = self.http.delete(format!("{}/_webhooks", self.url));
        Answer::of(request).await.with_status(204);
    }

    /// Sends each of its events twice, and all of them out of order.
    pub async fn sends_events_at_its_worst(&self) {
        let mut settings = self.webhooks.clone();
        settings["duplicate"] = 1.into();
        settings["shuffle"] = true.into();
        let address = format!("{}/_webhooks", self.url);
        Answer::of(self.http.put(address).json(&settings))
            .await
            .with_status(204);
    }

    /// How many of its events wait to be heard.
    pub async fn events_waiting(&self) -> u64 {
        let request = self.http.get(format!("{}/_webhooks", self.url));
        let events: Value = Answer::of(request).await.with_status(200).json();
        events["waiting"].as_u64().unwrap_or_default()
    }

    /// Asks the next caller to come back in so many seconds.
    pub async fn turns_the_next_away(&self, operation: &str, seconds: u16) {
        self.suffers(json!({
            "mode": "rate_limited", "retry_after": seconds, "next": 1, "operation": operation,
        }))
        .await;
    }

    /// Works as it should again.
    pub async fn recovers(&self) {
        Answer::of(self.http.delete(self.faults()))
            .await
            .with_status(204);
    }

    /// Fails unless all the calls that were to go wrong have been made.
    pub async fn has_failed_as_ordered(&self) {
        let fault: Value = Answer::of(self.http.get(self.faults())).await.json();
        assert_eq!(fault["next"], 0, "the fault never struck: {fault}");
    }

    async fn suffers(&self, fault: Value) {
        Answer::of(self.http.put(self.faults()).json(&fault))
            .await
            .with_status(204);
    }

    fn faults(&self) -> String {
        format!("{}/_faults", self.url)
    }
}

static TURNS: Mutex<()> = Mutex::const_new(());

/// The right to have the providers fail. A provider has one fault at a time, so a story that orders
/// one takes a turn. When it ends, in any way, both providers work, and send their events as usual.
pub struct Turn {
    providers: [Provider; 2],
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    pub(crate) async fn with(providers: [Provider; 2]) -> Self {
        let turn = TURNS.lock().await;
        for provider in &providers {
            provider.recovers().await;
        }
        Self {
            providers,
            _turn: turn,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for provider in &self.providers {
            let address = provider.url.trim_start_matches("http://");
            asks(address, "DELETE /_faults", "");
            asks(address, "PUT /_webhooks", &provider.webhooks.to_string());
        }
    }
}

/// Sends a request where nothing can be awaited. A story that failed has its own message, which another
/// panic would hide.
fn asks(address: &str, what: &str, body: &str) {
    if let Ok(mut stream) = TcpStream::connect(address) {
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut String::new());
    }
}

/// The form of a request to hold so many cents on a good card, for an order of a shop; without a mark, as
/// other systems make it.
pub fn hold_form(
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
