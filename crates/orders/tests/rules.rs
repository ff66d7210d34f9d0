//! Invariants of an order after any sequence of events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use orders::{
    AuthorizedPayment, CancelledBy, Cents, Dispute, DisputeStatus, DisputedFunds, FulfilmentStatus,
    Label, NoPaymentId, NotRefundable, Order, OrderEvent, OrderId, OrderStatus, Payment, PaymentId,
    PaymentStatus, Provider, RefundId, RefundLimits, RefundPlan, RefundStatus, Shopper, ShopperId,
    Wait,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const TOTAL: i64 = 10_000;

fn order() -> Order {
    let id = OrderId::generate();
    let address = json!({
        "name": "Ana", "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001",
        "country": "ES",
    });
    Order {
        id,
        number: id.number(),
        shopper: Shopper {
            id: ShopperId(Uuid::now_v7()),
            email: "ana@cauce.example".to_owned(),
        },
        status: OrderStatus::Pending,
        payment: Payment::NEW,
        fulfilment: FulfilmentStatus::Unfulfilled,
        wait: None,
        currency: "EUR".parse().unwrap(),
        total: Cents::try_from(TOTAL).unwrap(),
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

/// An order whose money was captured.
fn captured() -> Order {
    Order {
        payment: Payment::Captured(AuthorizedPayment {
            payment_id: "pi_1".parse().unwrap(),
            capture_before: None,
        }),
        ..order()
    }
}

fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).unwrap()
}

fn refund_id(number: u8) -> RefundId {
    RefundId(Uuid::from_u128(number.into()))
}

/// Any event. Refunds have one of three ids.
fn any_event() -> impl Strategy<Value = OrderEvent> {
    let payment_id: PaymentId = "pi_1".parse().unwrap();
    let label = Label {
        label_id: "se-1".parse().unwrap(),
        tracking_number: Some("1Z".to_owned()),
    };
    let wait = Wait {
        provider: Provider::Payments,
        reason: "the payment provider does not answer".to_owned(),
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
        3 => Just(OrderEvent::PaymentAuthorized {
            payment_id: payment_id.clone(),
            capture_before: None,
        }),
        1 => Just(OrderEvent::PaymentDeclined { code: String::new(), message: String::new() }),
        1 => Just(OrderEvent::PaymentRequiresAction { payment_id }),
        1 => Just(OrderEvent::PaymentUnknown {}),
        1 => Just(OrderEvent::PaymentNotFound {}),
        3 => Just(OrderEvent::LabelRequested {}),
        3 => Just(OrderEvent::LabelBought(label)),
        1 => Just(OrderEvent::LabelRefused { code: String::new(), message: String::new() }),
        3 => Just(OrderEvent::PaymentCaptured {}),
        3 => Just(OrderEvent::Shipped {}),
        1 => Just(OrderEvent::Delivered {}),
        1 => Just(OrderEvent::LabelVoided {}),
        1 => Just(OrderEvent::PaymentVoided {}),
        1 => Just(OrderEvent::WaitBegan(wait)),
        1 => by.prop_map(OrderEvent::cancelled_by),
        2 => (0_u8..3, 1..=TOTAL).prop_map(|(number, amount)| OrderEvent::RefundRequested {
            refund_id: refund_id(number),
            cents: cents(amount),
            reason: String::new(),
        }),
        1 => (0_u8..3).prop_map(|number| OrderEvent::RefundUnknown {
            refund_id: refund_id(number),
        }),
        1 => (0_u8..3).prop_map(|number| OrderEvent::RefundNotFound {
            refund_id: refund_id(number),
        }),
        1 => (0_u8..5, 1..=TOTAL).prop_map(|(number, amount)| OrderEvent::RefundedElsewhere {
            refund_id: refund_id(number),
            cents: cents(amount),
            provider_id: "re_2".to_owned(),
        }),
        1 => (0_u8..3).prop_map(|number| OrderEvent::Refunded {
            refund_id: refund_id(number),
            provider_id: "re_1".to_owned(),
        }),
        1 => (0_u8..3).prop_map(|number| OrderEvent::RefundFailed {
            refund_id: refund_id(number),
            code: String::new(),
        }),
    ]
}

/// Applies the events that the order allows. Returns all its states, the first one included.
fn states_after(events: Vec<OrderEvent>) -> Vec<Order> {
    let mut states = vec![order()];
    for event in events {
        let present = states.last().unwrap().clone();
        states.extend(present.after(&event, Timestamp::UNIX_EPOCH));
    }
    states
}

