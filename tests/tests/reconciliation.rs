//! Reconciliation of the providers' records with ours: unneeded authorizations and labels are
//! voided, unclear cases are raised, and records of other systems are left alone.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    AUTHORIZE, LABEL_BOUGHT, LABEL_VOIDED, Order, OrderRequest, Person, ReplayedRefusal, Response,
    SHOP_ID, Stack, authorization_form, eventually, shipped, waiting,
};
use uuid::Uuid;

const KEY: &str = "sk_test_stories";

/// Authorizes a payment for an order of a shop, without the stack's knowledge. Returns the
/// payment's id.
async fn authorize_payment(stack: &Stack, shop: &str, order_id: Uuid, cents: i64) -> Value {
    let form = authorization_form(cents, Some(shop), Some(order_id));
    let request = stack
        .payments
        .request(Method::POST, "/v1/payment_intents")
        .bearer_auth(KEY)
        .form(&form);
    let intent: Value = Response::of(request).await.with_status(200).json();
    intent["id"].clone()
}

/// Refunds a part of an order, without the stack's knowledge. Returns the refund's id.
async fn refund_payment(stack: &Stack, order: &Order) -> Value {
    let query = format!("metadata['order_id']:'{}' AND status:'succeeded'", order.id);
    let request = stack
        .payments
        .request(Method::GET, "/v1/payment_intents/search")
        .bearer_auth(KEY)
        .query(&[("query", query)]);
    let found: Value = Response::of(request).await.with_status(200).json();
    let payment = found["data"][0]["id"].as_str().unwrap_or_default();
    let request = stack
        .payments
        .request(Method::POST, "/v1/refunds")
        .bearer_auth(KEY)
        .form(&[("payment_intent", payment), ("amount", "1")]);
    let refund: Value = Response::of(request).await.with_status(200).json();
    refund["id"].clone()
}

/// Buys another label for an order, without the stack's knowledge.
async fn buy_label(stack: &Stack, order: &Order) {
    let of_order = format!("/v1/shipments/external_shipment_id/{}", order.id);
    let request = |method, path: &str| {
        let request = stack.shipping.request(method, path);
        request.header("API-Key", "TEST_stories")
    };
    let shipment: Value = Response::of(request(Method::GET, &of_order)).await.json();
    let shipment = shipment["shipment_id"].as_str().unwrap_or_default();
    let purchase = format!("/v1/labels/shipment/{shipment}");
    let purchase = request(Method::POST, &purchase).json(&json!({}));
    Response::of(purchase).await.with_status(200);
}

