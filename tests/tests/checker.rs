//! The chaos test's checker can fail: each promise is broken on purpose, and seen to be broken.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use orders::{FulfilmentStatus, OrderStatus, PaymentStatus, Provider};
use tests::chaos::{
    Accepted, Effect, EffectKind, Recorded, Shelf, Snapshot, Token, Violation, check,
};
use uuid::Uuid;

const SHIPPED: Uuid = Uuid::from_u128(1);
const CALLED_OFF: Uuid = Uuid::from_u128(2);
const DECLINED: Uuid = Uuid::from_u128(3);
const REFUNDED: Uuid = Uuid::from_u128(4);

fn accepted(order: Uuid) -> Accepted {
    Accepted {
        order,
        key: format!("key of {order}"),
        called_off: order == CALLED_OFF,
        refunded_cents: if order == REFUNDED { 500 } else { 0 },
    }
}

fn recorded(
    id: Uuid,
    status: OrderStatus,
    payment: PaymentStatus,
    fulfilment: FulfilmentStatus,
) -> Recorded {
    let sold = status == OrderStatus::Completed;
    Recorded {
        id,
        status,
        payment,
        fulfilment,
        held: false,
        total_cents: 2000,
        currency: "EUR".to_owned(),
        payment_id: Some(format!("pi of {id}")),
        label_id: sold.then(|| format!("label of {id}")),
        failed_refunds: Vec::new(),
        lines: vec![("TEA".to_owned(), 2)],
    }
}

fn paid(order: Uuid, kind: EffectKind, cents: i64) -> Effect {
    Effect {
        kind,
        id: format!("pi of {order}"),
        order_id: Some(order.to_string()),
        cents,
        currency: "EUR".to_owned(),
    }
}

fn label(order: Uuid, kind: EffectKind, name: &str) -> Effect {
    Effect {
        kind,
        id: format!("{name} of {order}"),
        order_id: Some(order.to_string()),
        cents: 599,
        currency: "USD".to_owned(),
    }
}

/// Four orders that each came to another good end.
fn sound() -> Snapshot {
    use EffectKind as Did;
    use FulfilmentStatus as Fulfilment;
    use OrderStatus::{Cancelled, Completed};
    use PaymentStatus as Payment;

    Snapshot {
        accepted: [SHIPPED, CALLED_OFF, DECLINED, REFUNDED]
            .map(accepted)
            .to_vec(),
        orders: vec![
            recorded(SHIPPED, Completed, Payment::Captured, Fulfilment::Shipped),
            recorded(
                CALLED_OFF,
                Cancelled,
                Payment::Voided,
                Fulfilment::Cancelled,
            ),
            recorded(DECLINED, Cancelled, Payment::Failed, Fulfilment::Cancelled),
            recorded(
                REFUNDED,
                Completed,
                Payment::PartiallyRefunded,
                Fulfilment::Delivered,
            ),
        ],
        payments: vec![
            paid(SHIPPED, Did::Authorized, 2000),
            paid(CALLED_OFF, Did::Authorized, 2000),
            paid(DECLINED, Did::Declined, 2000),
            paid(REFUNDED, Did::Authorized, 2000),
            paid(SHIPPED, Did::Captured, 2000),
            paid(CALLED_OFF, Did::Canceled, 2000),
            paid(REFUNDED, Did::Captured, 2000),
            paid(REFUNDED, Did::Refunded, 500),
        ],
        shipping: vec![
            label(CALLED_OFF, Did::LabelBought, "label"),
            label(CALLED_OFF, Did::LabelVoided, "label"),
            label(SHIPPED, Did::LabelBought, "label"),
            label(REFUNDED, Did::LabelBought, "label"),
        ],
        stock: vec![Shelf {
            sku: "TEA".to_owned(),
            seeded: 10,
            available: 6,
        }],
        tokens: Vec::new(),
        raised: Vec::new(),
        running: Vec::new(),
        unfinished: Vec::new(),
    }
}

/// What is found once `harm` is done to books that agree.
fn found_after(harm: impl FnOnce(&mut Snapshot)) -> Vec<Violation> {
    let mut snapshot = sound();
    harm(&mut snapshot);
    check(&snapshot)
}

fn order(snapshot: &mut Snapshot, id: Uuid) -> &mut Recorded {
    let place = snapshot.orders.iter().position(|order| order.id == id);
    &mut snapshot.orders[place.unwrap()]
}

#[test]
fn books_that_agree_are_sound() {
    assert_eq!(check(&sound()), []);
}

#[test]
fn a_lost_order_is_found() {
    let found = found_after(|books| {
        books.orders.retain(|order| order.id != DECLINED);
        books.payments.retain(|it| it.order() != Some(DECLINED));
    });
    assert_eq!(found, [Violation::Lost { order: DECLINED }]);
}

#[test]
fn an_order_that_nobody_was_told_of_is_found() {
    let found = found_after(|books| books.accepted.retain(|it| it.order != DECLINED));
    assert_eq!(found, [Violation::Unasked { order: DECLINED }]);
}

