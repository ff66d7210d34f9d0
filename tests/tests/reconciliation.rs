//! The providers' own records against ours: what is of no use to anybody is undone, what has no one
//! right answer is put before a person.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LABEL_BOUGHT, LABEL_VOIDED, Order, Stack, Wish, eventually, shipped};
use uuid::Uuid;

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
        .bearer_auth("sk_test_stories")
        .form(&form);
    let intent: Value = Answer::of(request).await.with_status(200).json();
    intent["id"].clone()
}

/// Buys another label for an order, behind our back.
async fn buys_label(stack: &Stack, order: &Order) {
    let address = json!({
        "name": "Ana", "phone": "1", "address_line1": "Calle 1", "city_locality": "Cádiz",
        "state_province": "Cádiz", "postal_code": "11001", "country_code": "ES",
    });
    let shipment = json!({
        "external_shipment_id": order.id,
        "service_code": "usps_priority_mail",
        "ship_to": address,
        "ship_from": address,
        "packages": [{ "weight": { "value": 250, "unit": "gram" } }],
    });
    let request = stack
        .shipping
        .request(Method::POST, "/v1/labels")
        .header("API-Key", "TEST_stories")
        .json(&json!({ "shipment": shipment }));
    Answer::of(request).await.with_status(200);
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
    let operator = stack.staff("operator").await;
    eventually("raised", async || {
        let raised = operator
            .gets("/v1/ops/attention?limit=100")
            .await
            .with_status(200);
        let raised: Value = raised.json();
        let items = raised["items"].as_array().cloned().unwrap_or_default();
        let about = |item: &&Value| item["kind"] == "unknown_order" && item["subject"] == unknown;
        items
            .iter()
            .find(about)
            .map(drop)
            .ok_or_else(|| format!("{items:?}"))
    })
    .await;
    assert_eq!(shopper.sees(&order).now().await.payment, "captured");
}
