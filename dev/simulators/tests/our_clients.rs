//! Our own clients against the simulators over real sockets: the errors that they return for each
//! fault.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use std::time::Duration;

use orders::{Address, Cents, Currency, OrderId, PaymentMethod, ShopId};
use providers::{
    Authorization, CallError, Parcel, PaymentIntentStatus, Payments, ShipmentLookup, Shipping,
    client,
};
use serde_json::json;

use common::{Simulator, shop_id};

struct Shop {
    simulator: Simulator,
    payments: Payments,
    currency: Currency,
}

impl Shop {
    async fn open() -> Self {
        let simulator = Simulator::start(simulators::PAYMENTS).await;
        let payments = Payments::new(client().unwrap(), &simulator.url, "sk_test_ours");
        Self {
            simulator,
            payments,
            currency: "EUR".parse().unwrap(),
        }
    }

    async fn authorize(
        &self,
        order_id: OrderId,
        card: &str,
    ) -> Result<providers::PaymentIntent, CallError> {
        let payment_method: PaymentMethod = card.parse().unwrap();
        let authorization = Authorization {
            shop: &shop_id(),
            order_id,
            round: 0,
            amount: Cents::try_from(1299).unwrap(),
            currency: &self.currency,
            payment_method: &payment_method,
        };
        let key = format!("{order_id}:authorize");
        self.payments.authorize(authorization, &key).await
    }

    async fn find_payments(
        &self,
        order_id: OrderId,
    ) -> Result<Vec<providers::PaymentIntent>, CallError> {
        self.payments.list_by_order(&shop_id(), order_id).await
    }
}

#[tokio::test]
async fn a_payment_is_authorized_found_and_captured() {
    let shop = Shop::open().await;
    let order_id = OrderId::generate();
    let intent = shop.authorize(order_id, "pm_card_visa").await.unwrap();
    assert_eq!(intent.status, PaymentIntentStatus::RequiresCapture);
    assert!(intent.capture_before().is_some());
    let found = shop.find_payments(order_id).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, intent.id);
    let captured = shop.payments.capture(&intent.id, "capture").await.unwrap();
    assert_eq!(captured.status, PaymentIntentStatus::Succeeded);
    shop.payments.ping().await.unwrap();
    assert_eq!(
        shop.simulator.effects(order_id).await,
        ["authorized", "captured"]
    );
}

