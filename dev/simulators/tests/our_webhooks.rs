//! Our own clients against what the simulators tell unasked, and against what they give back.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use std::time::Duration;

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use jiff::{SignedDuration, Timestamp};
use orders::{Address, Cents, Currency, OrderId, RefundId};
use providers::{
    Authorization, KeySet, Parcel, Payments, RefundStatus, Refunding, Shipping, TrackingStatus,
    client,
    webhook::{payments::PaymentEventKind, shipping::verify as verify_tracking},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use common::Simulator;

const SECRET: &str = "whsec_ours";

/// Longer than an event takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(10);

type Delivery = (HeaderMap, Bytes);

/// Somebody who listens to a simulator's events.
struct Listener {
    url: String,
    heard: UnboundedReceiver<Delivery>,
}

impl Listener {
    async fn start() -> Self {
        async fn hear(
            State(heard): State<UnboundedSender<Delivery>>,
            headers: HeaderMap,
            body: Bytes,
        ) {
            heard.send((headers, body)).unwrap();
        }
        let (sender, heard) = unbounded_channel();
        let app = Router::new().route("/", post(hear)).with_state(sender);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, heard }
    }

    async fn of(simulator: &Simulator, mut settings: Value) -> Self {
        let listener = Self::start().await;
        settings["url"] = listener.url.clone().into();
        let answer = simulator
            .control(Method::PUT, "/_webhooks", Some(settings))
            .await;
        assert_eq!(answer.status(), 204);
        listener
    }

    async fn hears(&mut self) -> Delivery {
        timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }
}

async fn taken(payments: &Payments, order_id: OrderId) -> String {
    let currency: Currency = "EUR".parse().unwrap();
    let authorization = Authorization {
        order_id,
        amount: Cents::try_from(1299).unwrap(),
        currency: &currency,
        payment_method: &"pm_card_visa".parse().unwrap(),
    };
    let key = format!("{order_id}:authorize");
    let intent = payments.authorize(authorization, &key).await.unwrap();
    let key = format!("{order_id}:capture");
    payments.capture(&intent.id, &key).await.unwrap().id
}

fn payments_of(simulator: &Simulator) -> Payments {
    Payments::new(client().unwrap(), &simulator.url, "sk_test_ours")
}

#[tokio::test]
async fn every_change_of_a_payment_is_told_and_believed() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let mut listener = Listener::of(&simulator, json!({ "secret": SECRET })).await;
    let order_id = OrderId::generate();
    let payment_id = taken(&payments_of(&simulator), order_id).await;
    for kind in [PaymentEventKind::Authorized, PaymentEventKind::Captured] {
        let (headers, body) = listener.hears().await;
        let event = providers::webhook::payments::verify(&headers, &body, SECRET, Timestamp::now());
        let event = event.unwrap();
        assert_eq!(event.kind, kind);
        assert_eq!(event.order_id, Some(order_id));
        assert_eq!(event.payment_id.as_ref(), Some(&payment_id));
    }
}

#[tokio::test]
async fn a_refund_is_made_once_and_found_by_its_payment() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let payments = payments_of(&simulator);
    let order_id = OrderId::generate();
    let payment_id = taken(&payments, order_id).await;
    let refund_id = RefundId::generate();
    let refunding = Refunding {
        payment_id: &payment_id,
        order_id,
        refund_id,
        amount: Cents::try_from(300).unwrap(),
        reason: "arrived broken",
    };
    for _ in 0..2 {
        let refund = payments.refund(refunding, "refund").await.unwrap();
        assert_eq!(refund.status, RefundStatus::Succeeded);
    }
    let found = payments.refunds_of(&payment_id).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].refund_id(), Some(refund_id));
    assert_eq!(
        simulator.effects(order_id).await,
        ["authorized", "captured", "refunded"]
    );
}

#[tokio::test]
async fn a_parcel_is_tracked_to_the_door() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let settings = json!({ "deliver_after_ms": 1, "duplicate": 1.0 });
    let mut listener = Listener::of(&simulator, settings).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let order_id = OrderId::generate();
    let ship_to: Address = serde_json::from_value(json!({
        "name": "Shopper One", "line1": "Calle Mayor 1", "city": "Madrid",
        "postal_code": "28013", "country": "ES",
    }))
    .unwrap();
    let parcel = Parcel {
        order_id,
        ship_to: &ship_to,
        grams: 500,
    };
    let label = shipping.buy_label(parcel).await.unwrap();

    let keys = KeySet::new(client().unwrap(), format!("{}/jwks", simulator.url));
    let mut events = Vec::new();
    for _ in 0..2 {
        let (headers, body) = listener.hears().await;
        let event = verify_tracking(&headers, &body, &keys, Timestamp::now()).await;
        events.push(event.unwrap());
    }
    assert_eq!(events[0], events[1], "a duplicate is known for what it is");
    assert_eq!(events[0].status, TrackingStatus::Delivered);
    assert_eq!(events[0].tracking_number, label.tracking_number);

    let hour = SignedDuration::from_hours(1);
    let created = Timestamp::now() - hour..Timestamp::now() + hour;
    let page = shipping.labels(created, 1).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].order_id(), Some(order_id));
    assert_eq!(page.next, None);
}
