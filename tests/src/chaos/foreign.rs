//! Another shop in the same accounts: it makes payments, refunds and labels under its own mark or under
//! none, and for orders that it has as a copy of our database.

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
use crate::{Answer, Stack, provider::hold_form};

/// Its mark.
const SHOP: &str = "other";

/// Its keys at the providers.
const PAYMENTS_KEY: &str = "sk_test_other";
const SHIPPING_KEY: &str = "TEST_other";

/// It trades in this share of the run, from its beginning, so that all is compared before its end.
const SHARE_OF_RUN: f64 = 0.6;

/// How many of our orders come to one of its own deals.
const ORDERS_EACH: u32 = 12;

/// What each of its payments is over, in cents.
const CENTS: i64 = 500;

/// How long to wait before a provider that failed is asked again, and for how long in all.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(2);

/// A deal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deal {
    /// Money is held.
    Hold,
    /// Money is captured.
    Capture,
    /// Money is captured and refunded.
    Refund,
    /// Money is held for an order that we have, too.
    HoldForCopy,
    /// A label is bought.
    Label,
}

const DEALS: [Deal; 5] = [
    Deal::Hold,
    Deal::Capture,
    Deal::Refund,
    Deal::HoldForCopy,
    Deal::Label,
];

/// The other shop.
struct OtherShop {
    stack: Arc<Stack>,
    crowd: Arc<Crowd>,
    chances: ChaCha8Rng,
    trades: Foreign,
}

/// Has the other shop trade, while so many orders are placed over `length`.
pub(super) async fn trades(
    stack: Arc<Stack>,
    crowd: Arc<Crowd>,
    seed: u64,
    orders: u32,
    length: Duration,
) -> Foreign {
    let mut chances = ChaCha8Rng::seed_from_u64(seed);
    chances.set_stream(u64::MAX);
    let mut shop = OtherShop {
        stack,
        crowd,
        chances,
        trades: Foreign::default(),
    };
    let begun = Instant::now();
    let deals = orders.div_ceil(ORDERS_EACH);
    let each = length.mul_f64(SHARE_OF_RUN) / deals.max(1);
    let mut deck = Vec::new();
    for number in 0..deals {
        sleep_until(begun + each * number).await;
        if deck.is_empty() {
            deck = DEALS.to_vec();
            deck.shuffle(&mut shop.chances);
        }
        if let Some(deal) = deck.pop() {
            shop.makes(deal).await;
        }
    }
    shop.trades
}

impl OtherShop {
    async fn makes(&mut self, deal: Deal) {
        match deal {
            Deal::Label => self.buys_label().await,
            Deal::HoldForCopy => {
                let accepted = self.crowd.heard().await.accepted;
                if let Some(order) = accepted.last() {
                    self.holds(Some(SHOP), Some(order.order)).await;
                }
            }
            Deal::Hold | Deal::Capture | Deal::Refund => self.pays(deal).await,
        }
    }

    /// Money is held for an order of its own, or for what has no mark at all, and perhaps captured.
    async fn pays(&mut self, deal: Deal) {
        let order = Some(self.new_id());
        let unknown_to_us = [(Some(SHOP), order), (None, order), (None, None)];
        let (shop, order) = *unknown_to_us
            .choose(&mut self.chances)
            .unwrap_or(&(None, None));
        let Some(payment) = self.holds(shop, order).await else {
            return;
        };
        if deal == Deal::Hold {
            return;
        }
        self.trades.captured.insert(payment.clone());
        let path = format!("/v1/payment_intents/{payment}/capture");
        if self.posts(&path, &[]).await.is_none() || deal == Deal::Capture {
            return;
        }
        self.trades.refunded.insert(payment.clone());
        let form = [("payment_intent", payment), ("amount", "100".to_owned())];
        self.posts("/v1/refunds", &form).await;
    }

    /// Holds money on a card; answers with the payment's id.
    async fn holds(&mut self, shop: Option<&str>, order: Option<Uuid>) -> Option<String> {
        let form = hold_form(CENTS, shop, order);
        let intent = self.posts("/v1/payment_intents", &form).await?;
        intent["id"].as_str().map(str::to_owned)
    }

    async fn posts(&mut self, path: &str, form: &[(&str, String)]) -> Option<Value> {
        let key = self.new_id().to_string();
        let payments = self.stack.provider(Provider::Payments);
        let request = || {
            let request = payments.request(Method::POST, path);
            let request = request.bearer_auth(PAYMENTS_KEY);
            request.header("Idempotency-Key", &key).form(form)
        };
        insists(request).await
    }

    /// Buys a label under its own mark, or under none.
    async fn buys_label(&mut self) {
        let address = json!({
            "name": "Eva", "address_line1": "Calle 2", "city_locality": "Madrid",
            "postal_code": "28013", "country_code": "ES",
        });
        let mut shipment = json!({
            "service_code": "usps_priority_mail", "ship_to": address, "ship_from": address,
            "packages": [{ "weight": { "value": 100, "unit": "gram" } }],
        });
        if self.chances.random_bool(0.5) {
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
        insists(request).await;
    }

    /// An id that the seed alone decides.
    fn new_id(&mut self) -> Uuid {
        Builder::from_random_bytes(self.chances.random()).into_uuid()
    }
}

/// Asks a provider until it answers; none, if it refuses.
async fn insists(request: impl Fn() -> RequestBuilder) -> Option<Value> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match Answer::try_of(request()).await {
            Ok(answer) if answer.status == 200 => {
                if let Ok(value) = serde_json::from_str(&answer.body) {
                    return Some(value);
                }
            }
            Ok(answer) if (400..500).contains(&answer.status) && answer.status != 429 => {
                return None;
            }
            _ => {}
        }
        sleep(ASK_AGAIN).await;
    }
    None
}
