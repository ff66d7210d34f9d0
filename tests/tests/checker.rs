//! The chaos test's checker can fail: each promise is broken on purpose, and seen to be broken.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orders::{
    CancelledBy, FulfilmentStatus, OrderId, OrderNumber, OrderStatus, PaymentStatus, Provider,
    RefundStatus,
};
use tests::chaos::{
    Accepted, CancelRequest, Cancellation, Card, Deadlines, Dispute, Effect, EffectKind, Intent,
    Milestone, Recorded, RefundRequest, Shelf, Snapshot, Strike, Token, Violation, check,
};
use uuid::Uuid;

const SHIPPED: Uuid = Uuid::from_u128(1);
const CALLED_OFF: Uuid = Uuid::from_u128(2);
const DECLINED: Uuid = Uuid::from_u128(3);
const REFUNDED: Uuid = Uuid::from_u128(4);

/// What is given back of [`REFUNDED`].
const REFUND: RefundRequest = RefundRequest {
    id: Uuid::from_u128(5),
    cents: 500,
};

/// A call that authorizes.
const AUTHORIZE: &str = "POST /v1/payment_intents";

fn accepted(order: Uuid) -> Accepted {
    Accepted {
        order,
        key: format!("key of {order}"),
        card: if order == DECLINED {
            Card::Declines
        } else {
            Card::Pays
        },
        is_undeliverable: false,
        cancel: (order == CALLED_OFF).then_some(CancelRequest {
            by: CancelledBy::Shopper,
            confirmed: true,
        }),
        lapsed: false,
        refunds: if order == REFUNDED {
            vec![REFUND]
        } else {
            Vec::new()
        },
        dispute: None,
    }
}

fn address_line(order: Uuid) -> String {
    format!("address of {order}")
}

fn number(order: Uuid) -> OrderNumber {
    OrderId(order).number()
}

/// That the order was placed at the storefront, and shown.
fn intent(order: Uuid) -> Intent {
    Intent {
        address_line: address_line(order),
        card: Card::Pays,
        is_undeliverable: false,
        shown: vec![number(order)],
    }
}

fn recorded(
    id: Uuid,
    status: OrderStatus,
    payment: PaymentStatus,
    fulfilment: FulfilmentStatus,
) -> Recorded {
    let sold = status == OrderStatus::Completed;
    let by = if id == DECLINED {
        CancelledBy::Payments
    } else {
        CancelledBy::Shopper
    };
    let after = Duration::from_secs(1);
    let mut milestones = if sold {
        vec![
            Milestone::Accepted,
            Milestone::PaymentCaptured,
            Milestone::Shipped,
        ]
    } else {
        vec![Milestone::Accepted, Milestone::Cancelled]
    };
    if fulfilment == FulfilmentStatus::Delivered {
        milestones.push(Milestone::Delivered);
    }
    Recorded {
        id,
        status,
        payment,
        fulfilment,
        is_waiting: false,
        total_cents: 2000,
        currency: "EUR".to_owned(),
        payment_id: Some(format!("pi of {id}")),
        label_id: sold.then(|| format!("label of {id}")),
        refunds: if id == REFUNDED {
            vec![(REFUND.id, RefundStatus::Succeeded)]
        } else {
            Vec::new()
        },
        disputes: Vec::new(),
        milestones,
        cancellation: (!sold).then_some(Cancellation {
            by,
            after,
            authorized: true,
        }),
        lines: vec![("TEA".to_owned(), 2)],
        address_line: address_line(id),
    }
}

/// When each kind of effect is done, in seconds after the order.
fn usually_at(kind: EffectKind) -> Timestamp {
    let seconds = match kind {
        EffectKind::Authorized | EffectKind::Declined => 1,
        EffectKind::LabelBought => 2,
        EffectKind::Captured => 3,
        EffectKind::Canceled | EffectKind::LabelVoided | EffectKind::Delivered => 4,
        EffectKind::Refunded => 5,
        EffectKind::RefundFailed => 6,
    };
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn paid(order: Uuid, kind: EffectKind, cents: i64) -> Effect {
    Effect {
        kind,
        at: usually_at(kind),
        id: format!("pi of {order}"),
        order_id: Some(order.to_string()),
        refund_id: None,
        payment_intent: None,
        shop: None,
        cents,
        currency: "EUR".to_owned(),
    }
}

/// What the ledger says of a refund that the provider calls `id`.
fn refunded(kind: EffectKind, id: &str) -> Effect {
    Effect {
        id: id.to_owned(),
        refund_id: Some(REFUND.id.to_string()),
        ..paid(REFUNDED, kind, REFUND.cents)
    }
}

fn label(order: Uuid, kind: EffectKind, name: &str) -> Effect {
    Effect {
        id: format!("{name} of {order}"),
        currency: "USD".to_owned(),
        ..paid(order, kind, 599)
    }
}

/// A call that a fault struck.
fn strike(provider: Provider, mode: &str, operation: &str, order: Uuid) -> Strike {
    Strike {
        provider,
        mode: mode.to_owned(),
        operation: operation.to_owned(),
        order_id: Some(order.to_string()),
        calls: 1,
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
        intents: vec![intent(SHIPPED)],
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
            refunded(Did::Refunded, "re 1"),
        ],
        shipping: vec![
            label(CALLED_OFF, Did::LabelBought, "label"),
            label(CALLED_OFF, Did::LabelVoided, "label"),
            label(SHIPPED, Did::LabelBought, "label"),
            label(REFUNDED, Did::LabelBought, "label"),
            label(REFUNDED, Did::Delivered, "label"),
        ],
        stock: vec![Shelf {
            sku: "TEA".to_owned(),
            seeded: 10,
            available: 6,
        }],
        ..Snapshot::default()
    }
}