#[tokio::test]
async fn a_payment_of_another_shop_for_the_order_is_not_found() {
    let shop = Shop::open().await;
    let order_id = OrderId::generate();
    let copy: ShopId = "copy".parse().unwrap();
    let intent = shop.authorize(order_id, "pm_card_visa").await.unwrap();
    assert!(
        shop.payments
            .list_by_order(&copy, order_id)
            .await
            .unwrap()
            .is_empty()
    );
    let found = shop.find_payments(order_id).await.unwrap();
    assert_eq!(found[0].id, intent.id);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_a_retry_does_not_charge_again() {
    let shop = Shop::open().await;
    let order_id = OrderId::generate();
    shop.simulator
        .fail_next(json!({ "mode": "lose_answer" }))
        .await;
    let lost = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
    assert!(matches!(lost, CallError::Unknown { .. }), "{lost:?}");
    shop.authorize(order_id, "pm_card_visa").await.unwrap();
    assert_eq!(shop.simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_declined_card_is_final_and_a_rate_limit_is_transient() {
    let shop = Shop::open().await;
    let card = "pm_card_visa_chargeDeclinedInsufficientFunds";
    let declined = shop.authorize(OrderId::generate(), card).await.unwrap_err();
    assert!(matches!(&declined, CallError::Declined { code, .. } if code == "insufficient_funds"));
    assert!(!declined.is_transient());

    let fault = json!({ "mode": "rate_limited", "retry_after": 3 });
    shop.simulator.fail_next(fault).await;
    let rate_limited = shop
        .authorize(OrderId::generate(), "pm_card_visa")
        .await
        .unwrap_err();
    let retry_after = Some(std::time::Duration::from_secs(3));
    assert_eq!(rate_limited, CallError::RateLimited { retry_after });
    assert!(rate_limited.is_transient());
}

#[tokio::test]
async fn an_error_is_replayed_for_the_same_key() {
    let shop = Shop::open().await;
    let order_id = OrderId::generate();
    let fault = json!({ "mode": "error", "status": 500, "kept": true });
    shop.simulator.fail_next(fault).await;
    let error = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error:?}");
    let again = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
    assert_eq!(again, CallError::Replayed { status: 500 });
    assert!(shop.simulator.effects(order_id).await.is_empty());
}

fn address(postal_code: &str) -> Address {
    let address = json!({
        "name": "Shopper One",
        "line1": "Calle Mayor 1",
        "city": "Madrid",
        "postal_code": postal_code,
        "country": "ES",
    });
    serde_json::from_value(address).unwrap()
}

#[tokio::test]
async fn a_label_is_bought_found_after_a_lost_answer_and_voided() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let order_id = OrderId::generate();
    let ship_to = address("28013");
    let parcel = Parcel {
        shop: &shop_id(),
        order_id,
        ship_to: &ship_to,
        grams: 500,
    };
    assert_eq!(
        shipping.look_up(order_id).await,
        Ok(ShipmentLookup::Nothing)
    );
    simulator.fail_next(json!({ "mode": "lose_answer" })).await;
    let lost = shipping.buy_label(parcel).await.unwrap_err();
    assert!(matches!(lost, CallError::Unknown { .. }), "{lost:?}");
    assert_eq!(shipping.buy_label(parcel).await, Err(CallError::InFlight));
    let Ok(ShipmentLookup::Label(label)) = shipping.look_up(order_id).await else {
        panic!("the label was bought");
    };
    for _ in 0..2 {
        shipping.void_label(&label.label_id).await.unwrap();
    }
    let Ok(ShipmentLookup::Shipment(shipment)) = shipping.look_up(order_id).await else {
        panic!("the shipment is left without its label");
    };
    let another = shipping.buy_label_for(&shipment).await.unwrap();
    assert_ne!(another.label_id, label.label_id);
    assert_eq!(
        simulator.effects(order_id).await,
        ["label_bought", "label_voided", "label_bought"]
    );
}

#[tokio::test]
async fn a_label_is_in_flight_until_the_carrier_has_created_it() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let order_id = OrderId::generate();
    let ship_to = address("28013");
    let parcel = Parcel {
        shop: &shop_id(),
        order_id,
        ship_to: &ship_to,
        grams: 500,
    };
    simulator.fail_next(json!({ "mode": "label_error" })).await;
    let failed = shipping.buy_label(parcel).await.unwrap_err();
    assert_eq!(failed, CallError::InFlight);
    let Ok(ShipmentLookup::Shipment(shipment)) = shipping.look_up(order_id).await else {
        panic!("the shipment is left without a label");
    };
    let processing = json!({ "mode": "label_processing", "ms": 300 });
    simulator.fail_next(processing).await;
    let bought = shipping.buy_label_for(&shipment).await;
    assert_eq!(bought, Err(CallError::InFlight));
    let label = loop {
        match shipping.look_up(order_id).await {
            Ok(ShipmentLookup::Label(label)) => break label,
            Err(CallError::InFlight) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{other:?}"),
        }
    };
    shipping.void_label(&label.label_id).await.unwrap();
    assert_eq!(
        simulator.effects(order_id).await,
        ["label_bought", "label_voided"]
    );
}

