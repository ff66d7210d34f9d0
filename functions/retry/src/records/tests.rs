//! Tables of a provider's records, each with its verdict.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use jiff::Timestamp;
use orders::{
    Cents, FulfilmentStatus, Label, Order, OrderEvent, OrderId, OrderStatus, Payment,
    PaymentStatus, Refund, RefundId, RefundRequest, RefundStatus, Shopper, ShopperId,
};
use providers::{LabelRecord, PaymentIntent, Reference};
use serde_json::{Value, json};
use store::{AttentionKind, OrderWithWork};
use uuid::Uuid;

use super::{Owned, label, owned, payment, refund};

const TOTAL: i64 = 2_000;
const OWN: &str = "pi_own";
const OTHER: &str = "pi_other";

fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).unwrap()
}

/// The payment [`OWN`] in this state.
fn payment_of(status: PaymentStatus) -> Payment {
    Payment::from_parts(status, 0, OWN.parse().ok(), None).unwrap()
}

pub(crate) fn order(status: OrderStatus, payment: PaymentStatus) -> Order {
    let id = OrderId::generate();
    let address = json!({
        "name": "Ana", "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001", "country": "ES",
    });
    Order {
        id,
        number: id.number(),
        shopper: Shopper {
            id: ShopperId(Uuid::now_v7()),
            email: "ana@cauce.example".to_owned(),
        },
        status,
        payment: payment_of(payment),
        fulfilment: FulfilmentStatus::Unfulfilled,
        wait: None,
        currency: "EUR".parse().unwrap(),
        total: cents(TOTAL),
        lines: Vec::new(),
        shipping_address: serde_json::from_value(address).unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
        refunds: Vec::new(),
        disputes: Vec::new(),
        label: None,
        placed_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        last_call_at: None,
    }
}

/// An order with its payment, if it has one. `unfinished` while its execution runs or waits.
fn known(status: OrderStatus, payment: PaymentStatus, unfinished: bool) -> OrderWithWork {
    let order = order(status, payment);
    OrderWithWork { order, unfinished }
}

fn intent(id: &str, status: &str, more: Value) -> PaymentIntent {
    let taken = if status == "succeeded" { TOTAL } else { 0 };
    let mut intent = json!({
        "id": id, "status": status, "amount": TOTAL, "amount_received": taken, "currency": "eur",
        "created": 1_800_000_000, "latest_charge": null,
    });
    let Value::Object(more) = more else {
        panic!("an object");
    };
    intent.as_object_mut().unwrap().extend(more);
    serde_json::from_value(intent).unwrap()
}

#[test]
fn a_payment_is_fine_recorded_voided_or_raised() {
    use OrderStatus::{Cancelled, Completed, Confirmed, Pending};
    use PaymentStatus::{Authorized, Captured, Failed, NotPaid, Unknown, Voided};
    use payment::Verdict::{Fine, Raise, Void};

    let (held, taken) = ("requires_capture", "succeeded");
    for (order, id, status, verdict) in [
        // The order's execution processes the payment, or will find it.
        (known(Pending, Unknown, true), OTHER, "processing", Fine),
        (
            known(Pending, Unknown, true),
            OTHER,
            "requires_payment_method",
            Fine,
        ),
        (known(Confirmed, Authorized, true), OWN, held, Fine),
        (known(Cancelled, Authorized, true), OWN, held, Fine),
        // The payment is as expected.
        (known(Completed, Captured, false), OWN, taken, Fine),
        (known(Cancelled, Voided, false), OWN, "canceled", Fine),
        (
            known(Cancelled, Failed, false),
            OTHER,
            "requires_payment_method",
            Fine,
        ),
        (known(Completed, Captured, false), OTHER, "canceled", Fine),
        // No order looks for the payment.
        (known(Confirmed, Authorized, true), OTHER, held, Void),
        (known(Cancelled, Failed, true), OTHER, held, Void),
        (known(Completed, Captured, false), OTHER, held, Void),
        (known(Cancelled, Voided, false), OWN, held, Void),
        (
            known(Cancelled, NotPaid, false),
            OTHER,
            "requires_action",
            Void,
        ),
        // Captured, or not captured, against the rules.
        (
            known(Completed, Captured, false),
            OWN,
            held,
            Raise(AttentionKind::ShippedUnpaid),
        ),
        (
            known(Completed, Captured, false),
            OTHER,
            taken,
            Raise(AttentionKind::CapturedTwice),
        ),
        (
            known(Cancelled, Voided, false),
            OWN,
            taken,
            Raise(AttentionKind::CapturedForCancelledOrder),
        ),
    ] {
        let OrderWithWork {
            order:
                Order {
                    status: is,
                    payment,
                    ..
                },
            unfinished,
        } = &order;
        let found = payment::judge(Some(&order), &intent(id, status, json!({})));
        assert_eq!(
            found, verdict,
            "{is}, {payment:?}, {unfinished}: {id} is {status}"
        );
    }
    for known in [
        known(Pending, Unknown, true),
        known(Pending, NotPaid, true),
        known(Cancelled, Unknown, true),
    ] {
        for status in [held, taken] {
            let found = payment::judge(Some(&known), &intent(OTHER, status, json!({})));
            assert_eq!(found, payment::Verdict::Record(&known.order), "{known:?}");
        }
    }
    let stranger = Raise(AttentionKind::UnknownOrder);
    assert_eq!(
        payment::judge(None, &intent(OTHER, held, json!({}))),
        stranger
    );
    assert_eq!(
        payment::judge(None, &intent(OTHER, "canceled", json!({}))),
        Fine
    );
}

