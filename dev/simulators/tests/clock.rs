//! A provider whose clock is ahead or behind. In a test program of its own, because the clock is a
//! global variable.

mod common;

use jiff::{SignedDuration, Timestamp};
use orders::{Cents, Currency, OrderId, PaymentMethod};
use providers::{Authorization, Payments, client};
use reqwest::Method;
use serde_json::json;

use common::{Simulator, shop_id};

#[tokio::test]
async fn lists_filter_by_the_same_clock_as_their_records() {
    let simulator = Simulator::start(simulators::PAYMENTS).await;
    let payments = Payments::new(client().unwrap(), &simulator.url, "sk_test_ours");
    let currency: Currency = "EUR".parse().unwrap();
    let payment_method: PaymentMethod = "pm_card_visa".parse().unwrap();
    let authorization = Authorization {
        shop: &shop_id(),
        order_id: OrderId::generate(),
        round: 0,
        amount: Cents::try_from(1299).unwrap(),
        currency: &currency,
        payment_method: &payment_method,
    };
    for ahead_ms in [90_000_i64, -90_000] {
        let clock = json!({ "ahead_ms": ahead_ms });
        let set = simulator.control(Method::PUT, "/_clock", Some(clock)).await;
        assert_eq!(set.status(), 204);
        let key = ahead_ms.to_string();
        let intent = payments.authorize(authorization, &key).await.unwrap();

        let ahead = SignedDuration::from_millis(ahead_ms);
        let error = intent.created.duration_since(Timestamp::now()) - ahead;
        assert!(error.abs() < SignedDuration::from_secs(5), "{error}");
        let minute = SignedDuration::from_mins(1);
        let is_listed = async |around: Timestamp| {
            let window = around - minute..around + minute;
            let page = payments.list_payments(window, None).await.unwrap();
            page.items
                .iter()
                .any(|record| record.id == intent.id.as_str())
        };
        assert!(is_listed(intent.created).await);
        assert!(!is_listed(intent.created - ahead - ahead).await);
    }
    let ledger = simulator.get("/_ledger").await;
    let at: Timestamp = ledger[0]["at"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(at) < SignedDuration::from_secs(30));
}
