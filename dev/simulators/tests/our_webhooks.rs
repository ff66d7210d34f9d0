//! Our own clients against the simulators' webhooks, refunds and disputes.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use jiff::{SignedDuration, Timestamp};
use orders::{
    Address, Cents, Currency, DisputeStatus, DisputedFunds, OrderId, PaymentId, RefundId,
};
use providers::{
    Authorization, CallError, KeySet, Owner, Parcel, Payments, RefundCall, RefundStatus, Shipping,
    TrackingStatus, client,
    webhook::{payments::PaymentEventKind, shipping::verify as verify_tracking},
};
use reqwest::Method;
use serde_json::json;

use common::{Listener, Simulator, shop_id};

const SECRET: &str = "whsec_ours";

async fn captured_payment(payments: &Payments, order_id: OrderId) -> PaymentId {
    let currency: Currency = "EUR".parse().unwrap();
    let authorization = Authorization {
        shop: &shop_id(),
        order_id,
        round: 0,
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
async fn each_change_of_a_payment_sends_a_verified_event() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let mut listener = Listener::of(&simulator, json!({ "secret": SECRET })).await;
    let order_id = OrderId::generate();
    let payment_id = captured_payment(&payments_of(&simulator), order_id).await;
    for kind in [PaymentEventKind::Authorized, PaymentEventKind::Captured] {
        let (headers, body) = listener.next().await;
        let event = providers::webhook::payments::verify(&headers, &body, SECRET, Timestamp::now());
        let event = event.unwrap();
        assert_eq!(event.kind, kind);
        assert_eq!(event.order_id, Some(order_id));
        assert_eq!(event.payment_id.as_ref(), Some(&payment_id));
    }
}

#[tokio::test]
async fn a_refund_is_made_once_and_listed_for_its_payment() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let payments = payments_of(&simulator);
    let order_id = OrderId::generate();
    let payment_id = captured_payment(&payments, order_id).await;
    let refund_id = RefundId::generate();
    let refunding = RefundCall {
        shop: &shop_id(),
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
async fn a_parcel_is_tracked_until_its_delivery() {
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
        shop: &shop_id(),
        order_id,
        ship_to: &ship_to,
        grams: 500,
    };
    let label = shipping.buy_label(parcel).await.unwrap();

    let keys = KeySet::new(client().unwrap(), format!("{}/jwks", simulator.url));
    let mut events = Vec::new();
    for _ in 0..2 {
        let (headers, body) = listener.next().await;
        let event = verify_tracking(&headers, &body, &keys, Timestamp::now()).await;
        events.push(event.unwrap());
    }
    assert_eq!(events[0], events[1], "a duplicate equals the first event");
    assert_eq!(events[0].status, TrackingStatus::Delivered);
    assert_eq!(events[0].tracking_number, label.tracking_number);

    let hour = SignedDuration::from_hours(1);
    let created = Timestamp::now() - hour..Timestamp::now() + hour;
    let page = shipping.labels(created, None).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.next, None);
    let effects = simulator.effects(order_id).await;
    assert_eq!(effects, ["label_bought", "delivered"]);
    let of_parcel = shipping
        .labels_of_parcel(label.tracking_number.as_deref().unwrap())
        .await;
    assert_eq!(of_parcel.unwrap(), page.items);
    let listed = &page.items[0];
    assert_eq!(listed.reference.order_id, Some(order_id));
    assert_eq!(listed.reference.owner(&shop_id()), Owner::Shop);
    assert_eq!(listed.id, label.label_id.as_str());
}

/// Opens the dispute of an order's payment, or changes its status.
async fn set_dispute(simulator: &Simulator, order_id: OrderId, status: &str) {
    let change = json!({ "order_id": order_id, "status": status });
    let answer = simulator
        .control(Method::POST, "/_dispute", Some(change))
        .await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_dispute_sends_an_event_is_listed_and_blocks_refunds_until_it_is_won() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let payments = payments_of(&simulator);
    let order_id = OrderId::generate();
    let payment_id = captured_payment(&payments, order_id).await;
    let mut listener = Listener::of(&simulator, json!({ "secret": SECRET })).await;
    let refunding = RefundCall {
        shop: &shop_id(),
        payment_id: &payment_id,
        order_id,
        refund_id: RefundId::generate(),
        amount: Cents::try_from(300).unwrap(),
        reason: "arrived broken",
    };
    let hour = SignedDuration::from_hours(1);
    let created = Timestamp::now() - hour..Timestamp::now() + hour;

    set_dispute(&simulator, order_id, "needs_response").await;
    let (headers, body) = listener.next().await;
    let event = providers::webhook::payments::verify(&headers, &body, SECRET, Timestamp::now());
    let PaymentEventKind::Disputed { dispute_id } = event.unwrap().kind else {
        panic!("{body:?}");
    };
    let page = payments.list_disputes(created, None).await.unwrap();
    let [listed] = &page.items[..] else {
        panic!("{page:?}");
    };
    assert_eq!(listed.id, dispute_id);
    assert_eq!(listed.reference.owner(&shop_id()), Owner::Shop);
    assert_eq!(listed.reference.order_id, Some(order_id));
    let dispute = payments
        .dispute(&dispute_id)
        .await
        .unwrap()
        .content
        .unwrap();
    assert_eq!(dispute.status, DisputeStatus::NeedsResponse);
    assert_eq!(dispute.funds(), DisputedFunds::Withdrawn);
    assert_eq!(dispute.payment_intent.as_ref(), Some(&payment_id));
    assert!(dispute.evidence_due_by() > Some(Timestamp::now()));
    let refused = payments.refund(refunding, "refund").await;
    let code = "charge_disputed";
    assert!(matches!(refused, Err(CallError::Rejected { code: it, .. }) if it == code));

    set_dispute(&simulator, order_id, "won").await;
    let dispute = payments
        .dispute(&dispute_id)
        .await
        .unwrap()
        .content
        .unwrap();
    assert_eq!(dispute.status, DisputeStatus::Won);
    assert_eq!(dispute.funds(), DisputedFunds::Reinstated);
    payments.refund(refunding, "again").await.unwrap();
}

#[tokio::test]
async fn a_refund_made_by_hand_is_listed_with_its_payments_reference() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let payments = payments_of(&simulator);
    let order_id = OrderId::generate();
    let payment_id = captured_payment(&payments, order_id).await;
    let address = format!("{}/v1/refunds", simulator.url);
    let by_hand = client().unwrap().post(address).bearer_auth("sk_test_hand");
    let by_hand = by_hand.form(&[("payment_intent", payment_id.as_str()), ("amount", "1")]);
    assert_eq!(by_hand.send().await.unwrap().status(), 200);
    let hour = SignedDuration::from_hours(1);
    let created = Timestamp::now() - hour..Timestamp::now() + hour;
    let page = payments.list_refunds(created, None).await.unwrap();
    let [refund] = &page.items[..] else {
        panic!("{page:?}");
    };
    assert_eq!(refund.reference.owner(&shop_id()), Owner::Shop);
    assert_eq!(refund.reference.order_id, Some(order_id));
    let content = refund.content.as_ref().unwrap();
    assert_eq!(content.payment_intent.as_ref(), Some(&payment_id));
    assert_eq!(content.order_id(), None);
    // The lookup after an event returns the same reference.
    let looked_up = payments.refund_record(&refund.id).await.unwrap();
    assert_eq!(looked_up.reference, refund.reference);
}