#[test]
fn another_amount_or_currency_is_raised_while_held_and_once_captured() {
    let differs = payment::Verdict::Raise(AttentionKind::AmountDiffers);
    let held = known(OrderStatus::Confirmed, PaymentStatus::Authorized, true);
    let waiting = known(OrderStatus::Pending, PaymentStatus::Unknown, true);
    let taken = known(OrderStatus::Completed, PaymentStatus::Captured, false);
    for more in [json!({ "amount": 1_999 }), json!({ "currency": "usd" })] {
        for (known, id) in [(&held, OWN), (&waiting, OTHER)] {
            let intent = intent(id, "requires_capture", more.clone());
            assert_eq!(payment::judge(Some(known), &intent), differs);
        }
    }
    for more in [
        json!({ "amount_received": 1_999 }),
        json!({ "currency": "usd" }),
    ] {
        let intent = intent(OWN, "succeeded", more);
        assert_eq!(payment::judge(Some(&taken), &intent), differs);
    }
}

#[test]
fn a_label_is_fine_voided_or_raised() {
    use label::Verdict::{Fine, Raise, Void};

    let label = |id: &str, voided| -> LabelRecord {
        serde_json::from_value(json!({
            "label_id": id, "shipment_id": "se-1", "voided": voided,
        }))
        .unwrap()
    };
    let with = |own: Option<&str>, unfinished| {
        let mut order = order(OrderStatus::Confirmed, PaymentStatus::Authorized);
        order.label = own.map(|id| Label {
            label_id: id.parse().unwrap(),
            tracking_number: Some("1Z".to_owned()),
        });
        OrderWithWork { order, unfinished }
    };
    for (known, label, verdict) in [
        (with(Some("own"), false), label("own", false), Fine),
        (with(None, true), label("new", false), Fine),
        (with(Some("own"), false), label("other", true), Fine),
        (with(Some("own"), true), label("other", false), Void),
        (with(None, false), label("other", false), Void),
        (
            with(Some("own"), false),
            label("own", true),
            Raise(AttentionKind::LabelVoided),
        ),
    ] {
        assert_eq!(
            label::judge(Some(&known), &label),
            verdict,
            "{known:?} {label:?}"
        );
    }
    let stranger = Raise(AttentionKind::UnknownOrder);
    assert_eq!(label::judge(None, &label("other", false)), stranger);
    assert_eq!(label::judge(None, &label("other", true)), Fine);
}

/// A completed order with one refund of 500 cents.
fn order_with_refund(id: RefundId, status: RefundStatus, provider_id: Option<&str>) -> Order {
    let OrderWithWork { mut order, .. } =
        known(OrderStatus::Completed, PaymentStatus::Captured, false);
    order.refunds = vec![Refund {
        id,
        cents: cents(500),
        reason: "broken".to_owned(),
        status,
        provider_id: provider_id.map(str::to_owned),
        request: RefundRequest::default(),
    }];
    order
}

/// The refund `re_1` at the provider.
fn made(status: &str, cents: i64, metadata: &Value) -> providers::Refund {
    serde_json::from_value(json!({
        "id": "re_1", "status": status, "amount": cents, "payment_intent": OWN,
        "metadata": metadata,
    }))
    .unwrap()
}

