//! The chaos test's checker reports each violation: every test breaks one invariant on purpose.

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
const CANCELLED: Uuid = Uuid::from_u128(2);
const DECLINED: Uuid = Uuid::from_u128(3);
const REFUNDED: Uuid = Uuid::from_u128(4);

/// The refund of [`REFUNDED`].
const REFUND: RefundRequest = RefundRequest {
    id: Uuid::from_u128(5),
    cents: 500,
};

/// The call that authorizes a payment.
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
        cancel: (order == CANCELLED).then_some(CancelRequest {
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

/// An intent at the storefront whose order was shown.
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

/// The time of each kind of effect, in seconds after the order.
fn usual_time(kind: EffectKind) -> Timestamp {
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
        at: usual_time(kind),
        id: format!("pi of {order}"),
        order_id: Some(order.to_string()),
        refund_id: None,
        payment_intent: None,
        shop: None,
        cents,
        currency: "EUR".to_owned(),
    }
}

/// A ledger entry about the refund with the provider's id `id`.
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

/// Four orders with different allowed outcomes.
fn valid_snapshot() -> Snapshot {
    use EffectKind as Kind;
    use FulfilmentStatus as Fulfilment;
    use OrderStatus::{Cancelled, Completed};
    use PaymentStatus as Payment;

    Snapshot {
        accepted: [SHIPPED, CANCELLED, DECLINED, REFUNDED]
            .map(accepted)
            .to_vec(),
        intents: vec![intent(SHIPPED)],
        orders: vec![
            recorded(SHIPPED, Completed, Payment::Captured, Fulfilment::Shipped),
            recorded(CANCELLED, Cancelled, Payment::Voided, Fulfilment::Cancelled),
            recorded(DECLINED, Cancelled, Payment::Failed, Fulfilment::Cancelled),
            recorded(
                REFUNDED,
                Completed,
                Payment::PartiallyRefunded,
                Fulfilment::Delivered,
            ),
        ],
        payments: vec![
            paid(SHIPPED, Kind::Authorized, 2000),
            paid(CANCELLED, Kind::Authorized, 2000),
            paid(DECLINED, Kind::Declined, 2000),
            paid(REFUNDED, Kind::Authorized, 2000),
            paid(SHIPPED, Kind::Captured, 2000),
            paid(CANCELLED, Kind::Canceled, 2000),
            paid(REFUNDED, Kind::Captured, 2000),
            refunded(Kind::Refunded, "re 1"),
        ],
        shipping: vec![
            label(CANCELLED, Kind::LabelBought, "label"),
            label(CANCELLED, Kind::LabelVoided, "label"),
            label(SHIPPED, Kind::LabelBought, "label"),
            label(REFUNDED, Kind::LabelBought, "label"),
            label(REFUNDED, Kind::Delivered, "label"),
        ],
        stock: vec![Shelf {
            sku: "TEA".to_owned(),
            seeded: 10,
            available: 6,
        }],
        ..Snapshot::default()
    }
}

/// The violations after a change to consistent records.
fn violations_after(change: impl FnOnce(&mut Snapshot)) -> Vec<Violation> {
    let mut snapshot = valid_snapshot();
    change(&mut snapshot);
    check(&snapshot)
}

fn accepted_order(snapshot: &mut Snapshot, id: Uuid) -> &mut Accepted {
    let place = snapshot.accepted.iter().position(|it| it.order == id);
    &mut snapshot.accepted[place.unwrap()]
}

fn order(snapshot: &mut Snapshot, id: Uuid) -> &mut Recorded {
    let place = snapshot.orders.iter().position(|order| order.id == id);
    &mut snapshot.orders[place.unwrap()]
}

#[test]
fn consistent_records_have_no_violations() {
    assert_eq!(check(&valid_snapshot()), []);
}

#[test]
fn a_lost_order_is_reported() {
    let found = violations_after(|books| {
        books.orders.retain(|order| order.id != DECLINED);
        books.payments.retain(|it| it.order() != Some(DECLINED));
    });
    assert_eq!(found, [Violation::Lost { order: DECLINED }]);
}

#[test]
fn an_order_without_an_accepted_request_is_reported() {
    let found = violations_after(|books| books.accepted.retain(|it| it.order != DECLINED));
    assert_eq!(found, [Violation::Unrequested { order: DECLINED }]);
}

#[test]
fn two_orders_of_one_key_are_reported() {
    let found = violations_after(|books| books.accepted[1].key = books.accepted[0].key.clone());
    let (first, second) = (SHIPPED, CANCELLED);
    assert_eq!(found, [Violation::AcceptedTwice { first, second }]);
}

#[test]
fn two_orders_of_one_intent_are_reported() {
    for (second, captures) in [(REFUNDED, 2), (DECLINED, 1)] {
        let found =
            violations_after(|books| order(books, second).address_line = address_line(SHIPPED));
        let expected = Violation::OrderedTwice {
            intent: address_line(SHIPPED),
            orders: vec![SHIPPED, second],
            captures,
        };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn a_shown_order_of_another_intent_is_reported() {
    let other = Uuid::from_u128(6);
    for shown in [other, REFUNDED] {
        let found = violations_after(|books| books.intents[0].shown.push(number(shown)));
        let expected = Violation::OtherOrderShown {
            intent: address_line(SHIPPED),
            shown: number(shown),
        };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn an_unfinished_order_is_reported() {
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
        let found = violations_after(|books| {
            let order = order(books, SHIPPED);
            (order.status, order.payment, order.fulfilment) = (status, payment, fulfilment);
        });
        let order = SHIPPED;
        assert_eq!(
            found,
            [Violation::UnfinishedWork {
                order,
                status,
                payment,
                fulfilment
            }]
        );
    }
}

#[test]
fn a_shipped_order_that_was_cancelled_is_reported() {
    let cancel = accepted_order(&mut valid_snapshot(), CANCELLED).cancel;
    let found = violations_after(|books| accepted_order(books, SHIPPED).cancel = cancel);
    let status = OrderStatus::Completed;
    let order = SHIPPED;
    assert_eq!(found, [Violation::NotCancelled { order, status }]);
}

#[test]
fn a_running_execution_of_a_finished_order_is_reported() {
    let found = violations_after(|books| books.running.push(SHIPPED));
    assert_eq!(found, [Violation::StillRunning { order: SHIPPED }]);
}

#[test]
fn a_finished_order_in_the_outbox_is_reported() {
    let found = violations_after(|books| books.unfinished.push(REFUNDED));
    assert_eq!(found, [Violation::StillInOutbox { order: REFUNDED }]);
}

#[test]
fn a_second_charge_is_reported() {
    let found = violations_after(|books| {
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
fn a_second_charge_of_an_unfinished_order_is_reported() {
    let found = violations_after(|books| {
        order(books, SHIPPED).status = OrderStatus::Confirmed;
        books
            .payments
            .push(paid(SHIPPED, EffectKind::Captured, 2000));
    });
    let order = SHIPPED;
    assert!(found.contains(&Violation::ChargedTwice { order, times: 2 }));
}

#[test]
fn a_cent_too_many_is_reported() {
    let found = violations_after(|books| {
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
fn an_authorization_that_is_never_voided_is_reported() {
    let found =
        violations_after(|books| books.payments.retain(|it| it.kind != EffectKind::Canceled));
    let expected = [Violation::AuthorizationNotSettled {
        order: CANCELLED,
        authorized: 2000,
        captured: 0,
        voided: 0,
    }];
    assert_eq!(found, expected);
}

/// Has the provider refuse the void of a cancelled order's payment, which is then raised.
fn refuse_void(books: &mut Snapshot, mode: &str) {
    let held = books
        .payments
        .iter()
        .find(|it| it.order() == Some(CANCELLED));
    let id = held.unwrap().id.clone();
    let void = format!("POST /v1/payment_intents/{id}/cancel");
    let refusal = strike(Provider::Payments, mode, &void, CANCELLED);
    books.strikes.push(refusal);
    books.raised.push(id);
}

#[test]
fn an_authorization_that_the_provider_refused_to_void_must_be_raised() {
    let keep = |books: &mut Snapshot| books.payments.retain(|it| it.kind != EffectKind::Canceled);
    let raised = violations_after(|books| {
        keep(books);
        refuse_void(books, "refuse");
    });
    assert_eq!(raised, []);
    // It may be voided later.
    assert_eq!(violations_after(|books| refuse_void(books, "refuse")), []);

    let is_reported = |found: Vec<Violation>| {
        let is_so = matches!(found[..], [Violation::AuthorizationNotSettled { .. }]);
        assert!(is_so, "{found:?}");
    };
    is_reported(violations_after(|books| {
        keep(books);
        refuse_void(books, "refuse");
        books.raised.clear();
    }));
    is_reported(violations_after(|books| {
        keep(books);
        refuse_void(books, "error");
    }));
    // Another authorization was raised, and this one was not.
    is_reported(violations_after(|books| {
        refuse_void(books, "refuse");
        books.payments.push(Effect {
            id: "pi other".to_owned(),
            ..paid(CANCELLED, EffectKind::Authorized, 2000)
        });
        let search = "GET /v1/payment_intents/search";
        let hidden = strike(Provider::Payments, "search_lag", search, CANCELLED);
        books.strikes.push(hidden);
    }));
}

/// Records that the refund has failed, and whether it was raised.
fn fail_refund(books: &mut Snapshot, is_raised: bool) {
    let order = order(books, REFUNDED);
    order.refunds = vec![(REFUND.id, RefundStatus::Failed)];
    order.payment = PaymentStatus::Captured;
    if is_raised {
        books.raised.push(REFUND.id.to_string());
    }
}

#[test]
fn a_refund_that_the_bank_returned_must_be_raised() {
    let return_refund = |books: &mut Snapshot, is_raised| {
        fail_refund(books, is_raised);
        accepted_order(books, REFUNDED).card = Card::ReturnsRefunds;
        let came_back = refunded(EffectKind::RefundFailed, "re 1");
        books.payments.push(came_back);
    };
    assert_eq!(violations_after(|books| return_refund(books, true)), []);
    let (order, refund) = (REFUNDED, REFUND.id);
    let found = violations_after(|books| return_refund(books, false));
    assert_eq!(found, [Violation::FailedRefundNotRaised { order, refund }]);

    let found = violations_after(|books| {
        return_refund(books, true);
        accepted_order(books, REFUNDED).card = Card::Pays;
    });
    assert_eq!(found, [Violation::RefundMissing { order, refund }]);
}

#[test]
fn an_abandoned_refund_is_reported_even_if_it_was_raised() {
    let abandon_refund = |books: &mut Snapshot| {
        fail_refund(books, true);
        books.payments.retain(|it| it.kind != EffectKind::Refunded);
    };
    let (order, refund) = (REFUNDED, REFUND.id);
    let missing = [Violation::RefundMissing { order, refund }];
    assert_eq!(violations_after(abandon_refund), missing);

    // It may be abandoned only if the provider refused this refund.
    let refund_call = "POST /v1/refunds";
    for (mode, operation, order) in [
        ("error", refund_call, REFUNDED),
        ("refuse", "GET /v1/refunds", REFUNDED),
        ("refuse", refund_call, SHIPPED),
    ] {
        let found = violations_after(|books| {
            abandon_refund(books);
            let strike = strike(Provider::Payments, mode, operation, order);
            books.strikes.push(strike);
        });
        assert_eq!(found, missing, "{mode} {operation}");
    }
    let found = violations_after(|books| {
        abandon_refund(books);
        let strike = strike(Provider::Payments, "refuse", refund_call, REFUNDED);
        books.strikes.push(strike);
    });
    assert_eq!(found, []);
}

#[test]
fn a_refund_that_was_made_twice_is_reported_even_if_one_was_returned() {
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
        let found = violations_after(|books| {
            again(books);
            accepted_order(books, REFUNDED).card = Card::ReturnsRefunds;
            let came_back = refunded(EffectKind::RefundFailed, came_back);
            books.payments.push(came_back);
        });
        assert_eq!(found, std::slice::from_ref(&twice));
    }
    let found = violations_after(again);
    let wrong = wrong_refund(1000, 500, PaymentStatus::PartiallyRefunded);
    assert_eq!(found, [twice, wrong]);
}

#[test]
fn a_refund_with_a_wrong_recorded_status_is_reported() {
    let (order, refund) = (REFUNDED, REFUND.id);
    let other = |expected, recorded| Violation::WrongRefundStatus {
        order,
        refund,
        expected,
        recorded,
    };
    // Our own record proves nothing about a refund.
    let found = violations_after(|books| fail_refund(books, true));
    let expected = [
        other(RefundStatus::Succeeded, Some(RefundStatus::Failed)),
        wrong_refund(500, 500, PaymentStatus::Captured),
    ];
    assert_eq!(found, expected);

    for recorded in [None, Some(RefundStatus::Pending)] {
        let found = violations_after(|books| {
            let refunds = recorded.map(|status| (refund, status));
            self::order(books, REFUNDED).refunds = refunds.into_iter().collect();
        });
        assert_eq!(found, [other(RefundStatus::Succeeded, recorded)]);
    }
}

#[test]
fn an_unrequested_refund_is_reported() {
    let part = PaymentStatus::PartiallyRefunded;
    let unknown = Uuid::from_u128(9).to_string();
    for refund_id in [None, Some(unknown)] {
        let found = violations_after(|books| {
            let mut unrequested = refunded(EffectKind::Refunded, "re 2");
            unrequested.refund_id.clone_from(&refund_id);
            books.payments.push(unrequested);
        });
        let unrequested = Violation::UnrequestedRefund {
            order: REFUNDED,
            id: "re 2".to_owned(),
        };
        assert_eq!(found, [unrequested, wrong_refund(1000, 500, part)]);
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
fn a_refund_of_a_wrong_amount_or_payment_status_is_reported() {
    let part = PaymentStatus::PartiallyRefunded;
    let found = violations_after(|books| accepted_order(books, REFUNDED).refunds[0].cents = 600);
    assert_eq!(found, [wrong_refund(500, 600, part)]);

    let whole = PaymentStatus::Refunded;
    let found = violations_after(|books| order(books, REFUNDED).payment = whole);
    assert_eq!(found, [wrong_refund(500, 500, whole)]);

    let found = violations_after(|books| {
        order(books, REFUNDED).payment = whole;
        accepted_order(books, REFUNDED).refunds[0].cents = 2100;
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
fn a_payment_in_another_currency_is_reported() {
    let found = violations_after(|books| books.payments[0].currency = "USD".to_owned());
    let expected = [Violation::WrongCurrency {
        order: SHIPPED,
        expected: "EUR".to_owned(),
        found: "USD".to_owned(),
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_payment_or_label_that_is_not_recorded_is_reported() {
    let other = Some("another".to_owned());
    let found = violations_after(|books| order(books, SHIPPED).payment_id = other.clone());
    let expected = [Violation::WrongPayment {
        order: SHIPPED,
        recorded: other.clone(),
        found: Some(format!("pi of {SHIPPED}")),
    }];
    assert_eq!(found, expected);

    let found = violations_after(|books| order(books, SHIPPED).label_id = other.clone());
    let expected = [Violation::WrongLabel {
        order: SHIPPED,
        recorded: other,
        found: Some(format!("label of {SHIPPED}")),
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_second_label_is_reported_even_if_it_was_voided() {
    let second = |books: &mut Snapshot, kind| {
        books.shipping.push(label(SHIPPED, kind, "second label"));
    };
    let (order, live, due) = (SHIPPED, 2, 1);
    let twice = Violation::LabelBoughtTwice { order };
    let found = violations_after(|books| second(books, EffectKind::LabelBought));
    assert_eq!(
        found,
        [twice.clone(), Violation::WrongLabels { order, live, due }]
    );

    let found = violations_after(|books| {
        second(books, EffectKind::LabelBought);
        second(books, EffectKind::LabelVoided);
    });
    assert_eq!(found, [twice]);
}

#[test]
fn a_label_may_replace_a_voided_one() {
    let found = violations_after(|books| {
        // All of this happens before the capture.
        for (kind, name) in [
            (EffectKind::LabelVoided, "label"),
            (EffectKind::LabelBought, "new label"),
        ] {
            books.shipping.push(Effect {
                at: usual_time(EffectKind::LabelBought),
                ..label(SHIPPED, kind, name)
            });
        }
        order(books, SHIPPED).label_id = Some(format!("new label of {SHIPPED}"));
    });
    assert_eq!(found, []);
}

#[test]
fn a_missing_label_and_a_label_of_a_cancelled_order_are_reported() {
    let wrong = |order, live, due| Violation::WrongLabels { order, live, due };
    let found = violations_after(|books| books.shipping.retain(|it| it.order() != Some(SHIPPED)));
    let unlabelled = out_of_order(SHIPPED, EffectKind::Captured);
    assert_eq!(found, [unlabelled, wrong(SHIPPED, 0, 1)]);

    let voided = EffectKind::LabelVoided;
    let keep_label = |books: &mut Snapshot| books.shipping.retain(|it| it.kind != voided);
    assert_eq!(violations_after(keep_label), [wrong(CANCELLED, 1, 0)]);
    let raised = violations_after(|books| {
        keep_label(books);
        books.raised = vec![format!("label of {CANCELLED}")];
    });
    assert_eq!(raised, []);
}

#[test]
fn stock_that_was_reduced_twice_or_not_restocked_is_reported() {
    for available in [4, 8] {
        let found = violations_after(|books| books.stock[0].available = available);
        let expected = [Violation::WrongStock {
            sku: "TEA".to_owned(),
            expected: 6,
            found: available,
        }];
        assert_eq!(found, expected);
    }
}

#[test]
fn a_waiting_order_without_a_token_and_a_token_without_an_order_are_reported() {
    let provider = Provider::Payments;
    let token = |order| Token { provider, order };
    let found = violations_after(|books| order(books, SHIPPED).is_waiting = true);
    assert_eq!(found, [Violation::ParkedWithoutToken { order: SHIPPED }]);

    let unknown = Uuid::from_u128(9);
    for order in [SHIPPED, unknown] {
        let found = violations_after(|books| books.tokens.push(token(order)));
        assert_eq!(
            found,
            [Violation::TokenWithoutParkedOrder { order, provider }]
        );
    }

    let found = violations_after(|books| {
        order(books, SHIPPED).is_waiting = true;
        books.tokens.push(token(SHIPPED));
    });
    assert_eq!(found, []);
}

#[test]
fn an_effect_without_an_order_is_reported() {
    for unknown in [None, Some(Uuid::from_u128(9).to_string())] {
        let found = violations_after(|books| {
            let mut effect = paid(SHIPPED, EffectKind::Authorized, 100);
            effect.order_id.clone_from(&unknown);
            books.payments.push(effect);
        });
        let expected = [Violation::EffectWithoutOrder {
            order: unknown,
            kind: EffectKind::Authorized,
            id: format!("pi of {SHIPPED}"),
        }];
        assert_eq!(found, expected);
    }
}

/// Cancels an order that could have been completed, and all its effects.
fn cancel(books: &mut Snapshot, by: CancelledBy) {
    order(books, CANCELLED).cancellation = Some(Cancellation {
        by,
        after: Duration::from_mins(1),
        authorized: true,
    });
    accepted_order(books, CANCELLED).cancel = None;
}

#[test]
fn orders_cancelled_without_a_cause_are_reported() {
    for by in [
        CancelledBy::Shopper,
        CancelledBy::Staff,
        CancelledBy::Payments,
        CancelledBy::Shipping,
        CancelledBy::Deadline,
    ] {
        let order = CANCELLED;
        let found = violations_after(|books| cancel(books, by));
        assert_eq!(found, [Violation::CancelledWithoutCause { order, by }]);
    }
}

#[test]
fn a_thousand_orders_cancelled_without_a_cause_are_reported() {
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

/// A possible cause of a cancellation.
type Cause = Box<dyn Fn(&mut Snapshot)>;

fn change_request(cause: impl Fn(&mut Accepted) + 'static) -> Cause {
    Box::new(move |books| cause(accepted_order(books, CANCELLED)))
}

fn refuse(provider: Provider, operation: &'static str) -> Cause {
    Box::new(move |books| {
        let strike = strike(provider, "refuse", operation, CANCELLED);
        books.strikes.push(strike);
    })
}

/// Sets how long orders may wait: half as long while they are not authorized.
fn set_deadlines(seconds: u64) -> Cause {
    let deadlines = Deadlines {
        unauthorized: Duration::from_secs(seconds / 2),
        authorized: Duration::from_secs(seconds),
    };
    Box::new(move |books| books.deadlines = Some(deadlines))
}

/// The violations after a cancellation with this cause.
fn violations_with(by: CancelledBy, cause: &Cause) -> Vec<Violation> {
    violations_after(|books| {
        cancel(books, by);
        cause(books);
    })
}

#[test]
fn each_cause_explains_only_its_own_kind_of_cancellation() {
    use CancelledBy::{Deadline, Payments, Shipping, Shopper, Staff};

    let request_by = |by| {
        let confirmed = false;
        change_request(move |accepted| accepted.cancel = Some(CancelRequest { by, confirmed }))
    };
    let card_is = |card| change_request(move |accepted| accepted.card = Card::of(card));
    let capture = "POST /v1/payment_intents/pi_1/capture";
    let causes = [
        (Shopper, request_by(Shopper)),
        (Staff, request_by(Staff)),
        (Payments, card_is("pm_card_chargeDeclinedLostCard")),
        (Payments, card_is("pm_card_threeDSecureRequired")),
        (Payments, change_request(|accepted| accepted.lapsed = true)),
        (Payments, refuse(Provider::Payments, AUTHORIZE)),
        (Payments, refuse(Provider::Payments, capture)),
        (
            Shipping,
            change_request(|accepted| accepted.is_undeliverable = true),
        ),
        (Shipping, refuse(Provider::Shipping, "POST /v1/labels")),
        (Deadline, set_deadlines(60)),
    ];
    for (place, (follows, cause)) in causes.iter().enumerate() {
        assert_eq!(violations_with(*follows, cause), [], "cause {place}");
        let others = [Shopper, Staff, Payments, Shipping, Deadline];
        for by in others.into_iter().filter(|by| by != follows) {
            let order = CANCELLED;
            let unexplained = [Violation::CancelledWithoutCause { order, by }];
            assert_eq!(violations_with(by, cause), unexplained, "cause {place}");
        }
    }
}

#[test]
fn a_refused_void_and_a_future_deadline_explain_no_cancellation() {
    let (void_payment, void_label) = (
        "POST /v1/payment_intents/pi_1/cancel",
        "PUT /v1/labels/se-1/void",
    );
    for (by, no_cause) in [
        (
            CancelledBy::Payments,
            refuse(Provider::Payments, void_payment),
        ),
        (
            CancelledBy::Shipping,
            refuse(Provider::Shipping, void_label),
        ),
        (CancelledBy::Deadline, set_deadlines(61)),
    ] {
        let order = CANCELLED;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(violations_with(by, &no_cause), unexplained);
    }
}

#[test]
fn the_deadline_depends_on_whether_the_payment_was_authorized() {
    let deadline = CancelledBy::Deadline;
    let violations_when_moved = |authorized, limit| {
        violations_after(|books| {
            cancel(books, deadline);
            let order = order(books, CANCELLED);
            order.cancellation.as_mut().unwrap().authorized = authorized;
            set_deadlines(limit)(books);
        })
    };
    let early = [Violation::CancelledWithoutCause {
        order: CANCELLED,
        by: deadline,
    }];
    // The order was cancelled a minute after it was placed.
    for (authorized, limit, found) in [
        (true, 60, &[][..]),
        (true, 61, &early),
        (true, 120, &early),
        (false, 120, &[]),
        (false, 122, &early),
    ] {
        assert_eq!(
            violations_when_moved(authorized, limit),
            found,
            "{authorized} {limit}"
        );
    }
}

#[test]
fn an_order_cancelled_by_its_deadline_keeps_no_authorization_or_label() {
    for kept in [EffectKind::Canceled, EffectKind::LabelVoided] {
        let found = violations_after(|books| {
            cancel(books, CancelledBy::Deadline);
            set_deadlines(60)(books);
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
fn only_a_refusal_of_the_order_itself_explains_its_cancellation() {
    let (provider, by) = (Provider::Payments, CancelledBy::Payments);
    for (mode, struck) in [
        ("error", CANCELLED),
        ("not_served", CANCELLED),
        ("late_effect", CANCELLED),
        ("lose_answer", CANCELLED),
        ("rate_limited", CANCELLED),
        ("refuse", SHIPPED),
    ] {
        let found = violations_after(|books| {
            cancel(books, by);
            books
                .strikes
                .push(strike(provider, mode, AUTHORIZE, struck));
        });
        let order = CANCELLED;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(found, unexplained, "{mode}");
    }
    let (provider, by) = (Provider::Shipping, CancelledBy::Shipping);
    for mode in ["label_error", "label_processing", "error", "not_served"] {
        let found = violations_after(|books| {
            cancel(books, by);
            let strike = strike(provider, mode, "POST /v1/labels", CANCELLED);
            books.strikes.push(strike);
        });
        let order = CANCELLED;
        let unexplained = [Violation::CancelledWithoutCause { order, by }];
        assert_eq!(found, unexplained, "{mode}");
    }
}

#[test]
fn a_completed_order_that_cannot_be_paid_or_delivered_is_reported() {
    let changes: [fn(&mut Accepted); 3] = [
        |accepted| accepted.card = Card::Declines,
        |accepted| accepted.card = Card::RequiresAction,
        |accepted| accepted.is_undeliverable = true,
    ];
    for change in changes {
        let found = violations_after(|books| change(accepted_order(books, SHIPPED)));
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

/// The violations when an effect is moved to another time.
fn violations_when_moved(order: Uuid, kind: EffectKind, at: EffectKind) -> Vec<Violation> {
    violations_after(|books| {
        let effects = books.payments.iter_mut().chain(&mut books.shipping);
        for effect in effects {
            if effect.order() == Some(order) && effect.kind == kind {
                let shortly_before = SignedDuration::from_millis(100);
                effect.at = usual_time(at) - shortly_before;
            }
        }
    })
}

#[test]
fn effects_that_are_out_of_order_are_reported() {
    use EffectKind::{Authorized, Canceled, Captured, Delivered, LabelBought, LabelVoided};

    for (order, kind, at, found) in [
        // A capture before its authorization, and before its label.
        (SHIPPED, Captured, Authorized, Captured),
        (SHIPPED, Captured, LabelBought, Captured),
        (SHIPPED, Authorized, Captured, LabelBought),
        // A label before its authorization, and a label voided before it is bought.
        (SHIPPED, LabelBought, Authorized, LabelBought),
        (CANCELLED, LabelVoided, LabelBought, LabelVoided),
        // A void before the authorization, and a delivery before the shipment.
        (CANCELLED, Canceled, Authorized, Canceled),
        (REFUNDED, Delivered, LabelBought, Delivered),
    ] {
        let violations = violations_when_moved(order, kind, at);
        assert_eq!(violations, [out_of_order(order, found)], "{kind:?}");
    }
    let early = Violation::OutOfOrder {
        order: REFUNDED,
        kind: EffectKind::Refunded,
        id: "re 1".to_owned(),
    };
    assert_eq!(
        violations_when_moved(REFUNDED, EffectKind::Refunded, Captured),
        [early]
    );
}

#[test]
fn a_capture_without_an_authorization_is_reported() {
    let found = violations_after(|books| {
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
            voided: 0,
        },
    ];
    assert_eq!(found, expected);
}

/// Adds authorizations that are voided in the end.
fn add_authorizations(books: &mut Snapshot, count: u64) {
    for number in 0..count {
        for kind in [EffectKind::Authorized, EffectKind::Canceled] {
            books.payments.push(Effect {
                id: format!("pi {number}"),
                ..paid(SHIPPED, kind, 2000)
            });
        }
    }
}

#[test]
fn orders_with_more_than_one_authorization_are_counted() {
    let mut books = valid_snapshot();
    assert_eq!(books.reauthorized_orders(), 0);
    add_authorizations(&mut books, 2);
    assert_eq!(books.reauthorized_orders(), 1);
}

fn excess_authorizations(times: u64, allowed: u64) -> [Violation; 1] {
    [Violation::AuthorizedTwice {
        order: SHIPPED,
        times,
        allowed,
    }]
}

#[test]
fn unexplained_authorizations_are_reported_even_if_they_are_voided() {
    for more in [1, 2] {
        let found = violations_after(|books| add_authorizations(books, more));
        assert_eq!(found, excess_authorizations(1 + more, 1));
    }
    // The same holds if they follow each other.
    let found = violations_after(|books| {
        add_authorizations(books, 1);
        for effect in &mut books.payments {
            if effect.id == "pi 0" {
                effect.at = usual_time(EffectKind::Authorized) - SignedDuration::from_millis(1);
            }
        }
    });
    assert_eq!(found, excess_authorizations(2, 1));
}

#[test]
fn each_hidden_authorization_explains_one_more() {
    let search = "GET /v1/payment_intents/search";
    let other = CANCELLED;
    for (mode, operation, struck, hidden) in [
        ("search_lag", search, SHIPPED, 1),
        ("late_effect", AUTHORIZE, SHIPPED, 1),
        // The key may be forgotten during any call.
        ("forget_keys", "POST /v1/refunds", other, 1),
        ("search_lag", search, other, 0),
        ("search_lag", "POST /v1/payment_intents", SHIPPED, 0),
        ("late_effect", AUTHORIZE, other, 0),
        ("late_effect", "POST /v1/refunds", SHIPPED, 0),
        // The key is the same, or the look-up finds the payment.
        ("lose_answer", AUTHORIZE, SHIPPED, 0),
        ("error", AUTHORIZE, SHIPPED, 0),
    ] {
        let with = |more| {
            violations_after(|books| {
                add_authorizations(books, more);
                let strike = strike(Provider::Payments, mode, operation, struck);
                books.strikes.push(strike);
            })
        };
        assert_eq!(with(hidden), [], "{mode} {operation}");
        let too_often = excess_authorizations(2 + hidden, 1 + hidden);
        assert_eq!(with(hidden + 1), too_often, "{mode} {operation}");
    }
}

#[test]
fn a_hidden_authorization_that_is_never_voided_is_reported() {
    let found = violations_after(|books| {
        add_authorizations(books, 1);
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
        voided: 0,
    }];
    assert_eq!(found, expected);
}

#[test]
fn a_hidden_authorization_that_is_captured_too_is_reported() {
    let found = violations_after(|books| {
        add_authorizations(books, 1);
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
fn a_wrong_timeline_is_reported() {
    use Milestone::{Accepted, Cancelled, Delivered, PaymentCaptured, Shipped};

    for (id, found) in [
        (SHIPPED, vec![]),
        (SHIPPED, vec![Accepted, PaymentCaptured]),
        (SHIPPED, vec![Accepted, Shipped, PaymentCaptured]),
        (SHIPPED, vec![Accepted, PaymentCaptured, Shipped, Cancelled]),
        (SHIPPED, vec![Accepted, PaymentCaptured, Shipped, Delivered]),
        (CANCELLED, vec![Accepted]),
        (CANCELLED, vec![Accepted, Cancelled, Cancelled]),
        (CANCELLED, vec![Accepted, PaymentCaptured, Cancelled]),
    ] {
        let expected = order(&mut valid_snapshot(), id).milestones.clone();
        let violations = violations_after(|books| order(books, id).milestones.clone_from(&found));
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
fn a_wrong_delivery_status_is_reported() {
    let wrong = |order, fulfilment, delivered| Violation::WrongDelivery {
        order,
        fulfilment,
        delivered,
    };
    let delivered = EffectKind::Delivered;
    let found = violations_after(|books| books.shipping.push(label(SHIPPED, delivered, "label")));
    assert_eq!(found, [wrong(SHIPPED, FulfilmentStatus::Shipped, true)]);

    // Longer before the capture, the event may be a dead letter.
    let violations_if_delivered_before = |minutes| {
        violations_after(|books| {
            books.shipping.push(label(SHIPPED, delivered, "label"));
            let mut payments = books.payments.iter_mut();
            let is_captured =
                |it: &&mut Effect| it.kind == EffectKind::Captured && it.order() == Some(SHIPPED);
            let captured = payments.find(is_captured).unwrap();
            captured.at = usual_time(delivered) + SignedDuration::from_mins(minutes);
        })
    };
    let missed = [wrong(SHIPPED, FulfilmentStatus::Shipped, true)];
    assert_eq!(violations_if_delivered_before(9), missed);
    assert_eq!(violations_if_delivered_before(11), []);

    let found = violations_after(|books| books.shipping.retain(|it| it.kind != delivered));
    assert_eq!(found, [wrong(REFUNDED, FulfilmentStatus::Delivered, false)]);
}

/// Opens a dispute of [`SHIPPED`] that is recorded and raised.
fn open_dispute(books: &mut Snapshot, is_chargeback: bool, is_seen: bool) {
    let id = "du 1".to_owned();
    order(books, SHIPPED).disputes = vec![id.clone()];
    books.raised.push(id.clone());
    accepted_order(books, SHIPPED).dispute = Some(Dispute {
        id,
        is_chargeback,
        is_seen,
    });
}

/// Accepts a refund of [`SHIPPED`], which is made, or fails and is raised.
fn make_refund(books: &mut Snapshot, is_made: bool) {
    accepted_order(books, SHIPPED).refunds = vec![REFUND];
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
fn a_dispute_that_is_not_recorded_or_not_raised_is_reported() {
    assert_eq!(
        violations_after(|books| open_dispute(books, true, true)),
        []
    );

    let (order, dispute) = (SHIPPED, "du 1".to_owned());
    let found = violations_after(|books| {
        open_dispute(books, true, true);
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
    let found = violations_after(|books| {
        open_dispute(books, true, true);
        self::order(books, SHIPPED).disputes.clear();
    });
    assert_eq!(found, [other(&["du 1"], &[])]);
    // The recorded dispute does not exist.
    let found = violations_after(|books| self::order(books, SHIPPED).disputes = vec![dispute]);
    assert_eq!(found, [other(&[], &["du 1"])]);
}

#[test]
fn a_refund_of_a_chargeback_is_reported_and_a_refund_of_an_inquiry_is_allowed() {
    let violations_with = |is_chargeback, is_seen, is_made| {
        violations_after(|books| {
            open_dispute(books, is_chargeback, is_seen);
            make_refund(books, is_made);
        })
    };
    let order = SHIPPED;
    let disputed = Violation::ChargebackRefunded {
        order,
        dispute: "du 1".to_owned(),
    };
    assert_eq!(
        violations_with(true, true, true),
        std::slice::from_ref(&disputed)
    );
    assert_eq!(
        violations_with(true, false, true),
        std::slice::from_ref(&disputed)
    );
    // Accepted although the order showed the dispute.
    assert_eq!(violations_with(true, true, false), [disputed]);
    // Accepted before the dispute was known: the refund fails and is raised.
    assert_eq!(violations_with(true, false, false), []);

    assert_eq!(violations_with(false, true, true), []);
    let refund = REFUND.id;
    let missing = [Violation::RefundMissing { order, refund }];
    assert_eq!(violations_with(false, true, false), missing);
}

/// An effect of another shop, possibly for a copy of one of our orders.
fn foreign(kind: EffectKind, order: Option<Uuid>) -> Effect {
    Effect {
        id: "foreign".to_owned(),
        order_id: order.map(|order| order.to_string()),
        ..paid(SHIPPED, kind, 500)
    }
}

fn foreign_changed(kind: EffectKind) -> [Violation; 1] {
    let id = "foreign".to_owned();
    [Violation::ForeignTouched { kind, id }]
}

#[test]
fn a_change_of_a_foreign_record_is_reported() {
    use EffectKind::{Authorized, Canceled, Captured, LabelBought, LabelVoided, Refunded};

    for order in [None, Some(Uuid::from_u128(9)), Some(SHIPPED)] {
        for (kind, found) in [
            (Authorized, &[][..]),
            (LabelBought, &[]),
            (Captured, &foreign_changed(Captured)),
            (Canceled, &foreign_changed(Canceled)),
            (LabelVoided, &foreign_changed(LabelVoided)),
        ] {
            let effect = foreign(kind, order);
            let violations = violations_after(|books| books.foreign.effects.push(effect));
            assert_eq!(violations, found);
        }
    }
    let by_owner = violations_after(|books| {
        books.foreign.captured.insert("foreign".to_owned());
        books.foreign.effects.push(foreign(Captured, None));
    });
    assert_eq!(by_owner, []);
    let refund_of = |payment: &str| {
        violations_after(|books| {
            books.foreign.refunded.insert("pi".to_owned());
            books.foreign.effects.push(Effect {
                payment_intent: Some(payment.to_owned()),
                ..foreign(Refunded, None)
            });
        })
    };
    assert_eq!(refund_of("pi"), []);
    assert_eq!(refund_of("another"), foreign_changed(Refunded));
}

#[test]
fn foreign_authorizations_lapse_with_those_of_the_order() {
    let found = |lapsed| {
        violations_after(|books| {
            accepted_order(books, SHIPPED).lapsed = lapsed;
            let canceled = foreign(EffectKind::Canceled, Some(SHIPPED));
            books.foreign.effects.push(canceled);
        })
    };
    assert_eq!(found(true), []);
    assert_eq!(found(false), foreign_changed(EffectKind::Canceled));
}

#[test]
fn a_foreign_record_that_is_raised_or_stops_the_comparison_is_reported() {
    let authorized = || foreign(EffectKind::Authorized, None);
    let found = violations_after(|books| {
        books.foreign.effects.push(authorized());
        books.raised.push("foreign".to_owned());
    });
    let id = "foreign".to_owned();
    assert_eq!(found, [Violation::ForeignRaised { id }]);

    let found_when_compared_to = |compared_to| {
        violations_after(|books| {
            books.foreign.effects.push(authorized());
            let records = "payments:soon".to_owned();
            books.foreign.compared.insert(records, compared_to);
        })
    };
    let at = authorized().at;
    assert_eq!(found_when_compared_to(at), []);
    let compared_to = at - SignedDuration::from_secs(1);
    let behind = Violation::ComparisonBehind {
        records: "payments:soon".to_owned(),
        compared_to,
    };
    assert_eq!(found_when_compared_to(compared_to), [behind]);
}