#[test]
fn two_orders_of_one_key_are_found() {
    let found = found_after(|books| books.accepted[1].key = books.accepted[0].key.clone());
    let (first, second) = (SHIPPED, CALLED_OFF);
    assert_eq!(found, [Violation::AcceptedTwice { first, second }]);
}

#[test]
fn an_order_that_comes_to_no_end_is_found() {
    for (status, payment, fulfilment) in [
        (
            OrderStatus::Pending,
            PaymentStatus::Unknown,
            FulfilmentStatus::Unfulfilled,
        ),
        (
            OrderStatus::Confirmed,
            PaymentStatus::Captured,
            FulfilmentStatus::InProgress,
        ),
        (
            OrderStatus::Completed,
            PaymentStatus::Authorized,
            FulfilmentStatus::Shipped,
        ),
    ] {
        let found = found_after(|books| {
            let order = order(books, SHIPPED);
            (order.status, order.payment, order.fulfilment) = (status, payment, fulfilment);
        });
        let order = SHIPPED;
        assert_eq!(
            found,
            [Violation::Unfinished {
                order,
                status,
                payment,
                fulfilment
            }]
        );
    }
}

#[test]
fn a_shipped_order_that_was_called_off_is_found() {
    let found = found_after(|books| books.accepted[0].called_off = true);
    let status = OrderStatus::Completed;
    let order = SHIPPED;
    assert_eq!(found, [Violation::NotCalledOff { order, status }]);
}

#[test]
fn an_execution_that_outlives_its_order_is_found() {
    let found = found_after(|books| books.running.push(SHIPPED));
    assert_eq!(found, [Violation::StillRunning { order: SHIPPED }]);
}

#[test]
fn an_order_that_is_looked_after_for_ever_is_found() {
    let found = found_after(|books| books.unfinished.push(REFUNDED));
    assert_eq!(found, [Violation::StillLookedAfter { order: REFUNDED }]);
}

