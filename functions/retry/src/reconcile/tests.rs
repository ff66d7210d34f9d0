//! What is made of each of a provider's records, as tables.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use orders::{
    Cents, FulfilmentStatus, Kind, Label, Order, OrderId, OrderStatus, PaymentStatus, Refund,
    RefundId, RefundStatus, Shopper, ShopperId,
};
use providers::{BoughtLabel, PaymentIntent};
use serde_json::{Value, json};
use store::{AttentionKind, WithWork};
use uuid::Uuid;

use super::{Verdict, labels, payments, refunds};

const TOTAL: i64 = 2_000;
const OWN: &str = "pi_own";
const OTHER: &str = "pi_other";

fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).unwrap()
}

fn order(status: OrderStatus, payment: PaymentStatus) -> Order {
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
        payment,
        fulfilment: FulfilmentStatus::Unfulfilled,
        hold: None,
        currency: "EUR".parse().unwrap(),
        total: cents(TOTAL),
        lines: Vec::new(),
        shipping_address: serde_json::from_value(address).unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
        payment_id: None,
        authorize_round: 0,
        capture_before: None,
        refunds: Vec::new(),
        label: None,
        placed_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// An order that knows its payment, if one was made; `unfinished` while an execution is at it.
fn known(status: OrderStatus, payment: PaymentStatus, unfinished: bool) -> WithWork {
    let mut order = order(status, payment);
    order.payment_id =
        (!order.is_undecided() && payment != PaymentStatus::Failed).then(|| OWN.to_owned());
    WithWork { order, unfinished }
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
fn a_payment_is_fine_let_go_or_for_a_person() {
    use AttentionKind as Kind;
    use OrderStatus::{Cancelled, Completed, Confirmed, Pending};
    use PaymentStatus::{Authorized, Captured, Failed, NotPaid, Unknown, Voided};
    use Verdict::{Fine, Raise, Undo};

    let (held, taken) = ("requires_capture", "succeeded");
    for (order, id, status, verdict) in [
        // An execution is at it, and will find it.
        (known(Pending, Unknown, true), OTHER, held, Fine),
        (known(Pending, NotPaid, true), OTHER, held, Fine),
        (known(Confirmed, Authorized, true), OWN, held, Fine),
        (known(Cancelled, Unknown, true), OTHER, held, Fine),
        (known(Cancelled, Authorized, true), OWN, held, Fine),
        // As it should be.
        (known(Completed, Captured, false), OWN, taken, Fine),
        (known(Cancelled, Voided, false), OWN, "canceled", Fine),
        (
            known(Cancelled, Failed, false),
            OTHER,
            "requires_payment_method",
            Fine,
        ),
        (known(Completed, Captured, false), OTHER, "canceled", Fine),
        // Nobody looks for it.
        (known(Confirmed, Authorized, true), OTHER, held, Undo),
        (known(Cancelled, Failed, true), OTHER, held, Undo),
        (known(Completed, Captured, false), OTHER, held, Undo),
        (known(Cancelled, Voided, false), OWN, held, Undo),
        (
            known(Cancelled, NotPaid, false),
            OTHER,
            "requires_action",
            Undo,
        ),
        // Taken or not taken against the rules.
        (
            known(Completed, Captured, false),
            OWN,
            held,
            Raise(Kind::ShippedUnpaid),
        ),
        (
            known(Completed, Captured, false),
            OTHER,
            taken,
            Raise(Kind::TakenTwice),
        ),
        (
            known(Cancelled, Voided, false),
            OWN,
            taken,
            Raise(Kind::TakenForCancelledOrder),
        ),
    ] {
        let WithWork {
            order:
                Order {
                    status: is,
                    payment,
                    ..
                },
            unfinished,
        } = &order;
        let found = payments::judge(Some(&order), &intent(id, status, json!({})));
        assert_eq!(
            found, verdict,
            "{is}, {payment}, {unfinished}: {id} is {status}"
        );
    }
    let stranger = Raise(Kind::UnknownOrder);
    assert_eq!(
        payments::judge(None, &intent(OTHER, held, json!({}))),
        stranger
    );
    assert_eq!(
        payments::judge(None, &intent(OTHER, "canceled", json!({}))),
        Fine
    );
}

#[test]
fn another_amount_or_currency_is_for_a_person_while_it_is_held_and_when_it_is_taken() {
    let differs = Verdict::Raise(AttentionKind::AmountDiffers);
    let held = known(OrderStatus::Confirmed, PaymentStatus::Authorized, true);
    let taken = known(OrderStatus::Completed, PaymentStatus::Captured, false);
    for more in [json!({ "amount": 1_999 }), json!({ "currency": "usd" })] {
        let intent = intent(OWN, "requires_capture", more);
        assert_eq!(payments::judge(Some(&held), &intent), differs);
    }
    for more in [
        json!({ "amount_received": 1_999 }),
        json!({ "currency": "usd" }),
    ] {
        let intent = intent(OWN, "succeeded", more);
        assert_eq!(payments::judge(Some(&taken), &intent), differs);
    }
}

#[test]
fn a_label_is_fine_given_back_or_for_a_person() {
    use Verdict::{Fine, Raise, Undo};

    let label = |id: &str, voided| -> BoughtLabel {
        serde_json::from_value(json!({
            "label_id": id, "shipment_id": "se-1", "tracking_number": "1Z", "voided": voided,
        }))
        .unwrap()
    };
    let with = |own: Option<&str>, unfinished| {
        let mut order = order(OrderStatus::Confirmed, PaymentStatus::Authorized);
        order.label = own.map(|id| Label {
            label_id: id.to_owned(),
            tracking_number: "1Z".to_owned(),
        });
        WithWork { order, unfinished }
    };
    for (known, label, verdict) in [
        (with(Some("own"), false), label("own", false), Fine),
        (with(None, true), label("new", false), Fine),
        (with(Some("own"), false), label("other", true), Fine),
        (with(Some("own"), true), label("other", false), Undo),
        (with(None, false), label("other", false), Undo),
        (
            with(Some("own"), false),
            label("own", true),
            Raise(AttentionKind::LabelVoided),
        ),
    ] {
        assert_eq!(
            labels::judge(Some(&known), &label),
            verdict,
            "{known:?} {label:?}"
        );
    }
    let stranger = Raise(AttentionKind::UnknownOrder);
    assert_eq!(labels::judge(None, &label("other", false)), stranger);
    assert_eq!(labels::judge(None, &label("other", true)), Fine);
}

#[test]
fn a_refund_is_fine_recorded_or_for_a_person() {
    use RefundStatus::{Failed, Pending, Succeeded};
    use refunds::Verdict::{Fine, Raise, Record};

    let id = RefundId::generate();
    let asked = |status| {
        let mut known = known(OrderStatus::Completed, PaymentStatus::Captured, false);
        known.order.refunds = vec![Refund {
            id,
            cents: cents(500),
            reason: "broken".to_owned(),
            status,
        }];
        known
    };
    let made = |status: &str, cents: i64| -> providers::Refund {
        serde_json::from_value(json!({
            "id": "re_1", "status": status, "amount": cents, "payment_intent": OWN,
            "metadata": { "refund_id": id },
        }))
        .unwrap()
    };
    let done = Record(Kind::Refunded {
        refund_id: id,
        provider_id: "re_1".to_owned(),
    });
    let failed = Record(Kind::RefundFailed {
        refund_id: id,
        code: "refund_failed".to_owned(),
    });
    for (known, made, verdict) in [
        (asked(Succeeded), made("succeeded", 500), Fine),
        (asked(Pending), made("pending", 500), Fine),
        (asked(Failed), made("failed", 500), Fine),
        (asked(Pending), made("succeeded", 500), done),
        (asked(Pending), made("canceled", 500), failed.clone()),
        (asked(Succeeded), made("failed", 500), failed),
        (asked(Failed), made("succeeded", 500), Raise),
        (asked(Succeeded), made("succeeded", 501), Raise),
    ] {
        assert_eq!(refunds::judge(Some(&known), &made), verdict, "{made:?}");
    }
    assert_eq!(refunds::judge(None, &made("succeeded", 500)), Raise);
    assert_eq!(refunds::judge(None, &made("failed", 500)), Fine);
    let nothing_asked = known(OrderStatus::Completed, PaymentStatus::Captured, false);
    assert_eq!(
        refunds::judge(Some(&nothing_asked), &made("pending", 500)),
        Raise
    );
}
