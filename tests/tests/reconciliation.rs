//! The providers' own records against ours: what is of no use to anybody is undone, what has no one
//! right answer is put before a person.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LABEL_BOUGHT, LABEL_VOIDED, Order, Stack, Wish, eventually, shipped};
use uuid::Uuid;

const KEY: &str = "sk_test_stories";

/// Holds money at the provider for an order, behind our back. The answer is the payment's id.
async fn holds_money(stack: &Stack, order_id: Uuid) -> Value {
    let form = [
        ("amount", "500".to_owned()),
        ("currency", "eur".to_owned()),
        ("payment_method", "pm_card_visa".to_owned()),
        ("payment_method_types[]", "card".to_owned()),
        ("capture_method", "manual".to_owned()),
        ("confirm", "true".to_owned()),
        ("metadata[order_id]", order_id.to_string()),
    ];
    let request = stack
        .payments
        .request(Method::POST, "/v1/payment_intents")
        .bearer_auth(KEY)
        .form(&form);
    let intent: Value = Answer::of(request).await.with_status(200).json();
    intent["id"].clone()
}

/// Gives a little of an order's money back, behind our back. The answer is the refund's id.
async fn gives_money_back(stack: &Stack, order: &Order) -> Value {
    let query = format!("metadata['order_id']:'{}' AND status:'succeeded'", order.id);
    let request = stack
        .payments
        .request(Method::GET, "/v1/payment_intents/search")
        .bearer_auth(KEY)
        .query(&[("query", query)]);
    let found: Value = Answer::of(request).await.with_status(200).json();
    let payment = found["data"][0]["id"].as_str().unwrap_or_default();
    let request = stack
        .payments
        .request(Method::POST, "/v1/refunds")
        .bearer_auth(KEY)
        .form(&[("payment_intent", payment), ("amount", "1")]);
    let refund: Value = Answer::of(request).await.with_status(200).json();
    refund["id"].clone()
}

/// Buys another label for an order, behind our back.
async fn buys_label(stack: &Stack, order: &Order) {
    let of_order = format!("/v1/shipments/external_shipment_id/{}", order.id);
    let request = |method, path: &str| {
        let request = stack.shipping.request(method, path);
        request.header("API-Key", "TEST_stories")
    };
    let shipment: Value = Answer::of(request(Method::GET, &of_order)).await.json();
    let shipment = shipment["shipment_id"].as_str().unwrap_or_default();
    let purchase = format!("/v1/labels/shipment/{shipment}");
    let purchase = request(Method::POST, &purchase).json(&json!({}));
    Answer::of(purchase).await.with_status(200);
}

/// Waits until a person is asked to look at something.
async fn is_raised(stack: &Stack, kind: &str, subject: &Value) {
    let operator = stack.staff("operator").await;
    eventually("raised", async || {
        let raised = operator.gets("/v1/ops/attention?limit=100").await;
        let raised: Value = raised.with_status(200).json();
        let items = raised["items"].as_array().cloned().unwrap_or_default();
        let about = |item: &&Value| item["kind"] == kind && item["subject"] == *subject;
        items
            .iter()
            .find(about)
            .map(drop)
            .ok_or_else(|| format!("{items:?}"))
    })
    .await;
}

#[tokio::test]
async fn what_is_of_no_use_is_undone_and_what_is_unclear_is_raised() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0135", 5).await;
    let order = shopper.places(&Wish::of("TEA-0135", 1)).await;
    let order = shopper.sees(&order).until(shipped).await;
    holds_money(&stack, order.id).await;
    let unknown = holds_money(&stack, Uuid::now_v7()).await;
    let refund = gives_money_back(&stack, &order).await;
    buys_label(&stack, &order).await;

    eventually("let go", async || {
        let ledger = stack.payments.ledger_of(&order).await;
        if ledger.contains(&"canceled 500 EUR".to_owned()) {
            Ok(())
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await;
    eventually("given back", async || {
        let ledger = stack.shipping.ledger_of(&order).await;
        if ledger == [LABEL_BOUGHT, LABEL_BOUGHT, LABEL_VOIDED] {
            Ok(())
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await;
    is_raised(&stack, "unknown_order", &unknown).await;
    is_raised(&stack, "refund", &refund).await;
    assert_eq!(shopper.sees(&order).now().await.payment, "captured");
}
