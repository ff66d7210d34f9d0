//! The checker against real mistakes. A small order process makes each of them on purpose, with our
//! clients and simulators that lose a response, and the checker reports it. Without the mistake,
//! the same scenario has no violations.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

#[path = "../../dev/simulators/tests/common/mod.rs"]
mod simulator;

use std::time::Duration;

use orders::{
    Address, CancelledBy, Cents, Currency, FulfilmentStatus, OrderId, OrderStatus, PaymentId,
    PaymentMethod, PaymentStatus, Provider, ShipmentId,
};
use providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Payments, ShipmentLookup,
    Shipping, VoidReason, client,
};
use serde_json::json;
use simulator::{Simulator, shop_id};
use tests::chaos::{
    Accepted, CancelRequest, Cancellation, Card, Effect, Milestone, Recorded, Snapshot, Token,
    Violation, check,
};
use uuid::Uuid;

const TOTAL: i64 = 2_000;

/// Whether the process avoids the mistakes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Full,
    None,
}

async fn lose_next_response(simulator: &Simulator) {
    let fault = json!({ "mode": "lose_answer", "operation": "POST /v1" });
    simulator.fail_next(fault).await;
}

async fn ledger(simulator: &Simulator) -> Vec<Effect> {
    serde_json::from_value(simulator.get("/_ledger").await).unwrap()
}

/// A process for one order.
struct Process {
    care: Care,
    payments_service: Simulator,
    shipping_service: Simulator,
    payments: Payments,
    shipping: Shipping,
    order: OrderId,
    parked: Vec<Token>,
}

impl Process {
    async fn open(care: Care) -> Self {
        let payments_service = Simulator::start(simulators::PAYMENTS).await;
        let shipping_service = Simulator::start(simulators::SHIPPING).await;
        let http = client().unwrap();
        Self {
            care,
            payments: Payments::new(http.clone(), &payments_service.url, "sk_test_desk"),
            shipping: Shipping::new(http, &shipping_service.url, "TEST_desk"),
            payments_service,
            shipping_service,
            order: OrderId::generate(),
            parked: Vec::new(),
        }
    }

    /// One attempt to authorize the payment. Without care, its key depends on the attempt.
    async fn authorize(&self, attempt: u32) -> Result<PaymentIntent, CallError> {
        let currency: Currency = "EUR".parse().unwrap();
        let payment_method: PaymentMethod = "pm_card_visa".parse().unwrap();
        let authorization = Authorization {
            shop: &shop_id(),
            order_id: self.order,
            round: 0,
            amount: Cents::try_from(TOTAL).unwrap(),
            currency: &currency,
            payment_method: &payment_method,
        };
        let key = match self.care {
            Care::Full => format!("{}:authorize", self.order),
            Care::None => format!("{}:authorize:{attempt}", self.order),
        };
        self.payments.authorize(authorization, &key).await
    }

    async fn capture(&self, payment: &PaymentIntent) {
        let key = format!("{}:capture:{}", self.order, payment.id);
        self.payments.capture(&payment.id, &key).await.unwrap();
    }

    /// Voids the known payment. With care, it also voids a payment that only the provider knows.
    async fn compensate(&self, known: Option<&PaymentIntent>) {
        let mut held: Vec<PaymentId> = known.iter().map(|payment| payment.id.clone()).collect();
        if self.care == Care::Full {
            let found = self
                .payments
                .list_by_order(&shop_id(), self.order)
                .await
                .unwrap();
            held = found.into_iter().map(|payment| payment.id).collect();
        }
        for payment in held {
            let key = format!("{}:void:{payment}", self.order);
            let reason = VoidReason::OrderCancelled;
            self.payments.void(&payment, reason, &key).await.unwrap();
        }
    }

    /// One attempt to buy the label. With care, it first looks for an existing one.
    async fn buy_label(&self) -> Result<BoughtLabel, CallError> {
        match self.shipping.look_up(self.order).await? {
            ShipmentLookup::Label(label) if self.care == Care::Full => return Ok(label),
            ShipmentLookup::Label(_) => {
                let shipment_id = self.shipment_id().await;
                return self.shipping.buy_label_for(&shipment_id).await;
            }
            ShipmentLookup::Shipment(shipment_id) => {
                return self.shipping.buy_label_for(&shipment_id).await;
            }
            ShipmentLookup::Nothing => {}
        }
        let address = json!({
            "name": "Ana Gómez",
            "line1": "Calle Mayor 1",
            "city": "Madrid",
            "postal_code": "28013",
            "country": "ES",
        });
        let address: Address = serde_json::from_value(address).unwrap();
        let parcel = Parcel {
            shop: &shop_id(),
            order_id: self.order,
            ship_to: &address,
            grams: 500,
        };
        self.shipping.buy_label(parcel).await
    }