#[tokio::test]
async fn a_stored_error_of_any_status_is_replayed() {
    let shop = Shop::open().await;
    for (fault, status) in [
        (json!({ "mode": "error", "status": 400, "kept": true }), 400),
        (json!({ "mode": "error", "status": 424, "kept": true }), 424),
        (json!({ "mode": "not_served", "kept": true }), 403),
    ] {
        let order_id = OrderId::generate();
        shop.simulator.fail_next(fault.clone()).await;
        let first = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
        assert!(
            !matches!(first, CallError::Replayed { .. }),
            "{fault}: {first}"
        );
        let again = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
        assert_eq!(again, CallError::Replayed { status }, "{fault}");
    }
}

#[tokio::test]
async fn a_late_effect_comes_after_the_error() {
    let shop = Shop::open().await;
    let order_id = OrderId::generate();
    let late = json!({ "mode": "late_effect", "ms": 200 });
    shop.simulator.fail_next(late).await;
    let error = shop.authorize(order_id, "pm_card_visa").await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert_eq!(shop.find_payments(order_id).await.unwrap().len(), 0);
    let found = loop {
        match shop.find_payments(order_id).await.unwrap().pop() {
            Some(intent) => break intent,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(found.status, PaymentIntentStatus::RequiresCapture);
    assert_eq!(shop.simulator.effects(order_id).await, ["authorized"]);
}

#[tokio::test]
async fn a_refusal_of_the_label_differs_from_an_account_error() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let ship_to = address("28013");
    let parcel = Parcel {
        shop: &shop_id(),
        order_id: OrderId::generate(),
        ship_to: &ship_to,
        grams: 500,
    };
    simulator.fail_next(json!({ "mode": "not_served" })).await;
    let unfunded = shipping.buy_label(parcel).await.unwrap_err();
    assert!(
        matches!(&unfunded, CallError::AccountError { code, .. } if code == "insufficient_funds")
    );
    let label = shipping.buy_label(parcel).await.unwrap();
    simulator.fail_next(json!({ "mode": "refuse" })).await;
    let refused = shipping.void_label(&label.label_id).await.unwrap_err();
    assert!(matches!(&refused, CallError::Rejected { code, .. } if code == "invalid_status"));
    let keyless = Shipping::new(client().unwrap(), &simulator.url, "");
    let unauthorized = keyless.look_up(parcel.order_id).await.unwrap_err();
    assert!(matches!(
        unauthorized,
        CallError::AccountError { status: 401, .. }
    ));
}

#[tokio::test]
async fn a_shipment_without_a_label_gets_one_later() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let order_id = OrderId::generate();
    let ship_to = address("28013");
    let parcel = Parcel {
        shop: &shop_id(),
        order_id,
        ship_to: &ship_to,
        grams: 500,
    };
    simulator
        .fail_next(json!({ "mode": "error", "status": 500, "kept": true }))
        .await;
    let failed = shipping.buy_label(parcel).await.unwrap_err();
    assert!(matches!(failed, CallError::Unknown { .. }), "{failed:?}");
    assert_eq!(shipping.buy_label(parcel).await, Err(CallError::InFlight));
    let Ok(ShipmentLookup::Shipment(shipment)) = shipping.look_up(order_id).await else {
        panic!("there is a shipment without a label");
    };
    let label = shipping.buy_label_for(&shipment).await.unwrap();
    assert_eq!(
        shipping.look_up(order_id).await,
        Ok(ShipmentLookup::Label(label))
    );
    assert_eq!(simulator.effects(order_id).await, ["label_bought"]);
}

#[tokio::test]
async fn an_address_that_no_carrier_delivers_to_is_rejected() {
    let simulator = Simulator::start(simulators::SHIPPING).await;
    let shipping = Shipping::new(client().unwrap(), &simulator.url, "TEST_ours");
    let ship_to = address("00000");
    let parcel = Parcel {
        shop: &shop_id(),
        order_id: OrderId::generate(),
        ship_to: &ship_to,
        grams: 500,
    };
    let rejected = shipping.buy_label(parcel).await.unwrap_err();
    assert!(
        matches!(&rejected, CallError::Rejected { status: 400, code, .. } if code == "invalid_address")
    );
    assert!(!rejected.is_transient());
}