#[test]
fn a_refund_is_requested_once_even_if_more_could_be_refunded() {
    let request = OrderEvent::RefundRequested {
        refund_id: refund_id(1),
        cents: cents(TOTAL / 4),
        reason: String::new(),
    };
    let requested = captured().after(&request, Timestamp::UNIX_EPOCH).unwrap();
    assert!(requested.after(&request, Timestamp::UNIX_EPOCH).is_err());
}

/// The results of refunding 1,050 cents and of refunding everything, for a captured order in this
/// currency.
fn refund_part_and_all(currency: &str) -> [Result<Cents, NotRefundable>; 2] {
    let mut order = captured();
    order.currency = currency.parse().unwrap();
    let refund_of = |requested| order.refund_of(requested, &order.currency, None);
    [refund_of(Some(cents(1_050))), refund_of(None)]
}

#[test]
fn a_partial_refund_follows_the_rules_of_the_currency_and_a_full_refund_need_not() {
    assert_eq!(
        refund_part_and_all("EUR"),
        [Ok(cents(1_050)), Ok(cents(TOTAL))]
    );
    for currency in ["ISK", "HUF", "UGX", "RSD"] {
        let [part, all] = refund_part_and_all(currency);
        let is_refused = match part {
            Err(NotRefundable::Amount(_)) => currency != "RSD",
            Err(NotRefundable::UnsupportedCurrency(_)) => currency == "RSD",
            _ => false,
        };
        assert!(is_refused, "{currency}: {part:?}");
        assert_eq!(all, Ok(cents(TOTAL)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_payment_is_the_same_after_it_was_taken_apart(
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        for Order { payment, .. } in states_after(events) {
            let again = Payment::from_parts(
                payment.status(),
                payment.round().unwrap_or(0),
                payment.id().cloned(),
                payment.capture_before(),
            );
            prop_assert_eq!(again, Ok(payment));
        }
    }

    #[test]
    fn only_orders_with_a_label_are_captured(events in prop::collection::vec(any_event(), 0..60)) {
        for order in states_after(events) {
            if order.status == OrderStatus::Completed {
                prop_assert!(order.is_paid() && order.label.is_some());
            }
            if order.status == OrderStatus::Cancelled {
                prop_assert!(!order.is_paid());
                prop_assert_eq!(order.fulfilment, FulfilmentStatus::Cancelled);
            }
            if order.is_paid() {
                prop_assert!(order.payment.id().is_some() && order.label.is_some());
            }
        }
    }

    #[test]
    fn a_final_status_never_changes(events in prop::collection::vec(any_event(), 0..60)) {
        let is_final = |order: &Order| !order.is_open();
        for pair in states_after(events).windows(2) {
            prop_assert!(!is_final(&pair[0]) || pair[0].status == pair[1].status);
        }
    }

    #[test]
    fn no_more_is_refunded_than_was_captured(events in prop::collection::vec(any_event(), 0..80)) {
        for order in states_after(events) {
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
    fn an_order_allows_exactly_the_refunds_that_the_rules_allow(
        events in prop::collection::vec(any_event(), 0..60),
        requested in prop::option::of(0..=TOTAL + 1),
        limit in prop::option::of(0..=TOTAL + 1),
    ) {
        let requested = requested.map(cents);
        let limit = limit.map(cents);
        for order in states_after(events) {
            let allows = |cents| order.allows(&OrderEvent::RefundRequested {
                refund_id: RefundId::generate(),
                cents,
                reason: "broken".to_owned(),
            });
            match order.refund_of(requested, &order.currency, None) {
                Ok(cents) => prop_assert!(allows(cents)),
                Err(_) => prop_assert!(!allows(requested.unwrap_or(order.refundable()))),
            }
            let refunded = TOTAL - order.refundable().get();
            match (order.refund_of(requested, &order.currency, limit), limit) {
                (Ok(more), Some(limit)) => prop_assert!(refunded + more.get() <= limit.get()),
                (Err(NotRefundable::OverLimit(_)), limit) => prop_assert!(limit.is_some()),
                (limited, _) => {
                    prop_assert_eq!(limited, order.refund_of(requested, &order.currency, None));
                }
            }
            prop_assert!(order.refund_of(requested, &"USD".parse().unwrap(), None).is_err());
        }
    }

    #[test]
    fn a_refund_in_parts_cannot_evade_approval(
        parts in prop::collection::vec(1..=TOTAL, 1..20),
        above in prop::option::of(0..=TOTAL),
    ) {
        let limits = RefundLimits { per_order: None, approval_above: above.map(cents) };
        let mut order = captured();
        for part in parts {
            let part = cents(part);
            match order.plan_refund(Some(part), &order.currency, limits) {
                Ok(RefundPlan::CarryOut(carried_out)) => {
                    prop_assert_eq!(carried_out, part);
                    let refund = OrderEvent::RefundRequested {
                        refund_id: RefundId::generate(),
                        cents: part,
                        reason: "broken".to_owned(),
                    };
                    order = order.after(&refund, Timestamp::UNIX_EPOCH).unwrap();
                }
                Ok(RefundPlan::AwaitApproval(waiting)) => {
                    prop_assert_eq!(waiting, part);
                    prop_assert!(above.is_some());
                }
                Err(refused) => {
                    prop_assert_eq!(refused, NotRefundable::TooMuch(order.refundable()));
                }
            }
            let refunded = TOTAL - order.refundable().get();
            prop_assert!(refunded <= above.unwrap_or(TOTAL));
        }
    }
}

#[test]
fn a_paid_order_is_shipped_even_if_it_is_refunded_first() {
    let refund_id = RefundId::generate();
    let events = [
        OrderEvent::PaymentAuthorized {
            payment_id: "pi_1".parse().unwrap(),
            capture_before: None,
        },
        OrderEvent::LabelRequested {},
        OrderEvent::LabelBought(Label {
            label_id: "se-1".parse().unwrap(),
            tracking_number: Some("1Z".to_owned()),
        }),
        OrderEvent::PaymentCaptured {},
        OrderEvent::RefundRequested {
            refund_id,
            cents: cents(1),
            reason: "broken".to_owned(),
        },
        OrderEvent::Refunded {
            refund_id,
            provider_id: "re_1".to_owned(),
        },
    ];
    let order = states_after(events.to_vec()).pop().unwrap();
    assert_eq!(order.payment.status(), PaymentStatus::PartiallyRefunded);
    assert!(order.allows(&OrderEvent::Shipped {}));
    let by = CancelledBy::Payments;
    assert!(!order.allows(&OrderEvent::cancelled_by(by)));
}

#[test]
fn a_lookup_that_finds_no_payment_begins_another_round() {
    let unknown = order()
        .after(&OrderEvent::PaymentUnknown {}, Timestamp::UNIX_EPOCH)
        .unwrap();
    let order = unknown
        .after(&OrderEvent::PaymentNotFound {}, Timestamp::UNIX_EPOCH)
        .unwrap();
    assert_eq!(order.payment, Payment::NotPaid { round: 1 });
}

#[test]
fn an_order_belongs_to_its_user_and_a_guest_s_order_to_the_user_with_the_same_address() {
    let user = ShopperId(Uuid::now_v7());
    let other = ShopperId(Uuid::now_v7());
    let account = Shopper {
        id: user,
        email: "ana@cauce.example".to_owned(),
    };
    assert!(account.is_user(user, "another@cauce.example"));
    assert!(!account.is_user(other, "ana@cauce.example"));
    let guest = Shopper::guest(&"Ana@Cauce.example".parse().unwrap());
    assert!(guest.is_user(user, "ana@cauce.EXAMPLE"));
    for email in ["eva@cauce.example", "", "ana"] {
        assert!(!guest.is_user(user, email), "{email}");
    }
}

/// A dispute of a part of a payment.
fn dispute(status: DisputeStatus, amount: i64) -> Dispute {
    Dispute {
        id: "du_1".to_owned(),
        cents: cents(amount),
        reason: "fraudulent".to_owned(),
        status,
        evidence_due_by: None,
        funds: DisputedFunds::Withdrawn,
    }
}

/// A captured order after these disputes, in this order.
fn disputed(disputes: &[Dispute]) -> Order {
    disputes.iter().fold(captured(), |order, dispute| {
        let event = OrderEvent::Disputed(dispute.clone());
        order.after(&event, Timestamp::UNIX_EPOCH).unwrap()
    })
}

#[test]
fn a_disputed_amount_is_not_refundable_while_the_dispute_is_open_or_lost() {
    use DisputeStatus as Status;
    for (status, left) in [
        (Status::NeedsResponse, 6_000),
        (Status::UnderReview, 6_000),
        (Status::Lost, 6_000),
        (Status::Other, 6_000),
        (Status::Won, TOTAL),
        // An inquiry can be answered with a refund.
        (Status::WarningNeedsResponse, TOTAL),
        (Status::WarningUnderReview, TOTAL),
        (Status::WarningClosed, TOTAL),
        (Status::Prevented, TOTAL),
    ] {
        let order = disputed(&[dispute(status, 4_000)]);
        assert_eq!(order.refundable(), cents(left), "{status}");
    }
    let order = disputed(&[dispute(Status::NeedsResponse, TOTAL)]);
    let refused = NotRefundable::Disputed(cents(TOTAL));
    for requested in [None, Some(cents(1))] {
        let refund = order.refund_of(requested, &order.currency, None);
        assert_eq!(refund, Err(refused.clone()));
    }
}

#[test]
fn a_payment_with_money_has_an_id() {
    for status in [
        PaymentStatus::RequiresAction,
        PaymentStatus::Authorized,
        PaymentStatus::Captured,
        PaymentStatus::PartiallyRefunded,
        PaymentStatus::Refunded,
    ] {
        let payment = Payment::from_parts(status, 0, None, None);
        assert_eq!(payment, Err(NoPaymentId(status)));
    }
}

#[test]
fn a_dispute_is_recorded_once_and_a_closed_one_is_not_reopened() {
    use DisputeStatus as Status;
    let (open, won, lost) = (
        dispute(Status::NeedsResponse, TOTAL),
        dispute(Status::Won, TOTAL),
        dispute(Status::Lost, TOTAL),
    );
    let order = disputed(&[open.clone(), lost.clone()]);
    assert_eq!(order.disputes, std::slice::from_ref(&lost));
    let allows = |dispute: &Dispute| order.allows(&OrderEvent::Disputed(dispute.clone()));
    assert!(!allows(&open) && !allows(&lost));
    assert!(allows(&won));
    let unpaid = self::order();
    assert!(!unpaid.allows(&OrderEvent::Disputed(open)));
}

#[test]
fn a_closed_inquiry_can_still_become_a_chargeback() {
    use DisputeStatus as Status;
    let inquiry = [
        Status::WarningNeedsResponse,
        Status::WarningUnderReview,
        Status::WarningClosed,
        Status::Prevented,
    ];
    let chargeback = [
        Status::NeedsResponse,
        Status::UnderReview,
        Status::Won,
        Status::Lost,
        Status::Other,
    ];
    for closed in [Status::WarningClosed, Status::Prevented] {
        let order = disputed(&[dispute(closed, TOTAL)]);
        for status in chargeback {
            let escalated = order.allows(&OrderEvent::Disputed(dispute(status, TOTAL)));
            assert!(escalated, "{closed} to {status}");
        }
        for status in [Status::WarningNeedsResponse, Status::WarningUnderReview] {
            let reopened = order.allows(&OrderEvent::Disputed(dispute(status, TOTAL)));
            assert!(!reopened, "{closed} to {status}");
        }
    }
    for decided in [Status::Won, Status::Lost] {
        let order = disputed(&[dispute(decided, TOTAL)]);
        for status in inquiry {
            let reopened = order.allows(&OrderEvent::Disputed(dispute(status, TOTAL)));
            assert!(!reopened, "{decided} to {status}");
        }
    }
    let order = disputed(&[
        dispute(Status::WarningClosed, TOTAL),
        dispute(Status::NeedsResponse, TOTAL),
    ]);
    assert_eq!(order.disputed(), cents(TOTAL));
}

#[test]
fn an_open_chargeback_does_not_become_an_inquiry_again() {
    use DisputeStatus as Status;
    for open in [Status::NeedsResponse, Status::UnderReview] {
        let order = disputed(&[dispute(open, TOTAL)]);
        let allows = |status| order.allows(&OrderEvent::Disputed(dispute(status, TOTAL)));
        for late in [
            Status::WarningNeedsResponse,
            Status::WarningUnderReview,
            Status::WarningClosed,
        ] {
            assert!(!allows(late), "{open} to {late}");
        }
        assert!(allows(Status::Won) && allows(Status::Prevented));
    }
}

#[test]
fn shoppers_do_not_see_disputes() {
    let event = orders::TimelineEntry {
        at: Timestamp::UNIX_EPOCH,
        kind: OrderEvent::Disputed(dispute(DisputeStatus::NeedsResponse, TOTAL)),
    };
    assert_eq!(event.for_shopper(), None);
}