    /// The provider's id of the order's shipment.
    async fn shipment_id(&self) -> ShipmentId {
        let (url, order) = (&self.shipping_service.url, self.order);
        let address = format!("{url}/v1/shipments/external_shipment_id/{order}");
        let request = client()
            .unwrap()
            .get(address)
            .header("API-Key", "TEST_desk");
        let shipment: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        shipment["shipment_id"].as_str().unwrap().parse().unwrap()
    }

    fn park(&mut self) {
        self.parked.push(Token {
            provider: Provider::Shipping,
            order: self.order.0,
        });
    }

    /// Resumes a parked execution. With care, it removes the token and reads the order first.
    async fn resume(&mut self, cancelled: bool) {
        if self.care == Care::Full {
            self.parked.clear();
            if cancelled {
                return;
            }
        }
        self.buy_label().await.unwrap();
    }

    /// The violations when the process records this outcome.
    async fn violations(
        &self,
        (status, payment, fulfilment): (OrderStatus, PaymentStatus, FulfilmentStatus),
        paid: Option<&PaymentIntent>,
        label: Option<&BoughtLabel>,
    ) -> Vec<Violation> {
        let order = self.order.0;
        let cancelled = status == OrderStatus::Cancelled;
        let by = CancelledBy::Shopper;
        check(&Snapshot {
            accepted: vec![Accepted {
                order,
                key: "a key".to_owned(),
                card: Card::Pays,
                is_undeliverable: false,
                cancel: cancelled.then_some(CancelRequest {
                    by,
                    confirmed: true,
                }),
                lapsed: false,
                refunds: Vec::new(),
                dispute: None,
            }],
            orders: vec![Recorded {
                id: order,
                status,
                payment,
                fulfilment,
                is_waiting: false,
                total_cents: TOTAL,
                currency: "EUR".to_owned(),
                payment_id: paid.map(|payment| payment.id.to_string()),
                label_id: label.map(|label| label.label_id.to_string()),
                refunds: Vec::new(),
                disputes: Vec::new(),
                milestones: if cancelled {
                    vec![Milestone::Accepted, Milestone::Cancelled]
                } else {
                    vec![
                        Milestone::Accepted,
                        Milestone::PaymentCaptured,
                        Milestone::Shipped,
                    ]
                },
                cancellation: cancelled.then_some(Cancellation {
                    by,
                    after: Duration::ZERO,
                    authorized: true,
                }),
                lines: Vec::new(),
                address_line: "Calle Mayor 1".to_owned(),
            }],
            payments: ledger(&self.payments_service).await,
            shipping: ledger(&self.shipping_service).await,
            tokens: self.parked.clone(),
            ..Snapshot::default()
        })
    }
}

const SHIPPED: (OrderStatus, PaymentStatus, FulfilmentStatus) = (
    OrderStatus::Completed,
    PaymentStatus::Captured,
    FulfilmentStatus::Shipped,
);

const CANCELLED: (OrderStatus, PaymentStatus, FulfilmentStatus) = (
    OrderStatus::Cancelled,
    PaymentStatus::Voided,
    FulfilmentStatus::Cancelled,
);

/// A response was lost and nothing was hidden, so the same key would have returned the same
/// payment.
fn excess_authorizations(order: Uuid) -> Violation {
    Violation::AuthorizedTwice {
        order,
        times: 2,
        allowed: 1,
    }
}

/// The response to the first attempt is lost, and the second attempt completes the order.
async fn pay_after_lost_response(care: Care) -> (Process, Vec<Violation>) {
    let process = Process::open(care).await;
    lose_next_response(&process.payments_service).await;
    process.authorize(1).await.unwrap_err();
    let payment = process.authorize(2).await.unwrap();
    let label = process.buy_label().await.unwrap();
    process.capture(&payment).await;
    let found = process
        .violations(SHIPPED, Some(&payment), Some(&label))
        .await;
    (process, found)
}