#[test]
fn a_raised_refund_says_what_is_wrong() {
    let id = RefundId::generate();
    let ours = made("succeeded", 501, &json!({ "refund_id": id }));
    for (order, refund, problem) in [
        (
            Some(order_with_refund(id, RefundStatus::Pending, None)),
            &ours,
            "differs from the refund that was requested here",
        ),
        (
            Some(order_with_refund(id, RefundStatus::Succeeded, Some("re_0"))),
            &ours,
            "repeats a refund that was requested here",
        ),
        (
            Some(order_with_refund(id, RefundStatus::Succeeded, None)),
            &made("succeeded", 501, &json!(null)),
            "was not requested here",
        ),
        (None, &ours, "was not requested here"),
    ] {
        assert_eq!(refund::problem(order.as_ref(), refund), problem);
    }
}

#[test]
fn a_refund_is_fine_recorded_adopted_or_raised() {
    use RefundStatus::{Failed, Pending, Succeeded};
    use refund::Verdict::{Adopt, Fine, Raise, Record};

    let id = RefundId::generate();
    let asked = |status, provider_id| order_with_refund(id, status, provider_id);
    let ours = |status, cents| made(status, cents, &json!({ "refund_id": id }));
    let elsewhere = |status, cents| made(status, cents, &json!(null));
    let done = Record(
        id,
        OrderEvent::Refunded {
            refund_id: id,
            provider_id: "re_1".to_owned(),
        },
    );
    let failed = |id| {
        Record(
            id,
            OrderEvent::RefundFailed {
                refund_id: id,
                code: "refund_failed".to_owned(),
            },
        )
    };
    let adopted = RefundId::made_elsewhere("re_1");
    let adopt = |amount| {
        Adopt(OrderEvent::RefundedElsewhere {
            refund_id: adopted,
            cents: cents(amount),
            provider_id: "re_1".to_owned(),
        })
    };
    let mut refunded_elsewhere = asked(Succeeded, Some("re_0"));
    refunded_elsewhere.refunds[0].id = adopted;
    refunded_elsewhere.refunds[0].provider_id = Some("re_1".to_owned());
    for (order, made, verdict) in [
        (asked(Succeeded, None), ours("succeeded", 500), Fine),
        (asked(Succeeded, Some("re_1")), ours("succeeded", 500), Fine),
        (asked(Pending, None), ours("pending", 500), Fine),
        (asked(Failed, None), ours("failed", 500), Fine),
        (asked(Pending, None), ours("succeeded", 500), done),
        (asked(Pending, None), ours("canceled", 500), failed(id)),
        (asked(Succeeded, None), ours("failed", 500), failed(id)),
        (asked(Failed, None), ours("succeeded", 500), Raise),
        (asked(Succeeded, None), ours("succeeded", 501), Raise),
        // Made twice, or at the provider itself.
        (
            asked(Succeeded, Some("re_0")),
            ours("succeeded", 500),
            adopt(500),
        ),
        (
            asked(Succeeded, None),
            elsewhere("pending", 700),
            adopt(700),
        ),
        (asked(Succeeded, None), elsewhere("failed", 700), Fine),
        // More than can still be refunded.
        (asked(Succeeded, None), elsewhere("succeeded", 1_501), Raise),
        (
            refunded_elsewhere.clone(),
            elsewhere("succeeded", 500),
            Fine,
        ),
        (
            refunded_elsewhere,
            elsewhere("failed", 500),
            failed(adopted),
        ),
    ] {
        assert_eq!(
            refund::judge(Some(&order), &made),
            verdict,
            "{order:?} {made:?}"
        );
    }
    assert_eq!(refund::judge(None, &ours("succeeded", 500)), Raise);
    assert_eq!(refund::judge(None, &ours("failed", 500)), Fine);
}

#[test]
fn records_of_other_systems_are_foreign() {
    let shop = "cauce".parse().unwrap();
    let ours = known(OrderStatus::Confirmed, PaymentStatus::Authorized, true);
    let id = ours.order.id;
    let orders = HashMap::from([(id, ours)]);
    let unknown = Some(OrderId::generate());
    for (named, order_id, is_foreign, is_known) in [
        (Some("cauce"), Some(id), false, true),
        // The record of an order that we have lost.
        (Some("cauce"), unknown, false, false),
        (Some("cauce"), None, false, false),
        // Records from before shops had ids.
        (None, Some(id), false, true),
        (None, unknown, true, false),
        (None, None, true, false),
        (Some("other"), unknown, true, false),
        // A shop with a copy of another's database has its orders, and must not undo them.
        (Some("other"), Some(id), true, false),
    ] {
        let reference = Reference {
            shop: named.map(str::to_owned),
            order_id,
        };
        let owned = owned(&shop, &reference, &orders);
        assert_eq!(matches!(owned, Owned::Foreign), is_foreign, "{reference:?}");
        assert_eq!(
            matches!(owned, Owned::Ours(Some(_))),
            is_known,
            "{reference:?}"
        );
    }
}