#[test]
fn a_second_charge_is_found() {
    let found = found_after(|books| {
        books
            .payments
            .push(paid(SHIPPED, EffectKind::Authorized, 2000));
        books
            .payments
            .push(paid(SHIPPED, EffectKind::Captured, 2000));
    });
    let order = SHIPPED;
    let expected = [
        Violation::ChargedTwice { order, times: 2 },
        Violation::WrongCharge {
            order,
            captured: 4000,
            due: 2000,
        },
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_second_charge_of_an_order_without_an_end_is_found_too() {
    let found = found_after(|books| {
        order(books, SHIPPED).status = OrderStatus::Confirmed;
        books
            .payments
            .push(paid(SHIPPED, EffectKind::Captured, 2000));
    });
    let order = SHIPPED;
    assert!(found.contains(&Violation::ChargedTwice { order, times: 2 }));
}

#[test]
fn a_cent_too_many_is_found() {
    let found = found_after(|books| {
        for effect in &mut books.payments {
            if effect.order() == Some(SHIPPED) {
                effect.cents += 1;
            }
        }
    });
    let (order, captured, due) = (SHIPPED, 2001, 2000);
    assert_eq!(
        found,
        [Violation::WrongCharge {
            order,
            captured,
            due
        }]
    );
}

#[test]
fn money_that_is_held_for_good_is_found() {
    let found = found_after(|books| books.payments.retain(|it| it.kind != EffectKind::Canceled));
    let expected = [Violation::HoldNotSettled {
        order: CALLED_OFF,
        authorized: 2000,
        captured: 0,
        released: 0,
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_refund_that_failed_is_none_and_somebody_must_know() {
    let refund = Uuid::from_u128(5);
    let fails = |books: &mut Snapshot| {
        books
            .payments
            .push(paid(REFUNDED, EffectKind::RefundFailed, 500));
        order(books, REFUNDED).failed_refunds = vec![(refund, 500)];
        order(books, REFUNDED).payment = PaymentStatus::Captured;
    };
    let told = found_after(|books| {
        fails(books);
        books.raised = vec![refund.to_string()];
    });
    assert_eq!(told, []);
    let order = REFUNDED;
    assert_eq!(
        found_after(fails),
        [Violation::RefundFailedUnseen { order, refund }]
    );
}

#[test]
fn a_refund_that_is_not_as_promised_or_not_as_recorded_is_found() {
    let wrong = |refunded, promised, payment| Violation::WrongRefund {
        order: REFUNDED,
        refunded,
        captured: 2000,
        promised,
        payment,
    };
    let part = PaymentStatus::PartiallyRefunded;
    let found = found_after(|books| books.accepted[3].refunded_cents = 600);
    assert_eq!(found, [wrong(500, 600, part)]);

    let found = found_after(|books| {
        books
            .payments
            .push(paid(REFUNDED, EffectKind::Refunded, 500));
    });
    assert_eq!(found, [wrong(1000, 500, part)]);

    let whole = PaymentStatus::Refunded;
    let found = found_after(|books| order(books, REFUNDED).payment = whole);
    assert_eq!(found, [wrong(500, 500, whole)]);

    let found = found_after(|books| {
        order(books, REFUNDED).payment = whole;
        books.accepted[3].refunded_cents = 2100;
        books
            .payments
            .push(paid(REFUNDED, EffectKind::Refunded, 1600));
    });
    assert_eq!(found, [wrong(2100, 2100, whole)]);
}

#[test]
fn money_of_another_currency_is_found() {
    let found = found_after(|books| books.payments[0].currency = "USD".to_owned());
    let expected = [Violation::WrongCurrency {
        order: SHIPPED,
        expected: "EUR".to_owned(),
        found: "USD".to_owned(),
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_payment_or_a_label_that_the_order_does_not_know_is_found() {
    let other = Some("another".to_owned());
    let found = found_after(|books| order(books, SHIPPED).payment_id = other.clone());
    let expected = [Violation::OtherPayment {
        order: SHIPPED,
        recorded: other.clone(),
        found: Some(format!("pi of {SHIPPED}")),
    }];
    assert_eq!(found, expected);

    let found = found_after(|books| order(books, SHIPPED).label_id = other.clone());
    let expected = [Violation::OtherLabel {
        order: SHIPPED,
        recorded: other,
        found: Some(format!("label of {SHIPPED}")),
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_second_label_is_found_even_if_it_was_given_back() {
    let second = |books: &mut Snapshot, kind| {
        books.shipping.push(label(SHIPPED, kind, "second label"));
    };
    let (order, live, due) = (SHIPPED, 2, 1);
    let twice = Violation::LabelBoughtTwice { order };
    let found = found_after(|books| second(books, EffectKind::LabelBought));
    assert_eq!(
        found,
        [twice.clone(), Violation::WrongLabels { order, live, due }]
    );

    let found = found_after(|books| {
        second(books, EffectKind::LabelBought);
        second(books, EffectKind::LabelVoided);
    });
    assert_eq!(found, [twice]);
}

#[test]
fn a_label_after_the_first_was_given_back_is_no_second() {
    let found = found_after(|books| {
        books
            .shipping
            .push(label(SHIPPED, EffectKind::LabelVoided, "label"));
        books
            .shipping
            .push(label(SHIPPED, EffectKind::LabelBought, "new label"));
        order(books, SHIPPED).label_id = Some(format!("new label of {SHIPPED}"));
    });
    assert_eq!(found, []);
}

#[test]
fn a_missing_label_and_a_label_of_a_cancelled_order_are_found() {
    let wrong = |order, live, due| Violation::WrongLabels { order, live, due };
    let found = found_after(|books| books.shipping.retain(|it| it.order() != Some(SHIPPED)));
    assert_eq!(found, [wrong(SHIPPED, 0, 1)]);

    let voided = EffectKind::LabelVoided;
    let keeps = |books: &mut Snapshot| books.shipping.retain(|it| it.kind != voided);
    assert_eq!(found_after(keeps), [wrong(CALLED_OFF, 1, 0)]);
    let told = found_after(|books| {
        keeps(books);
        books.raised = vec![format!("label of {CALLED_OFF}")];
    });
    assert_eq!(told, []);
}

#[test]
fn stock_that_was_taken_twice_or_not_given_back_is_found() {
    for available in [4, 8] {
        let found = found_after(|books| books.stock[0].available = available);
        let expected = [Violation::WrongStock {
            sku: "TEA".to_owned(),
            expected: 6,
            found: available,
        }];
        assert_eq!(found, expected);
    }
}

#[test]
fn an_order_parked_without_a_token_and_a_token_without_an_order_are_found() {
    let provider = Provider::Payments;
    let token = |order| Token { provider, order };
    let found = found_after(|books| order(books, SHIPPED).held = true);
    assert_eq!(found, [Violation::ParkedWithoutToken { order: SHIPPED }]);

    let nobody = Uuid::from_u128(9);
    for order in [SHIPPED, nobody] {
        let found = found_after(|books| books.tokens.push(token(order)));
        assert_eq!(found, [Violation::TokenWithoutOrder { order, provider }]);
    }

    let found = found_after(|books| {
        order(books, SHIPPED).held = true;
        books.tokens.push(token(SHIPPED));
    });
    assert_eq!(found, []);
}

#[test]
fn what_was_done_for_nobody_is_found() {
    for stranger in [None, Some(Uuid::from_u128(9).to_string())] {
        let found = found_after(|books| {
            let mut effect = paid(SHIPPED, EffectKind::Authorized, 100);
            effect.order_id.clone_from(&stranger);
            books.payments.push(effect);
        });
        let expected = [Violation::EffectForNobody {
            order: stranger,
            kind: EffectKind::Authorized,
            id: format!("pi of {SHIPPED}"),
        }];
        assert_eq!(found, expected);
    }
}