/// What is found once `harm` is done to books that agree.
fn found_after(harm: impl FnOnce(&mut Snapshot)) -> Vec<Violation> {
    let mut snapshot = sound();
    harm(&mut snapshot);
    check(&snapshot)
}

fn fate(snapshot: &mut Snapshot, id: Uuid) -> &mut Accepted {
    let place = snapshot.accepted.iter().position(|it| it.order == id);
    &mut snapshot.accepted[place.unwrap()]
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
    assert_eq!(found, [Violation::Unrequested { order: DECLINED }]);
}

#[test]
fn two_orders_of_one_key_are_found() {
    let found = found_after(|books| books.accepted[1].key = books.accepted[0].key.clone());
    let (first, second) = (SHIPPED, CALLED_OFF);
    assert_eq!(found, [Violation::AcceptedTwice { first, second }]);
}

#[test]
fn two_orders_of_one_intent_are_found() {
    for (second, captures) in [(REFUNDED, 2), (DECLINED, 1)] {
        let found = found_after(|books| order(books, second).address_line = address_line(SHIPPED));
        let expected = Violation::OrderedTwice {
            intent: address_line(SHIPPED),
            orders: vec![SHIPPED, second],
            captures,
        };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn a_shown_order_that_is_not_the_intents_is_found() {
    let other = Uuid::from_u128(6);
    for shown in [other, REFUNDED] {
        let found = found_after(|books| books.intents[0].shown.push(number(shown)));
        let expected = Violation::OtherOrderShown {
            intent: address_line(SHIPPED),
            shown: number(shown),
        };
        assert_eq!(found, [expected]);
    }
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
    let cancel = fate(&mut sound(), CALLED_OFF).cancel;
    let found = found_after(|books| fate(books, SHIPPED).cancel = cancel);
    let status = OrderStatus::Completed;
    let order = SHIPPED;
    assert_eq!(found, [Violation::NotCancelled { order, status }]);
}

#[test]
fn an_execution_that_outlives_its_order_is_found() {
    let found = found_after(|books| books.running.push(SHIPPED));
    assert_eq!(found, [Violation::StillRunning { order: SHIPPED }]);
}

#[test]
fn an_order_that_is_looked_after_for_ever_is_found() {
    let found = found_after(|books| books.unfinished.push(REFUNDED));
    assert_eq!(found, [Violation::StillInOutbox { order: REFUNDED }]);
}

#[test]
fn a_second_charge_is_found() {
    let found = found_after(|books| {
        for kind in [EffectKind::Authorized, EffectKind::Captured] {
            books.payments.push(Effect {
                id: "another".to_owned(),
                ..paid(SHIPPED, kind, 2000)
            });
        }
    });
    let order = SHIPPED;
    let expected = [
        Violation::AuthorizedTwice {
            order,
            times: 2,
            allowed: 1,
        },
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
    let expected = [Violation::AuthorizationNotSettled {
        order: CALLED_OFF,
        authorized: 2000,
        captured: 0,
        released: 0,
    }];
    assert_eq!(found, expected);
}

/// The refund has failed, by our own record, and a person was told of it, or not.
fn refund_fails(books: &mut Snapshot, told: bool) {
    let order = order(books, REFUNDED);
    order.refunds = vec![(REFUND.id, RefundStatus::Failed)];
    order.payment = PaymentStatus::Captured;
    if told {
        books.raised.push(REFUND.id.to_string());
    }
}

#[test]
fn a_refund_that_the_bank_sent_back_is_none_and_somebody_must_know() {
    let comes_back = |books: &mut Snapshot, told| {
        refund_fails(books, told);
        fate(books, REFUNDED).card = Card::ReturnsRefunds;
        let came_back = refunded(EffectKind::RefundFailed, "re 1");
        books.payments.push(came_back);
    };
    assert_eq!(found_after(|books| comes_back(books, true)), []);
    let (order, refund) = (REFUNDED, REFUND.id);
    let found = found_after(|books| comes_back(books, false));
    assert_eq!(found, [Violation::FailedRefundNotRaised { order, refund }]);

    let found = found_after(|books| {
        comes_back(books, true);
        fate(books, REFUNDED).card = Card::Pays;
    });
    assert_eq!(found, [Violation::RefundMissing { order, refund }]);
}

#[test]
fn refunds_that_are_given_up_are_found_even_if_somebody_was_told() {
    let gives_up = |books: &mut Snapshot| {
        refund_fails(books, true);
        books.payments.retain(|it| it.kind != EffectKind::Refunded);
    };
    let (order, refund) = (REFUNDED, REFUND.id);
    let missing = [Violation::RefundMissing { order, refund }];
    assert_eq!(found_after(gives_up), missing);

    // Only if the provider was to refuse this very thing may it be given up.
    let refund_call = "POST /v1/refunds";
    for (mode, operation, order) in [
        ("error", refund_call, REFUNDED),
        ("refuse", "GET /v1/refunds", REFUNDED),
        ("refuse", refund_call, SHIPPED),
    ] {
        let found = found_after(|books| {
            gives_up(books);
            let strike = strike(Provider::Payments, mode, operation, order);
            books.strikes.push(strike);
        });
        assert_eq!(found, missing, "{mode} {operation}");
    }
    let found = found_after(|books| {
        gives_up(books);
        let strike = strike(Provider::Payments, "refuse", refund_call, REFUNDED);
        books.strikes.push(strike);
    });
    assert_eq!(found, []);
}

#[test]
fn a_refund_that_was_made_twice_is_found_even_if_one_came_back() {
    let again = |books: &mut Snapshot| {
        books.payments.push(refunded(EffectKind::Refunded, "re 2"));
    };
    let (order, refund) = (REFUNDED, REFUND.id);
    let twice = Violation::RefundedTwice {
        order,
        refund,
        times: 2,
    };
    for came_back in ["re 1", "re 2"] {
        let found = found_after(|books| {
            again(books);
            fate(books, REFUNDED).card = Card::ReturnsRefunds;
            let came_back = refunded(EffectKind::RefundFailed, came_back);
            books.payments.push(came_back);
        });
        assert_eq!(found, std::slice::from_ref(&twice));
    }
    let found = found_after(again);
    let wrong = wrong_refund(1000, 500, PaymentStatus::PartiallyRefunded);
    assert_eq!(found, [twice, wrong]);
}

#[test]
fn a_refund_that_is_recorded_as_it_is_not_is_found() {
    let (order, refund) = (REFUNDED, REFUND.id);
    let other = |expected, recorded| Violation::WrongRefundStatus {
        order,
        refund,
        expected,
        recorded,
    };
    // What our own record says of a refund is no proof of it.
    let found = found_after(|books| refund_fails(books, true));
    let expected = [
        other(RefundStatus::Succeeded, Some(RefundStatus::Failed)),
        wrong_refund(500, 500, PaymentStatus::Captured),
    ];
    assert_eq!(found, expected);

    for recorded in [None, Some(RefundStatus::Pending)] {
        let found = found_after(|books| {
            let refunds = recorded.map(|status| (refund, status));
            self::order(books, REFUNDED).refunds = refunds.into_iter().collect();
        });
        assert_eq!(found, [other(RefundStatus::Succeeded, recorded)]);
    }
}

#[test]
fn a_refund_that_nobody_asked_for_is_found() {
    let part = PaymentStatus::PartiallyRefunded;
    let stranger = Uuid::from_u128(9).to_string();
    for refund_id in [None, Some(stranger)] {
        let found = found_after(|books| {
            let mut unasked = refunded(EffectKind::Refunded, "re 2");
            unasked.refund_id.clone_from(&refund_id);
            books.payments.push(unasked);
        });
        let unasked = Violation::UnrequestedRefund {
            order: REFUNDED,
            id: "re 2".to_owned(),
        };
        assert_eq!(found, [unasked, wrong_refund(1000, 500, part)]);
    }
}

fn wrong_refund(refunded: i64, promised: i64, payment: PaymentStatus) -> Violation {
    Violation::WrongRefund {
        order: REFUNDED,
        refunded,
        captured: 2000,
        promised,
        payment,
    }
}

#[test]
fn a_refund_that_is_not_as_promised_or_not_as_recorded_is_found() {
    let part = PaymentStatus::PartiallyRefunded;
    let found = found_after(|books| fate(books, REFUNDED).refunds[0].cents = 600);
    assert_eq!(found, [wrong_refund(500, 600, part)]);

    let whole = PaymentStatus::Refunded;
    let found = found_after(|books| order(books, REFUNDED).payment = whole);
    assert_eq!(found, [wrong_refund(500, 500, whole)]);

    let found = found_after(|books| {
        order(books, REFUNDED).payment = whole;
        fate(books, REFUNDED).refunds[0].cents = 2100;
        for effect in &mut books.payments {
            if effect.kind == EffectKind::Refunded {
                effect.cents = 2100;
            }
        }
    });
    let too_much = Violation::OutOfOrder {
        order: REFUNDED,
        kind: EffectKind::Refunded,
        id: "re 1".to_owned(),
    };
    assert_eq!(found, [too_much, wrong_refund(2100, 2100, whole)]);
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
    let expected = [Violation::WrongPayment {
        order: SHIPPED,
        recorded: other.clone(),
        found: Some(format!("pi of {SHIPPED}")),
    }];
    assert_eq!(found, expected);

    let found = found_after(|books| order(books, SHIPPED).label_id = other.clone());
    let expected = [Violation::WrongLabel {
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
        // All of it before the money is captured.
        for (kind, name) in [
            (EffectKind::LabelVoided, "label"),
            (EffectKind::LabelBought, "new label"),
        ] {
            books.shipping.push(Effect {
                at: usually_at(EffectKind::LabelBought),
                ..label(SHIPPED, kind, name)
            });
        }
        order(books, SHIPPED).label_id = Some(format!("new label of {SHIPPED}"));
    });
    assert_eq!(found, []);
}

#[test]
fn a_missing_label_and_a_label_of_a_cancelled_order_are_found() {
    let wrong = |order, live, due| Violation::WrongLabels { order, live, due };
    let found = found_after(|books| books.shipping.retain(|it| it.order() != Some(SHIPPED)));
    let unlabelled = out_of_order(SHIPPED, EffectKind::Captured);
    assert_eq!(found, [unlabelled, wrong(SHIPPED, 0, 1)]);

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
    let found = found_after(|books| order(books, SHIPPED).is_waiting = true);
    assert_eq!(found, [Violation::ParkedWithoutToken { order: SHIPPED }]);

    let nobody = Uuid::from_u128(9);
    for order in [SHIPPED, nobody] {
        let found = found_after(|books| books.tokens.push(token(order)));
        assert_eq!(
            found,
            [Violation::TokenWithoutParkedOrder { order, provider }]
        );
    }

    let found = found_after(|books| {
        order(books, SHIPPED).is_waiting = true;
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
        let expected = [Violation::EffectWithoutOrder {
            order: stranger,
            kind: EffectKind::Authorized,
            id: format!("pi of {SHIPPED}"),
        }];
        assert_eq!(found, expected);
    }
}

/// An order with a card that pays and an address that can be reached is cancelled, and all is undone.
fn is_cancelled(books: &mut Snapshot, by: CancelledBy) {
    order(books, CALLED_OFF).cancellation = Some(Cancellation {
        by,
        after: Duration::from_mins(1),
        authorized: true,
    });
    fate(books, CALLED_OFF).cancel = None;
}

#[test]
fn orders_that_are_cancelled_for_no_reason_are_found() {
    for by in [
        CancelledBy::Shopper,
        CancelledBy::Staff,
        CancelledBy::Payments,
        CancelledBy::Shipping,
        CancelledBy::Deadline,
    ] {
        let order = CALLED_OFF;
        let found = found_after(|books| is_cancelled(books, by));
        assert_eq!(found, [Violation::CancelledWithoutCause { order, by }]);
    }
}

#[test]
fn a_thousand_orders_that_are_cancelled_for_no_reason_are_found() {
    let mut books = Snapshot::default();
    for number in 0..1000 {
        let id = Uuid::from_u128(100 + number);
        let mut order = recorded(
            id,
            OrderStatus::Cancelled,
            PaymentStatus::NotPaid,
            FulfilmentStatus::Cancelled,
        );
        order.cancellation = Some(Cancellation {
            by: CancelledBy::Payments,
            after: Duration::from_secs(1),
            authorized: false,
        });
        books.orders.push(order);
        books.accepted.push(accepted(id));
    }
    assert_eq!(check(&books).len(), 1000);
}

/// What befalls an order.
type Cause = Box<dyn Fn(&mut Snapshot)>;

fn befalls(cause: impl Fn(&mut Accepted) + 'static) -> Cause {
    Box::new(move |books| cause(fate(books, CALLED_OFF)))
}

fn refuses(provider: Provider, operation: &'static str) -> Cause {
    Box::new(move |books| {
        let strike = strike(provider, "refuse", operation, CALLED_OFF);
        books.strikes.push(strike);
    })
}

/// Orders may wait so long, and half as long while their money is not authorized.
fn has_deadline(seconds: u64) -> Cause {
    let deadlines = Deadlines {
        unauthorized: Duration::from_secs(seconds / 2),
        authorized: Duration::from_secs(seconds),
    };
    Box::new(move |books| books.deadlines = Some(deadlines))
}

/// What is found if this is how an order was cancelled, and that is what befell it.
fn found_with(by: CancelledBy, cause: &Cause) -> Vec<Violation> {
    found_after(|books| {
        is_cancelled(books, by);
        cause(books);
    })
}

#[test]
fn each_cause_explains_the_cancellation_that_follows_from_it_and_no_other() {
    use CancelledBy::{Deadline, Payments, Shipping, Shopper, Staff};

    let asked_by = |by| {
        let confirmed = false;
        befalls(move |fate| fate.cancel = Some(CancelRequest { by, confirmed }))
    };
    let pays_with = |card| befalls(move |fate| fate.card = Card::of(card));
    let capture = "POST /v1/payment_intents/pi_1/capture";
    let causes = [
        (Shopper, asked_by(Shopper)),
        (Staff, asked_by(Staff)),
        (Payments, pays_with("pm_card_chargeDeclinedLostCard")),
        (Payments, pays_with("pm_card_threeDSecureRequired")),
        (Payments, befalls(|fate| fate.lapsed = true)),
        (Payments, refuses(Provider::Payments, AUTHORIZE)),
        (Payments, refuses(Provider::Payments, capture)),
        (Shipping, befalls(|fate| fate.is_undeliverable = true)),
        (Shipping, refuses(Provider::Shipping, "POST /v1/labels")),
        (Deadline, has_deadline(60)),
    ];
    for (place, (follows, cause)) in causes.iter().enumerate() {
        assert_eq!(found_with(*follows, cause), [], "cause {place}");
        let others = [Shopper, Staff, Payments, Shipping, Deadline];
        for by in others.into_iter().filter(|by| by != follows) {
            let order = CALLED_OFF;
            let unexplained = [Violation::CancelledWithoutCause { order, by }];
            assert_eq!(found_with(by, cause), unexplained, "cause {place}");
        }
    }
}

#[test]
fn what_only_undoes_an_order_is_no_cause_and_neither_is_a_deadline_to_come() {
    let (void_payment, void_label) = (
        "POST /v1/payment_intents/pi_1/cancel",
        "PUT /v1/labels/se-1/void",
    );
    for (by, no_cause) in [
        (
            CancelledBy::Payments,
            refuses(Provider::Payments, void_payment),
        ),
        (
            CancelledBy::Shipping,
            refuses(Provider::Shipping, void_label),
        ),
        (CancelledBy::Deadline, has_deadline(61)),
    ] {
        let order = CALLED_OFF;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(found_with(by, &no_cause), unexplained);
    }
}

#[test]
fn an_order_waits_for_the_deadline_of_what_it_has() {
    let deadline = CancelledBy::Deadline;
    let found_when = |authorized, limit| {
        found_after(|books| {
            is_cancelled(books, deadline);
            let order = order(books, CALLED_OFF);
            order.cancellation.as_mut().unwrap().authorized = authorized;
            has_deadline(limit)(books);
        })
    };
    let early = [Violation::CancelledWithoutCause {
        order: CALLED_OFF,
        by: deadline,
    }];
    // It was cancelled a minute after it was placed.
    for (authorized, limit, found) in [
        (true, 60, &[][..]),
        (true, 61, &early),
        (true, 120, &early),
        (false, 120, &[]),
        (false, 122, &early),
    ] {
        assert_eq!(found_when(authorized, limit), found, "{authorized} {limit}");
    }
}

#[test]
fn an_order_that_its_deadline_ends_keeps_nothing() {
    for kept in [EffectKind::Canceled, EffectKind::LabelVoided] {
        let found = found_after(|books| {
            is_cancelled(books, CancelledBy::Deadline);
            has_deadline(60)(books);
            books.payments.retain(|it| it.kind != kept);
            books.shipping.retain(|it| it.kind != kept);
        });
        let is_kept = matches!(
            found[..],
            [Violation::AuthorizationNotSettled { .. } | Violation::WrongLabels { .. }]
        );
        assert!(is_kept, "{found:?}");
    }
}

#[test]
fn no_fault_but_a_refusal_of_the_order_itself_cancels_it() {
    let (provider, by) = (Provider::Payments, CancelledBy::Payments);
    for (mode, struck) in [
        ("error", CALLED_OFF),
        ("not_served", CALLED_OFF),
        ("late_effect", CALLED_OFF),
        ("lose_answer", CALLED_OFF),
        ("rate_limited", CALLED_OFF),
        ("refuse", SHIPPED),
    ] {
        let found = found_after(|books| {
            is_cancelled(books, by);
            books
                .strikes
                .push(strike(provider, mode, AUTHORIZE, struck));
        });
        let order = CALLED_OFF;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(found, unexplained, "{mode}");
    }
    let (provider, by) = (Provider::Shipping, CancelledBy::Shipping);
    for mode in ["label_error", "label_processing", "error", "not_served"] {
        let found = found_after(|books| {
            is_cancelled(books, by);
            let strike = strike(provider, mode, "POST /v1/labels", CALLED_OFF);
            books.strikes.push(strike);
        });
        let order = CALLED_OFF;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(found, unexplained, "{mode}");
    }
}

#[test]
fn an_order_that_cannot_be_completed_and_is_is_found() {
    let harms: [fn(&mut Accepted); 3] = [
        |fate| fate.card = Card::Declines,
        |fate| fate.card = Card::RequiresAction,
        |fate| fate.is_undeliverable = true,
    ];
    for harm in harms {
        let found = found_after(|books| harm(fate(books, SHIPPED)));
        assert_eq!(found, [Violation::WronglyCompleted { order: SHIPPED }]);
    }
}

fn out_of_order(order: Uuid, kind: EffectKind) -> Violation {
    let id = match kind {
        EffectKind::LabelBought | EffectKind::LabelVoided | EffectKind::Delivered => "label",
        _ => "pi",
    };
    Violation::OutOfOrder {
        order,
        kind,
        id: format!("{id} of {order}"),
    }
}

/// What is found once an effect is done at another time than usual.
fn found_when(order: Uuid, kind: EffectKind, at: EffectKind) -> Vec<Violation> {
    found_after(|books| {
        let effects = books.payments.iter_mut().chain(&mut books.shipping);
        for effect in effects {
            if effect.order() == Some(order) && effect.kind == kind {
                let moment = SignedDuration::from_millis(100);
                effect.at = usually_at(at) - moment;
            }
        }
    })
}

#[test]
fn effects_that_do_not_follow_from_what_was_before_are_found() {
    use EffectKind::{Authorized, Canceled, Captured, Delivered, LabelBought, LabelVoided};

    for (order, kind, at, found) in [
        // A capture before its authorization, and before its label.
        (SHIPPED, Captured, Authorized, Captured),
        (SHIPPED, Captured, LabelBought, Captured),
        (SHIPPED, Authorized, Captured, LabelBought),
        // A label before its money, and gone before it is bought.
        (SHIPPED, LabelBought, Authorized, LabelBought),
        (CALLED_OFF, LabelVoided, LabelBought, LabelVoided),
        // A void of what is not held yet, and a delivery of what is not sent.
        (CALLED_OFF, Canceled, Authorized, Canceled),
        (REFUNDED, Delivered, LabelBought, Delivered),
    ] {
        let violations = found_when(order, kind, at);
        assert_eq!(violations, [out_of_order(order, found)], "{kind:?}");
    }
    let early = Violation::OutOfOrder {
        order: REFUNDED,
        kind: EffectKind::Refunded,
        id: "re 1".to_owned(),
    };
    assert_eq!(
        found_when(REFUNDED, EffectKind::Refunded, Captured),
        [early]
    );
}

#[test]
fn money_that_was_never_held_and_is_captured_is_found() {
    let found = found_after(|books| {
        books
            .payments
            .retain(|it| it.order() != Some(SHIPPED) || it.kind != EffectKind::Authorized);
    });
    let order = SHIPPED;
    let expected = [
        out_of_order(order, EffectKind::LabelBought),
        out_of_order(order, EffectKind::Captured),
        Violation::AuthorizationNotSettled {
            order,
            authorized: 0,
            captured: 2000,
            released: 0,
        },
    ];
    assert_eq!(found, expected);
}

/// So many more holds, each voided in the end.
fn holds_more(books: &mut Snapshot, holds: u64) {
    for number in 0..holds {
        for kind in [EffectKind::Authorized, EffectKind::Canceled] {
            books.payments.push(Effect {
                id: format!("pi {number}"),
                ..paid(SHIPPED, kind, 2000)
            });
        }
    }
}

#[test]
fn orders_with_more_than_one_hold_are_counted() {
    let mut books = sound();
    assert_eq!(books.reauthorized_orders(), 0);
    holds_more(&mut books, 2);
    assert_eq!(books.reauthorized_orders(), 1);
}

fn authorized_too_often(times: u64, allowed: u64) -> [Violation; 1] {
    [Violation::AuthorizedTwice {
        order: SHIPPED,
        times,
        allowed,
    }]
}

#[test]
fn holds_that_no_fault_explains_are_found_even_if_they_are_voided() {
    for more in [1, 2] {
        let found = found_after(|books| holds_more(books, more));
        assert_eq!(found, authorized_too_often(1 + more, 1));
    }
    // One after the other is no better than at once.
    let found = found_after(|books| {
        holds_more(books, 1);
        for effect in &mut books.payments {
            if effect.id == "pi 0" {
                effect.at = usually_at(EffectKind::Authorized) - SignedDuration::from_millis(1);
            }
        }
    });
    assert_eq!(found, authorized_too_often(2, 1));
}

#[test]
fn each_hold_that_a_fault_hid_explains_one_more() {
    let search = "GET /v1/payment_intents/search";
    let other = CALLED_OFF;
    for (mode, operation, struck, hidden) in [
        ("search_lag", search, SHIPPED, 1),
        ("late_effect", AUTHORIZE, SHIPPED, 1),
        // A key may be forgotten with any call.
        ("forget_keys", "POST /v1/refunds", other, 1),
        ("search_lag", search, other, 0),
        ("search_lag", "POST /v1/payment_intents", SHIPPED, 0),
        ("late_effect", AUTHORIZE, other, 0),
        ("late_effect", "POST /v1/refunds", SHIPPED, 0),
        // The key is the same, or the look-up finds what was done.
        ("lose_answer", AUTHORIZE, SHIPPED, 0),
        ("error", AUTHORIZE, SHIPPED, 0),
    ] {
        let with = |more| {
            found_after(|books| {
                holds_more(books, more);
                let strike = strike(Provider::Payments, mode, operation, struck);
                books.strikes.push(strike);
            })
        };
        assert_eq!(with(hidden), [], "{mode} {operation}");
        let too_often = authorized_too_often(2 + hidden, 1 + hidden);
        assert_eq!(with(hidden + 1), too_often, "{mode} {operation}");
    }
}

#[test]
fn a_hidden_hold_that_is_kept_is_found() {
    let found = found_after(|books| {
        holds_more(books, 1);
        books
            .payments
            .retain(|it| it.id != "pi 0" || it.kind != EffectKind::Canceled);
        let search = "GET /v1/payment_intents/search";
        let strike = strike(Provider::Payments, "search_lag", search, SHIPPED);
        books.strikes.push(strike);
    });
    let expected = [Violation::AuthorizationNotSettled {
        order: SHIPPED,
        authorized: 4000,
        captured: 2000,
        released: 0,
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_hidden_hold_that_is_captured_too_is_found() {
    let found = found_after(|books| {
        holds_more(books, 1);
        let search = "GET /v1/payment_intents/search";
        let strike = strike(Provider::Payments, "search_lag", search, SHIPPED);
        books.strikes.push(strike);
        for effect in &mut books.payments {
            if effect.id == "pi 0" && effect.kind == EffectKind::Canceled {
                effect.kind = EffectKind::Captured;
            }
        }
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
fn a_timeline_that_tells_of_something_else_is_found() {
    use Milestone::{Accepted, Cancelled, Delivered, PaymentCaptured, Shipped};

    for (id, found) in [
        (SHIPPED, vec![]),
        (SHIPPED, vec![Accepted, PaymentCaptured]),
        (SHIPPED, vec![Accepted, Shipped, PaymentCaptured]),
        (SHIPPED, vec![Accepted, PaymentCaptured, Shipped, Cancelled]),
        (SHIPPED, vec![Accepted, PaymentCaptured, Shipped, Delivered]),
        (CALLED_OFF, vec![Accepted]),
        (CALLED_OFF, vec![Accepted, Cancelled, Cancelled]),
        (CALLED_OFF, vec![Accepted, PaymentCaptured, Cancelled]),
    ] {
        let expected = order(&mut sound(), id).milestones.clone();
        let violations = found_after(|books| order(books, id).milestones.clone_from(&found));
        let order = id;
        let other = Violation::WrongTimeline {
            order,
            expected,
            found,
        };
        assert_eq!(violations, [other]);
    }
}

#[test]
fn a_parcel_that_arrived_unheard_or_is_said_to_have_arrived_is_found() {
    let wrong = |order, fulfilment, delivered| Violation::WrongDelivery {
        order,
        fulfilment,
        delivered,
    };
    let delivered = EffectKind::Delivered;
    let found = found_after(|books| books.shipping.push(label(SHIPPED, delivered, "label")));
    assert_eq!(found, [wrong(SHIPPED, FulfilmentStatus::Shipped, true)]);

    // So long before the order is complete that its event may be a dead letter.
    let arrives_before = |minutes| {
        found_after(|books| {
            books.shipping.push(label(SHIPPED, delivered, "label"));
            let mut payments = books.payments.iter_mut();
            let is_captured =
                |it: &&mut Effect| it.kind == EffectKind::Captured && it.order() == Some(SHIPPED);
            let captured = payments.find(is_captured).unwrap();
            captured.at = usually_at(delivered) + SignedDuration::from_mins(minutes);
        })
    };
    let unheard = [wrong(SHIPPED, FulfilmentStatus::Shipped, true)];
    assert_eq!(arrives_before(9), unheard);
    assert_eq!(arrives_before(11), []);

    let found = found_after(|books| books.shipping.retain(|it| it.kind != delivered));
    assert_eq!(found, [wrong(REFUNDED, FulfilmentStatus::Delivered, false)]);
}

/// The bank disputes [`SHIPPED`], the order shows that, and it is raised.
fn is_disputed(books: &mut Snapshot, is_chargeback: bool, is_seen: bool) {
    let id = "du 1".to_owned();
    order(books, SHIPPED).disputes = vec![id.clone()];
    books.raised.push(id.clone());
    fate(books, SHIPPED).dispute = Some(Dispute {
        id,
        is_chargeback,
        is_seen,
    });
}

/// A refund of [`SHIPPED`] is promised and made, or fails and a person is told.
fn is_refunded(books: &mut Snapshot, is_made: bool) {
    fate(books, SHIPPED).refunds = vec![REFUND];
    let order = order(books, SHIPPED);
    if is_made {
        order.payment = PaymentStatus::PartiallyRefunded;
        order.refunds = vec![(REFUND.id, RefundStatus::Succeeded)];
        books.payments.push(Effect {
            order_id: Some(SHIPPED.to_string()),
            ..refunded(EffectKind::Refunded, "re 2")
        });
    } else {
        order.refunds = vec![(REFUND.id, RefundStatus::Failed)];
        books.raised.push(REFUND.id.to_string());
    }
}

#[test]
fn a_dispute_that_the_order_does_not_show_or_nobody_is_told_of_is_found() {
    assert_eq!(found_after(|books| is_disputed(books, true, true)), []);

    let (order, dispute) = (SHIPPED, "du 1".to_owned());
    let found = found_after(|books| {
        is_disputed(books, true, true);
        books.raised.clear();
    });
    let unseen = Violation::DisputeNotRaised {
        order,
        dispute: dispute.clone(),
    };
    assert_eq!(found, [unseen]);

    let other = |expected: &[&str], found: &[&str]| Violation::WrongDisputes {
        order,
        expected: expected.iter().copied().map(str::to_owned).collect(),
        found: found.iter().copied().map(str::to_owned).collect(),
    };
    let found = found_after(|books| {
        is_disputed(books, true, true);
        self::order(books, SHIPPED).disputes.clear();
    });
    assert_eq!(found, [other(&["du 1"], &[])]);
    // It is not disputed.
    let found = found_after(|books| self::order(books, SHIPPED).disputes = vec![dispute]);
    assert_eq!(found, [other(&[], &["du 1"])]);
}

#[test]
fn a_refund_of_a_chargeback_is_found_and_one_of_an_inquiry_is_none() {
    let found_with = |is_chargeback, is_seen, is_made| {
        found_after(|books| {
            is_disputed(books, is_chargeback, is_seen);
            is_refunded(books, is_made);
        })
    };
    let order = SHIPPED;
    let disputed = Violation::ChargebackRefunded {
        order,
        dispute: "du 1".to_owned(),
    };
    assert_eq!(
        found_with(true, true, true),
        std::slice::from_ref(&disputed)
    );
    assert_eq!(
        found_with(true, false, true),
        std::slice::from_ref(&disputed)
    );
    // Promised, although the order showed the dispute.
    assert_eq!(found_with(true, true, false), [disputed]);
    // Promised before the dispute was known: it fails, and is raised.
    assert_eq!(found_with(true, false, false), []);

    assert_eq!(found_with(false, true, true), []);
    let refund = REFUND.id;
    let missing = [Violation::RefundMissing { order, refund }];
    assert_eq!(found_with(false, true, false), missing);
}

/// What was done for another shop, or for one of our orders' copies there.
fn foreign(kind: EffectKind, order: Option<Uuid>) -> Effect {
    Effect {
        id: "foreign".to_owned(),
        order_id: order.map(|order| order.to_string()),
        ..paid(SHIPPED, kind, 500)
    }
}

fn touched(kind: EffectKind) -> [Violation; 1] {
    let id = "foreign".to_owned();
    [Violation::ForeignTouched { kind, id }]
}

#[test]
fn a_foreign_record_that_we_touch_is_found() {
    use EffectKind::{Authorized, Canceled, Captured, LabelBought, LabelVoided, Refunded};

    for order in [None, Some(Uuid::from_u128(9)), Some(SHIPPED)] {
        for (kind, found) in [
            (Authorized, &[][..]),
            (LabelBought, &[]),
            (Captured, &touched(Captured)),
            (Canceled, &touched(Canceled)),
            (LabelVoided, &touched(LabelVoided)),
        ] {
            let effect = foreign(kind, order);
            let violations = found_after(|books| books.foreign.effects.push(effect));
            assert_eq!(violations, found);
        }
    }
    let by_its_maker = found_after(|books| {
        books.foreign.captured.insert("foreign".to_owned());
        books.foreign.effects.push(foreign(Captured, None));
    });
    assert_eq!(by_its_maker, []);
    let refund_of = |payment: &str| {
        found_after(|books| {
            books.foreign.refunded.insert("pi".to_owned());
            books.foreign.effects.push(Effect {
                payment_intent: Some(payment.to_owned()),
                ..foreign(Refunded, None)
            });
        })
    };
    assert_eq!(refund_of("pi"), []);
    assert_eq!(refund_of("another"), touched(Refunded));
}

#[test]
fn a_foreign_hold_of_an_order_that_lapses_ends_with_the_orders_own() {
    let found = |lapsed| {
        found_after(|books| {
            fate(books, SHIPPED).lapsed = lapsed;
            let canceled = foreign(EffectKind::Canceled, Some(SHIPPED));
            books.foreign.effects.push(canceled);
        })
    };
    assert_eq!(found(true), []);
    assert_eq!(found(false), touched(EffectKind::Canceled));
}

#[test]
fn a_foreign_record_that_is_raised_or_stops_the_comparison_is_found() {
    let held = || foreign(EffectKind::Authorized, None);
    let found = found_after(|books| {
        books.foreign.effects.push(held());
        books.raised.push("foreign".to_owned());
    });
    let id = "foreign".to_owned();
    assert_eq!(found, [Violation::ForeignRaised { id }]);

    let found_when_compared_to = |compared_to| {
        found_after(|books| {
            books.foreign.effects.push(held());
            let records = "payments:soon".to_owned();
            books.foreign.compared.insert(records, compared_to);
        })
    };
    let at = held().at;
    assert_eq!(found_when_compared_to(at), []);
    let compared_to = at - SignedDuration::from_secs(1);
    let behind = Violation::ComparisonBehind {
        records: "payments:soon".to_owned(),
        compared_to,
    };
    assert_eq!(found_when_compared_to(compared_to), [behind]);
}
