//! What holds of an order whatever happens to it, in whatever order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use orders::{
    CancelledBy, Cents, FulfilmentStatus, Hold, Kind, Label, NotRefundable, Order, OrderId,
    OrderStatus, PaymentStatus, Provider, RefundId, RefundStatus, Shopper, ShopperId,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const TOTAL: i64 = 10_000;

fn order() -> Order {
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
        status: OrderStatus::Pending,
        payment: PaymentStatus::NotPaid,
        fulfilment: FulfilmentStatus::Unfulfilled,
        hold: None,
        currency: "EUR".parse().unwrap(),
        total: Cents::try_from(TOTAL).unwrap(),
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

fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).unwrap()
}

fn refund_id(number: u8) -> RefundId {
    RefundId(Uuid::from_u128(number.into()))
}

/// Anything that can happen; refunds are one of three.
fn event() -> impl Strategy<Value = Kind> {
    let payment_id = "pi_1".to_owned();
    let label = Label {
        label_id: "se-1".to_owned(),
        tracking_number: "1Z".to_owned(),
    };
    let hold = Hold {
        provider: Provider::Payments,
        reason: "payments does not answer".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        attempts: 1,
        next_attempt: Timestamp::UNIX_EPOCH,
        deadline: None,
    };
    let by = prop::sample::select(vec![
        CancelledBy::Shopper,
        CancelledBy::Staff,
        CancelledBy::Payments,
        CancelledBy::Shipping,
        CancelledBy::Deadline,
    ]);
    prop_oneof![
        3 => Just(Kind::PaymentAuthorized { payment_id: payment_id.clone(), capture_before: None }),
        1 => Just(Kind::PaymentDeclined { code: String::new(), message: String::new() }),
        1 => Just(Kind::PaymentRequiresAction { payment_id }),
        1 => Just(Kind::PaymentUnknown {}),
        1 => Just(Kind::PaymentNotFound {}),
        3 => Just(Kind::LabelRequested {}),
        3 => Just(Kind::LabelBought(label)),
        1 => Just(Kind::LabelRefused { code: String::new(), message: String::new() }),
        3 => Just(Kind::PaymentCaptured {}),
        3 => Just(Kind::Shipped {}),
        1 => Just(Kind::Delivered {}),
        1 => Just(Kind::LabelVoided {}),
        1 => Just(Kind::PaymentVoided {}),
        1 => Just(Kind::Held(hold)),
        1 => by.prop_map(Kind::cancelled_by),
        2 => (0_u8..3, 1..=TOTAL).prop_map(|(number, amount)| Kind::RefundRequested {
            refund_id: refund_id(number),
            cents: cents(amount),
            reason: String::new(),
        }),
        1 => (0_u8..3).prop_map(|number| Kind::Refunded {
            refund_id: refund_id(number),
            provider_id: "re_1".to_owned(),
        }),
        1 => (0_u8..3).prop_map(|number| Kind::RefundFailed {
            refund_id: refund_id(number),
            code: String::new(),
        }),
    ]
}

/// The order after those of the events that it can take.
fn after(events: Vec<Kind>) -> Vec<Order> {
    let mut history = vec![order()];
    for event in events {
        let now = history.last().unwrap().clone();
        history.extend(now.after(&event, Timestamp::UNIX_EPOCH));
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn money_is_taken_only_for_what_is_shipped(events in prop::collection::vec(event(), 0..60)) {
        for order in after(events) {
            if order.status == OrderStatus::Completed {
                prop_assert!(order.is_paid() && order.label.is_some());
            }
            if order.status == OrderStatus::Cancelled {
                prop_assert!(!order.is_paid());
                prop_assert_eq!(order.fulfilment, FulfilmentStatus::Cancelled);
            }
            if order.is_paid() {
                prop_assert!(order.payment_id.is_some() && order.label.is_some());
            }
        }
    }

    #[test]
    fn what_is_over_stays_over(events in prop::collection::vec(event(), 0..60)) {
        let over = |order: &Order| !order.is_open();
        for pair in after(events).windows(2) {
            prop_assert!(!over(&pair[0]) || pair[0].status == pair[1].status);
        }
    }

    #[test]
    fn no_more_is_given_back_than_was_taken(events in prop::collection::vec(event(), 0..80)) {
        for order in after(events) {
            let promised: i64 = order
                .refunds
                .iter()
                .filter(|refund| refund.status != RefundStatus::Failed)
                .map(|refund| refund.cents.get())
                .sum();
            prop_assert!(promised <= TOTAL);
            if order.is_paid() {
                prop_assert_eq!(order.refundable().get(), TOTAL - promised);
            }
        }
    }

    #[test]
    fn what_may_be_given_back_the_order_takes(
        events in prop::collection::vec(event(), 0..60),
        asked in prop::option::of(0..=TOTAL + 1),
        limit in prop::option::of(0..=TOTAL + 1),
    ) {
        let asked = asked.map(cents);
        let limit = limit.map(cents);
        for order in after(events) {
            let takes = |cents| order.allows(&Kind::RefundRequested {
                refund_id: RefundId::generate(),
                cents,
                reason: "broken".to_owned(),
            });
            match order.refund_of(asked, &order.currency, None) {
                Ok(cents) => prop_assert!(takes(cents)),
                Err(_) => prop_assert!(!takes(asked.unwrap_or(order.refundable()))),
            }
            let given_back = TOTAL - order.refundable().get();
            match (order.refund_of(asked, &order.currency, limit), limit) {
                (Ok(more), Some(limit)) => prop_assert!(given_back + more.get() <= limit.get()),
                (Err(NotRefundable::OverLimit(_)), limit) => prop_assert!(limit.is_some()),
                (limited, _) => {
                    prop_assert_eq!(limited, order.refund_of(asked, &order.currency, None));
                }
            }
            prop_assert!(order.refund_of(asked, &"USD".parse().unwrap(), None).is_err());
        }
    }
}

#[test]
fn an_order_that_is_paid_is_shipped_even_if_money_is_given_back_meanwhile() {
    let refund_id = RefundId::generate();
    let events = [
        Kind::PaymentAuthorized {
            payment_id: "pi_1".to_owned(),
            capture_before: None,
        },
        Kind::LabelRequested {},
        Kind::LabelBought(Label {
            label_id: "se-1".to_owned(),
            tracking_number: "1Z".to_owned(),
        }),
        Kind::PaymentCaptured {},
        Kind::RefundRequested {
            refund_id,
            cents: cents(1),
            reason: "broken".to_owned(),
        },
        Kind::Refunded {
            refund_id,
            provider_id: "re_1".to_owned(),
        },
    ];
    let order = after(events.to_vec()).pop().unwrap();
    assert_eq!(order.payment, PaymentStatus::PartiallyRefunded);
    assert!(order.allows(&Kind::Shipped {}));
    let by = CancelledBy::Payments;
    assert!(!order.allows(&Kind::cancelled_by(by)));
}

#[test]
fn a_payment_that_was_not_found_begins_another_round() {
    let unknown = order()
        .after(&Kind::PaymentUnknown {}, Timestamp::UNIX_EPOCH)
        .unwrap();
    let order = unknown
        .after(&Kind::PaymentNotFound {}, Timestamp::UNIX_EPOCH)
        .unwrap();
    assert_eq!(
        (order.payment, order.authorize_round),
        (PaymentStatus::NotPaid, 1)
    );
}
