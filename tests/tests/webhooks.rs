//! Webhooks of the providers: they need a valid signature, and are harmless when repeated or out of
//! order.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{digest, hmac};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    AUTHORIZE, Database, LABEL_BOUGHT, Order, OrderRequest, Person, Response, Stack, eventually,
    shipped,
};
use uuid::Uuid;

/// A shipped order of one article.
async fn shipped_order(stack: &Stack, sku: &str) -> (Person, Order) {
    let shopper = stack.new_shopper().await;
    stack.database().await.restock(sku, 10).await;
    let order = shopper.place_order(&OrderRequest::of(sku, 1)).await;
    let order = shopper.order(&order).until(shipped).await;
    (shopper, order)
}

fn delivered(order: &Order) -> bool {
    order.fulfilment == "delivered"
}

/// Waits until an event has been processed.
async fn wait_until_processed(database: &Database, id: &str) {
    eventually("processed", async || {
        let known = database.has_event(id).await;
        known.then_some(()).ok_or_else(|| format!("not {id}"))
    })
    .await;
}

/// The id of a tracking event. The carrier sends none, so it is derived from the body.
fn event_id(event: &str) -> String {
    let digest = digest::digest(&digest::SHA256, event.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed()
}

fn new_id() -> String {
    format!("evt_{}", Uuid::new_v4().simple())
}

/// Stripe's event about a full refund that was not requested.
fn refund_of(order: &Order, id: &str) -> String {
    let refund = json!({
        "id": "re_forged", "object": "refund", "payment_intent": "pi_forged", "status": "succeeded",
        "amount": order.total_cents, "currency": "eur", "metadata": { "order_id": order.id },
    });
    event("refund.updated", id, &refund)
}

fn event(kind: &str, id: &str, object: &Value) -> String {
    json!({ "id": id, "object": "event", "type": kind, "data": { "object": object } }).to_string()
}

/// Stripe's signature with this secret.
fn signature(secret: &str, time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let code = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let mut signature = format!("t={time},v1=");
    for byte in code.as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    signature
}

/// Sends an event as the payment provider does, with a signature or without one.
async fn send_event(stack: &Stack, body: &str, signature: Option<String>) -> Response {
    let stranger = stack.anonymous();
    let mut request = stranger.request(Method::POST, "/v1/webhooks/payments");
    if let Some(signature) = signature {
        request = request.header("Stripe-Signature", signature);
    }
    let request = request.header("Content-Type", "application/json");
    Response::of(request.body(body.to_owned())).await
}

#[tokio::test]
async fn an_order_is_delivered_when_its_parcel_is() {
    let stack = Stack::find();
    let database = stack.database().await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0101").await;

    let event = stack.shipping.move_parcel_of(&order, "IT").await;
    wait_until_processed(&database, &event_id(&event)).await;
    assert!(shipped(&shopper.order(&order).now().await));
    stack.shipping.move_parcel_of(&order, "DE").await;
    shopper.order(&order).until(delivered).await;

    // The carrier has another clock, so a later event may have an earlier time.
    for status in ["IT", "DE"] {
        let event = stack.shipping.move_parcel_of(&order, status).await;
        wait_until_processed(&database, &event_id(&event)).await;
    }
    let timeline = shopper.timeline_of(&order).await;
    assert_eq!(timeline.last().unwrap(), "delivered");
    assert_eq!(timeline.iter().filter(|it| *it == "delivered").count(), 1);
}

#[tokio::test]
async fn repeated_and_disordered_events_are_harmless() {
    let stack = Stack::find();
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (payments, shipping) = (&stack.payments, &stack.shipping);
    payments.duplicate_and_shuffle_events().await;
    shipping.duplicate_and_shuffle_events().await;

    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0102").await;
    for cents in [100, 200] {
        let key = Uuid::new_v4().to_string();
        let request = support.refund_request(&order, cents, &key);
        Response::of(request).await.with_status(202);
    }
    for status in ["IT", "DE"] {
        shipping.move_parcel_of(&order, status).await;
    }
    let order = shopper.order(&order).until(delivered).await;
    let timeline = eventually("two refunds in the timeline", async || {
        let timeline = shopper.timeline_of(&order).await;
        let refunded = timeline.iter().filter(|it| *it == "refunded").count();
        let waiting = payments.pending_events().await + shipping.pending_events().await;
        if refunded == 2 && waiting == 0 {
            Ok(timeline)
        } else {
            Err(format!("{timeline:?}, and {waiting} to be heard"))
        }
    })
    .await;

    assert_eq!(timeline.iter().filter(|it| *it == "delivered").count(), 1);
    let order = shopper.order(&order).now().await;
    assert_eq!(order.payment, "partially_refunded");
    let ledger = payments.ledger_of(&order).await;
    assert_eq!(ledger.len(), 4, "{ledger:?}");
    assert_eq!(ledger[..2], order.paid_once());
    for part in ["refunded 100 EUR", "refunded 200 EUR"] {
        assert!(ledger.contains(&part.to_owned()), "{ledger:?}");
    }
    let ledger = shipping.ledger_of(&order).await;
    assert_eq!(ledger, [LABEL_BOUGHT, "delivered 0 USD"]);
}

#[tokio::test]
async fn a_forged_event_changes_nothing_and_is_audited() {
    let stack = Stack::find();
    let database = stack.database().await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0103").await;
    let secret = &stack.payments_webhook_secret;
    let id = new_id();
    let body = refund_of(&order, &id);

    let (signed, stale) = (now(), now() - 3_600);
    for (signature, kind) in [
        (None, "webhook-forged"),
        (Some(String::new()), "webhook-forged"),
        (Some("t=1,v1=00".to_owned()), "webhook-forged"),
        (
            Some(signature("whsec_another", signed, &body)),
            "webhook-forged",
        ),
        (
            Some(signature(secret, signed, "another body")),
            "webhook-forged",
        ),
        (Some(signature(secret, stale, &body)), "webhook-stale"),
        (
            Some(signature(secret, signed + 3_600, &body)),
            "webhook-stale",
        ),
    ] {
        let response = send_event(&stack, &body, signature).await;
        response.assert_problem(400, kind, None);
    }
    let odd = send_event(&stack, "[]", Some(signature(secret, signed, "[]"))).await;
    odd.assert_problem(400, "webhook-unreadable", Some("body"));

    assert_eq!(shopper.order(&order).now().await, order);
    assert!(!database.has_event(&id).await);
    assert!(database.recent_refusals_of("webhook.payments").await > 0);
}

#[tokio::test]
async fn many_forged_events_do_not_fill_the_audit_log() {
    let stack = Stack::find();
    let database = stack.database().await;
    let before = database.audit_of("webhook.payments").await.len();
    for _ in 0..40 {
        let response = send_event(&stack, "{}", Some("t=1,v1=00".to_owned())).await;
        response.assert_problem(400, "webhook-forged", None);
    }
    let rows = database.audit_of("webhook.payments").await.len() - before;
    assert!(rows < 20, "{rows} rows");
}

#[tokio::test]
async fn a_forged_tracking_event_changes_nothing() {
    let stack = Stack::find();
    let database = stack.database().await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0104").await;

    let keys: Value = Response::of(stack.shipping.request(Method::GET, "/jwks"))
        .await
        .json();
    let known = keys["keys"][0]["kid"].as_str().unwrap();
    let body = json!({
        "resource_type": "API_TRACK",
        "data": { "tracking_number": order.tracking_number, "status_code": "DE" },
    });
    for key in [Some(known), Some("nobodys"), None] {
        let stranger = stack.anonymous();
        let mut request = stranger.request(Method::POST, "/v1/webhooks/shipping");
        if let Some(key) = key {
            request = request
                .header("X-ShipEngine-RSA-SHA256-Key-ID", key)
                .header("X-ShipEngine-RSA-SHA256-Signature", "bm90aGluZw==")
                .header("X-ShipEngine-Timestamp", "2026-11-24T12:00:00Z");
        }
        let response = Response::of(request.json(&body)).await;
        response.assert_problem(400, "webhook-forged", None);
    }
    assert_eq!(shopper.order(&order).now().await, order);
    assert!(database.recent_refusals_of("webhook.shipping").await > 0);
}

#[tokio::test]
async fn a_replayed_event_is_processed_once() {
    let stack = Stack::find();
    let database = stack.database().await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0105").await;

    let intent = json!({
        "id": "pi_story", "object": "payment_intent", "metadata": { "order_id": order.id },
    });
    let id = new_id();
    let body = event("payment_intent.amount_capturable_updated", &id, &intent);
    let signature = signature(&stack.payments_webhook_secret, now(), &body);
    for _ in 0..3 {
        send_event(&stack, &body, Some(signature.clone()))
            .await
            .with_status(200);
    }
    wait_until_processed(&database, &id).await;
    assert_eq!(shopper.order(&order).now().await, order);
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn an_event_that_overtakes_our_own_response_is_processed_without_a_second_charge() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("CHOCOLATE-0106", 10).await;
    let _lock = stack.lock_providers().await;

    stack.payments.hang_after_next(AUTHORIZE).await;
    let order = shopper
        .place_order(&OrderRequest::of("CHOCOLATE-0106", 1))
        .await;
    let order = shopper
        .order(&order)
        .until(|order| order.payment == "authorized")
        .await;
    // The call still hangs. The order knows the authorization from the event alone.
    assert_eq!(order.fulfilment, "unfulfilled");

    let order = shopper.order(&order).until(shipped).await;
    stack.payments.assert_fault_used_up().await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
    let timeline = shopper.timeline_of(&order).await;
    let authorized = timeline.iter().filter(|it| *it == "payment_authorized");
    assert_eq!(authorized.count(), 1, "{timeline:?}");
}

/// Waits until an order's only dispute has this status, and returns it as staff see it.
async fn dispute_of(support: &Person, order: &Order, status: &str) -> Value {
    let path = format!("/v1/orders/{}", order.id);
    eventually(status, async || {
        let order: Value = support.get(&path).await.with_status(200).json();
        let disputes = order["for_staff"]["disputes"].clone();
        match disputes.as_array().map(Vec::as_slice) {
            Some([dispute]) if dispute["status"] == status => Ok(dispute.clone()),
            _ => Err(disputes.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn a_disputed_payment_is_raised_and_not_refunded_until_it_is_won() {
    let stack = Stack::find();
    let database = stack.database().await;
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0107").await;
    let refund = async |cents| {
        let key = Uuid::new_v4().to_string();
        Response::of(support.refund_request(&order, cents, &key)).await
    };

    let id = stack
        .payments
        .dispute_payment_of(&order, "needs_response")
        .await;
    let dispute = dispute_of(&support, &order, "needs_response").await;
    assert_eq!(dispute["id"], id);
    assert_eq!(dispute["cents"], order.total_cents);
    assert_eq!(dispute["reason"], "fraudulent");
    assert!(dispute["evidence_due_by"].is_string(), "{dispute}");
    assert_eq!(database.open_attention_about(&id).await, ["dispute"]);
    let refused = refund(100).await;
    refused.assert_problem(409, "order-not-refundable", None);

    // Shoppers do not see disputes.
    assert_eq!(shopper.order(&order).now().await.payment, "captured");
    let kinds_seen = shopper.timeline_of(&order).await;
    assert!(
        !kinds_seen.contains(&"disputed".to_owned()),
        "{kinds_seen:?}"
    );

    let money_moved = async |kinds: &[&str]| {
        let path = format!("/v1/orders/{}", order.id);
        eventually("moved", async || {
            let order: Value = support.get(&path).await.with_status(200).json();
            let money = order["for_staff"]["money"].clone();
            let is = |kind: &&str| {
                let moves = money.as_array().into_iter().flatten();
                moves.into_iter().any(|it| it["kind"] == **kind)
            };
            kinds.iter().all(is).then_some(()).ok_or(money.to_string())
        })
        .await;
    };
    money_moved(&["withdrawn"]).await;
    stack.payments.dispute_payment_of(&order, "won").await;
    dispute_of(&support, &order, "won").await;
    money_moved(&["withdrawn", "reinstated"]).await;
    refund(100).await.with_status(202);
    let timeline = support.timeline_of(&order).await;
    assert!(timeline.contains(&"disputed".to_owned()), "{timeline:?}");
}

#[tokio::test]
async fn an_inquiry_that_becomes_a_chargeback_is_raised_and_not_refunded() {
    let stack = Stack::find();
    let database = stack.database().await;
    let support = stack.staff("support").await;
    let _lock = stack.lock_providers().await;
    let (_, order) = shipped_order(&stack, "CHOCOLATE-0109").await;
    for status in ["warning_under_review", "warning_closed"] {
        let id = stack.payments.dispute_payment_of(&order, status).await;
        dispute_of(&support, &order, status).await;
        assert!(
            database.open_attention_about(&id).await.is_empty(),
            "{status}"
        );
    }
    let status = "needs_response";
    let id = stack.payments.dispute_payment_of(&order, status).await;
    dispute_of(&support, &order, status).await;
    assert_eq!(database.open_attention_about(&id).await, ["dispute"]);
    let key = Uuid::new_v4().to_string();
    let refused = Response::of(support.refund_request(&order, 100, &key)).await;
    refused.assert_problem(409, "order-not-refundable", None);
}

#[tokio::test]
async fn events_of_other_systems_are_acknowledged_and_ignored() {
    let stack = Stack::find();
    let database = stack.database().await;
    let _lock = stack.lock_providers().await;
    let (shopper, order) = shipped_order(&stack, "CHOCOLATE-0108").await;
    let secret = &stack.payments_webhook_secret;
    // About our order but of another shop; above our maximum; without a status.
    let metadata = json!({ "shop": "other", "order_id": order.id });
    for refund in [
        json!({ "id": "re_other", "status": "succeeded", "amount": 100, "metadata": metadata }),
        json!({ "id": "re_great", "status": "succeeded", "amount": 100_000_000_000_i64 }),
        json!({ "id": "re_null", "status": null, "amount": 100, "metadata": null }),
    ] {
        let id = new_id();
        let body = event("refund.updated", &id, &refund);
        let kinds_seen = send_event(&stack, &body, Some(signature(secret, now(), &body))).await;
        kinds_seen.with_status(200);
        wait_until_processed(&database, &id).await;
        let subject = refund["id"].as_str().unwrap();
        assert_eq!(
            database.open_attention_about(subject).await,
            [] as [String; 0]
        );
    }
    assert_eq!(shopper.order(&order).now().await, order);
}