/// Waits for an attention item.
async fn wait_for_attention(stack: &Stack, kind: &str, subject: &Value) {
    let operator = stack.staff("operator").await;
    eventually("raised", async || {
        let raised = operator.get("/v1/ops/attention?limit=100").await;
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
async fn unneeded_records_are_voided_and_unclear_ones_raised() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0135", 5).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0135", 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    authorize_payment(&stack, SHOP_ID, order.id, 500).await;
    let unknown = authorize_payment(&stack, SHOP_ID, Uuid::now_v7(), 500).await;
    let refund = refund_payment(&stack, &order).await;
    buy_label(&stack, &order).await;

    wait_for_void(&stack, &order).await;
    eventually("label voided", async || {
        let ledger = stack.shipping.ledger_of(&order).await;
        if ledger == [LABEL_BOUGHT, LABEL_BOUGHT, LABEL_VOIDED] {
            Ok(())
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await;
    wait_for_attention(&stack, "unknown_order", &unknown).await;
    wait_for_attention(&stack, "refund", &refund).await;
    // An amount that was refunded at the provider cannot be refunded again.
    let counts = |order: &Order| order.payment == "partially_refunded";
    shopper.order(&order).until(counts).await;
    let support = stack.staff("support").await;
    let all = support.refund_request(&order, order.total_cents, &Uuid::new_v4().to_string());
    Response::of(all)
        .await
        .assert_problem(422, "refund-too-large", Some("amount_cents"));
}

#[tokio::test]
async fn an_authorization_that_cannot_be_voided_is_raised_and_does_not_block_others() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0138", 5).await;
    let _lock = stack.lock_providers().await;
    let mut orders = Vec::new();
    for _ in 0..2 {
        let order = shopper.place_order(&OrderRequest::of("TEA-0138", 1)).await;
        orders.push(shopper.order(&order).until(shipped).await);
    }
    let [kept_order, other] = &orders[..] else {
        panic!("{orders:?}");
    };
    stack.payments.refuse_all_for(kept_order, "/cancel").await;
    // Otherwise the event would reveal the authorization first.
    stack.payments.drop_events().await;
    let kept = authorize_payment(&stack, SHOP_ID, kept_order.id, 500).await;
    // It is voided later, if necessary in a later window of the comparison.
    wait_for_attention(&stack, "hold_not_let_go", &kept).await;
    authorize_payment(&stack, SHOP_ID, other.id, 500).await;
    wait_for_void(&stack, other).await;
    assert_eq!(payment(&stack, &kept).await["status"], "requires_capture");
}

/// Waits until a payment over 500 cents of the order is voided.
async fn wait_for_void(stack: &Stack, order: &Order) {
    eventually("voided", async || {
        let ledger = stack.payments.ledger_of(order).await;
        if ledger.contains(&"canceled 500 EUR".to_owned()) {
            Ok(())
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await;
}

/// The provider keeps such an error for a day, under the key of the call.
#[tokio::test]
async fn an_authorization_is_voided_after_an_account_error_that_the_provider_replays() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0100", 5).await;
    let _lock = stack.lock_providers().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0100", 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    let refusal = ReplayedRefusal::Account;
    stack.payments.replay_refusal(refusal, "/cancel").await;
    // Otherwise the event would reveal the authorization first.
    stack.payments.drop_events().await;
    authorize_payment(&stack, SHOP_ID, order.id, 500).await;
    wait_for_void(&stack, &order).await;
    stack.payments.assert_fault_used_up().await;
}

/// Buys a label for another system.
async fn buy_foreign_label(stack: &Stack) {
    let address = json!({
        "name": "Eva", "address_line1": "Calle 2", "city_locality": "Madrid",
        "postal_code": "28013", "country_code": "ES",
    });
    let shipment = json!({
        "external_shipment_id": "1001", "external_order_id": "other:1001",
        "service_code": "usps_priority_mail", "ship_to": address, "ship_from": address,
        "packages": [{ "weight": { "value": 100, "unit": "gram" } }],
    });
    let request = stack.shipping.request(Method::POST, "/v1/labels");
    let request = request.header("API-Key", "TEST_stories");
    let bought = Response::of(request.json(&json!({ "shipment": shipment }))).await;
    // Another run of this test may have bought it already.
    assert!(bought.status == 200 || bought.status == 400, "{bought:?}");
}

/// The payment's current state at the provider.
async fn payment(stack: &Stack, id: &Value) -> Value {
    let path = format!("/v1/payment_intents/{}", id.as_str().unwrap());
    let request = stack.payments.request(Method::GET, &path).bearer_auth(KEY);
    Response::of(request).await.with_status(200).json()
}

#[tokio::test]
async fn records_of_other_systems_are_left_alone() {
    let stack = Stack::find();
    let database = stack.database().await;
    let shopper = stack.new_shopper().await;
    database.restock("TEA-0136", 5).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0136", 1)).await;
    let order = shopper.order(&order).until(shipped).await;

    let before = authorize_payment(&stack, SHOP_ID, Uuid::now_v7(), 500).await;
    // One for an order of another shop, and one for our order by a shop with a copy of our
    // database.
    let foreign = [
        authorize_payment(&stack, "other", Uuid::now_v7(), 500).await,
        authorize_payment(&stack, "other", order.id, 500).await,
        authorize_payment(&stack, "", Uuid::now_v7(), 500).await,
    ];
    buy_foreign_label(&stack).await;
    let after = authorize_payment(&stack, SHOP_ID, Uuid::now_v7(), 500).await;
    // Records that were created between these two have been compared too.
    wait_for_attention(&stack, "unknown_order", &before).await;
    wait_for_attention(&stack, "unknown_order", &after).await;
    for id in &foreign {
        let raised = database.open_attention_about(id.as_str().unwrap()).await;
        assert_eq!(raised, [] as [String; 0], "{id}");
        assert_eq!(payment(&stack, id).await["status"], "requires_capture");
    }
}

#[tokio::test]
async fn a_look_up_ignores_payments_of_other_shops() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0130", 5).await;
    let _lock = stack.lock_providers().await;

    // The outcome of the call is unknown, so the payment is looked up.
    stack.payments.fail_all(AUTHORIZE).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0130", 2)).await;
    shopper.order(&order).until(waiting).await;
    stack.payments.recover().await;
    // A payment of a shop with a copy of our database.
    let foreign = authorize_payment(&stack, "other", order.id, 500).await;

    let order = shopper.order(&order).until(shipped).await;
    let mut ledger = stack.payments.ledger_of(&order).await;
    ledger.retain(|effect| *effect != "authorized 500 EUR");
    assert_eq!(ledger, order.paid_once());
    let foreign = payment(&stack, &foreign).await;
    assert_eq!(foreign["status"], "requires_capture");
}

#[tokio::test]
async fn an_authorization_that_the_look_up_misses_is_found_later() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0129", 5).await;
    let _lock = stack.lock_providers().await;
    stack.payments.drop_events().await;

    stack.payments.fail_all(AUTHORIZE).await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0129", 2)).await;
    shopper.order(&order).until(waiting).await;
    stack.payments.recover().await;
    // Late effects of the order's own calls.
    for _ in 0..2 {
        authorize_payment(&stack, SHOP_ID, order.id, order.total_cents).await;
    }
    stack.payments.hide_payments_of(&order).await;
    let knows = |order: &Order| order.payment == "authorized";
    shopper.order(&order).until(knows).await;
    stack.payments.recover().await;

    let order = shopper.order(&order).until(shipped).await;
    let [authorized, captured] = order.paid_once();
    let canceled = format!("canceled {} EUR", order.total_cents);
    let mut expected = [authorized.clone(), authorized, canceled, captured];
    expected.sort();
    eventually("only one authorization is left", async || {
        let mut ledger = stack.payments.ledger_of(&order).await;
        ledger.sort();
        let is_so = ledger == expected;
        is_so.then_some(()).ok_or_else(|| format!("{ledger:?}"))
    })
    .await;
    // The list also shows until when the payment can be captured.
    let support = stack.staff("support").await;
    let path = format!("/v1/orders/{}", order.id);
    let seen: Value = support.get(&path).await.with_status(200).json();
    assert!(seen["for_staff"]["capture_before"].is_string(), "{seen}");
}

/// The disputes of an order as staff see them.
async fn disputes_of(support: &Person, order: &Order) -> Vec<Value> {
    let path = format!("/v1/orders/{}", order.id);
    let order: Value = support.get(&path).await.with_status(200).json();
    order["for_staff"]["disputes"].as_array().cloned().unwrap()
}

#[tokio::test]
async fn a_dispute_is_found_without_its_event() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("TEA-0137", 5).await;
    let _lock = stack.lock_providers().await;
    let order = shopper.place_order(&OrderRequest::of("TEA-0137", 1)).await;
    let order = shopper.order(&order).until(shipped).await;

    stack.payments.drop_events().await;
    let id = stack
        .payments
        .dispute_payment_of(&order, "needs_response")
        .await;
    eventually("found", async || {
        let disputes = disputes_of(&support, &order).await;
        match &disputes[..] {
            [dispute] if dispute["id"] == id => Ok(()),
            _ => Err(format!("{disputes:?}")),
        }
    })
    .await;
    wait_for_attention(&stack, "dispute", &id.into()).await;
}