#[tokio::test]
async fn a_key_per_attempt_leaves_an_authorization() {
    let (process, found) = pay_after_lost_response(Care::None).await;
    let order = process.order.0;
    let stranded = Violation::AuthorizationNotSettled {
        order,
        authorized: 2 * TOTAL,
        captured: TOTAL,
        voided: 0,
    };
    assert_eq!(found, [excess_authorizations(order), stranded]);
    assert_eq!(pay_after_lost_response(Care::Full).await.1, []);
}

/// Two executions of one order, as after a restart that forgot the first.
async fn run_twice(care: Care) -> (Process, Vec<Violation>) {
    let process = Process::open(care).await;
    let first = process.authorize(1).await.unwrap();
    let label = process.buy_label().await.unwrap();
    process.capture(&first).await;
    let again = process.authorize(2).await.unwrap();
    process.capture(&again).await;
    let found = process
        .violations(SHIPPED, Some(&first), Some(&label))
        .await;
    (process, found)
}

#[tokio::test]
async fn a_key_per_attempt_charges_twice() {
    let (process, found) = run_twice(Care::None).await;
    let order = process.order.0;
    let captured = 2 * TOTAL;
    let expected = [
        excess_authorizations(order),
        Violation::ChargedTwice { order, times: 2 },
        Violation::WrongCharge {
            order,
            captured,
            due: TOTAL,
        },
    ];
    assert_eq!(found, expected);
    assert_eq!(run_twice(Care::Full).await.1, []);
}

/// The response to the only attempt is lost, and the shopper cancels the order.
async fn cancel_after_lost_response(care: Care) -> (Process, Vec<Violation>) {
    let process = Process::open(care).await;
    lose_next_response(&process.payments_service).await;
    let known = process.authorize(1).await.ok();
    process.compensate(known.as_ref()).await;
    let found = process.violations(CANCELLED, None, None).await;
    (process, found)
}

#[tokio::test]
async fn compensation_without_a_look_up_leaves_an_authorization() {
    let (process, found) = cancel_after_lost_response(Care::None).await;
    let stranded = Violation::AuthorizationNotSettled {
        order: process.order.0,
        authorized: TOTAL,
        captured: 0,
        voided: 0,
    };
    assert_eq!(found, [stranded]);
    assert_eq!(cancel_after_lost_response(Care::Full).await.1, []);
}

/// The response to the purchase of a label is lost, and the label is bought again.
async fn ship_after_lost_response(care: Care) -> (Process, Vec<Violation>) {
    let process = Process::open(care).await;
    let payment = process.authorize(1).await.unwrap();
    lose_next_response(&process.shipping_service).await;
    // There was no earlier attempt, so care makes no difference.
    process.buy_label().await.unwrap_err();
    let label = process.buy_label().await.unwrap();
    process.capture(&payment).await;
    let found = process
        .violations(SHIPPED, Some(&payment), Some(&label))
        .await;
    (process, found)
}

#[tokio::test]
async fn a_label_without_a_look_up_is_bought_twice() {
    let (process, found) = ship_after_lost_response(Care::None).await;
    let order = process.order.0;
    let expected = [
        Violation::LabelBoughtTwice { order },
        Violation::WrongLabels {
            order,
            live: 2,
            due: 1,
        },
    ];
    assert_eq!(found, expected);
    assert_eq!(ship_after_lost_response(Care::Full).await.1, []);
}

/// An order is parked, cancelled and resumed.
async fn resume_when_cancelled(care: Care) -> (Process, Vec<Violation>) {
    let mut process = Process::open(care).await;
    let payment = process.authorize(1).await.unwrap();
    process.park();
    process.compensate(Some(&payment)).await;
    process.resume(true).await;
    let found = process.violations(CANCELLED, None, None).await;
    (process, found)
}

#[tokio::test]
async fn resuming_without_reading_the_order_ships_a_cancelled_order() {
    let (process, found) = resume_when_cancelled(Care::None).await;
    let order = process.order.0;
    let expected = [
        Violation::WrongLabels {
            order,
            live: 1,
            due: 0,
        },
        Violation::TokenWithoutParkedOrder {
            order,
            provider: Provider::Shipping,
        },
    ];
    assert_eq!(found, expected);
    assert_eq!(resume_when_cancelled(Care::Full).await.1, []);
}
