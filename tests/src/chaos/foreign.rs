//! Another shop in the same provider accounts. It creates payments, refunds and labels with its own
//! shop id or without one, and for orders that it has from a copy of our database.

use std::{sync::Arc, time::Duration};

use orders::Provider;
use rand::{
    Rng, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::{Builder, Uuid};

use super::{checker::Foreign, crowd::Crowd};
use crate::{Response, Stack, provider::authorization_form};

/// Its shop id.
const SHOP: &str = "other";

/// Its API keys.
const PAYMENTS_KEY: &str = "sk_test_other";
const SHIPPING_KEY: &str = "TEST_other";

/// It is active during this first share of the run, so that the stack compares all its records
/// before the end.
const SHARE_OF_RUN: f64 = 0.6;

/// How many orders we place for each of its transactions.
const ORDERS_PER_TRANSACTION: u32 = 12;

/// The amount of each of its payments.
const CENTS: i64 = 500;

/// How long to wait before a failed call is repeated, and for how long it is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const RETRY_FOR: Duration = Duration::from_mins(2);

/// A transaction of the other shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// A payment is authorized.
    Authorize,
    /// A payment is captured.
    Capture,
    /// A payment is captured and refunded.
    Refund,
    /// A payment is authorized for an order that we have too.
    AuthorizeForCopy,
    /// A label is bought.
    Label,
}

const TRANSACTIONS: [Transaction; 5] = [
    Transaction::Authorize,
    Transaction::Capture,
    Transaction::Refund,
    Transaction::AuthorizeForCopy,
    Transaction::Label,
];

/// The other shop.
struct OtherShop {
    stack: Arc<Stack>,
    crowd: Arc<Crowd>,
    rng: ChaCha8Rng,
    records: Foreign,
}

/// Runs the other shop while `orders` orders are placed over `length`.
pub(super) async fn run(
    stack: Arc<Stack>,
    crowd: Arc<Crowd>,
    seed: u64,
    orders: u32,
    length: Duration,
) -> Foreign {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    let mut shop = OtherShop {
        stack,
        crowd,
        rng,
        records: Foreign::default(),
    };
    let begun = Instant::now();
    let transactions = orders.div_ceil(ORDERS_PER_TRANSACTION);
    let each = length.mul_f64(SHARE_OF_RUN) / transactions.max(1);
    let mut deck = Vec::new();
    for number in 0..transactions {
        sleep_until(begun + each * number).await;
        if deck.is_empty() {
            deck = TRANSACTIONS.to_vec();
            deck.shuffle(&mut shop.rng);
        }
        if let Some(transaction) = deck.pop() {
            shop.make(transaction).await;
        }
    }
    shop.records
}

impl OtherShop {
    async fn make(&mut self, transaction: Transaction) {
        match transaction {
            Transaction::Label => self.buy_label().await,
            Transaction::AuthorizeForCopy => {
                let accepted = self.crowd.observed().await.accepted;
                if let Some(order) = accepted.last() {
                    self.authorize(Some(SHOP), Some(order.order)).await;
                }
            }
            Transaction::Authorize | Transaction::Capture | Transaction::Refund => {
                self.pay(transaction).await;
            }
        }
    }

    /// Authorizes a payment for an order of its own or without metadata, and perhaps captures it.
    async fn pay(&mut self, transaction: Transaction) {
        let order = Some(self.new_id());
        let unknown_to_us = [(Some(SHOP), order), (None, order), (None, None)];
        let (shop, order) = *unknown_to_us.choose(&mut self.rng).unwrap_or(&(None, None));
        let Some(payment) = self.authorize(shop, order).await else {
            return;
        };
        if transaction == Transaction::Authorize {
            return;
        }
        self.records.captured.insert(payment.clone());
        let path = format!("/v1/payment_intents/{payment}/capture");
        if self.post(&path, &[]).await.is_none() || transaction == Transaction::Capture {
            return;
        }
        self.records.refunded.insert(payment.clone());
        let form = [("payment_intent", payment), ("amount", "100".to_owned())];
        self.post("/v1/refunds", &form).await;
    }

    /// Authorizes a payment and returns its id.
    async fn authorize(&mut self, shop: Option<&str>, order: Option<Uuid>) -> Option<String> {
        let form = authorization_form(CENTS, shop, order);
        let intent = self.post("/v1/payment_intents", &form).await?;
        intent["id"].as_str().map(str::to_owned)
    }

    async fn post(&mut self, path: &str, form: &[(&str, String)]) -> Option<Value> {
        let key = self.new_id().to_string();
        let payments = self.stack.provider(Provider::Payments);
        let request = || {
            let request = payments.request(Method::POST, path);
            let request = request.bearer_auth(PAYMENTS_KEY);
            request.header("Idempotency-Key", &key).form(form)
        };
        send_until_answered(request).await
    }

    /// Buys a label with its own shop id or without one.
    async fn buy_label(&mut self) {
        let address = json!({
            "name": "Eva", "address_line1": "Calle 2", "city_locality": "Madrid",
            "postal_code": "28013", "country_code": "ES",
        });
        let mut shipment = json!({
            "service_code": "usps_priority_mail", "ship_to": address, "ship_from": address,
            "packages": [{ "weight": { "value": 100, "unit": "gram" } }],
        });
        if self.rng.random_bool(0.5) {
            let id = self.new_id();
            shipment["external_shipment_id"] = id.to_string().into();
            shipment["external_order_id"] = format!("{SHOP}:{id}").into();
        }
        let shipping = self.stack.provider(Provider::Shipping);
        let body = json!({ "shipment": shipment });
        let request = || {
            let request = shipping.request(Method::POST, "/v1/labels");
            request.header("API-Key", SHIPPING_KEY).json(&body)
        };
        send_until_answered(request).await;
    }

    /// An id that the seed determines.
    fn new_id(&mut self) -> Uuid {
        Builder::from_random_bytes(self.rng.random()).into_uuid()
    }
}

/// Repeats a request until the provider responds. None if it refuses.
async fn send_until_answered(request: impl Fn() -> RequestBuilder) -> Option<Value> {
    let deadline = Instant::now() + RETRY_FOR;
    while Instant::now() < deadline {
        match Response::try_of(request()).await {
            Ok(response) if response.status == 200 => {
                if let Ok(value) = serde_json::from_str(&response.body) {
                    return Some(value);
                }
            }
            Ok(response) if (400..500).contains(&response.status) && response.status != 429 => {
                return None;
            }
            _ => {}
        }
        sleep(RETRY_AFTER).await;
    }
    None
}
