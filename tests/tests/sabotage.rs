//! The checker against real mistakes: a miniature order desk makes each of them on purpose, with our
//! own clients and real simulators that lose an answer, and is found out. Done with care, the same
//! story is sound.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

#[path = "../../dev/simulators/tests/common/mod.rs"]
mod simulator;

use std::time::Duration;

use orders::{
    Address, CancelledBy, Cents, Currency, FulfilmentStatus, OrderId, OrderStatus, PaymentId,
    PaymentMethod, PaymentStatus, Provider,
};
use providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Payments, Shipped, Shipping,
    VoidReason, client,
};
use serde_json::json;
use simulator::{Simulator, shop_id};
use tests::chaos::{
    Accepted, CancelRequest, Cancellation, Card, Effect, Milestone, Recorded, Snapshot, Token,
    Violation, check,
};
use uuid::Uuid;

const TOTAL: i64 = 2_000;

/// Whether the desk does as it should.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Full,
    None,
}

async fn loses_the_next_answer(simulator: &Simulator) {
    let fault = json!({ "mode": "lose_answer", "operation": "POST /v1" });
    simulator.fail_next(fault).await;
}

async fn ledger(simulator: &Simulator) -> Vec<Effect> {
    serde_json::from_value(simulator.get("/_ledger").await).unwrap()
}

/// An order desk with one order.
struct Desk {
    care: Care,
    payments_service: Simulator,
    shipping_service: Simulator,
    payments: Payments,
    shipping: Shipping,
    order: OrderId,
    parked: Vec<Token>,
}

impl Desk {
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

    /// One attempt to hold the money. Without care, its key is made of the attempt.
    async fn authorizes(&self, attempt: u32) -> Result<PaymentIntent, CallError> {
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

    async fn captures(&self, payment: &PaymentIntent) {
        let key = format!("{}:capture:{}", self.order, payment.id);
        self.payments.capture(&payment.id, &key).await.unwrap();
    }

    /// Lets the money go that the order knows of; with care, that which only the provider knows of,
    /// too.
    async fn compensates(&self, known: Option<&PaymentIntent>) {
        let mut held: Vec<PaymentId> = known.iter().map(|payment| payment.id.clone()).collect();
        if self.care == Care::Full {
            let found = self
                .payments
                .of_order(&shop_id(), self.order)
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

    /// One attempt to buy the label; with care, it looks first whether there is one.
    async fn buys_a_label(&self) -> Result<BoughtLabel, CallError> {
        match self.shipping.look_up(self.order).await? {
            Shipped::Label(label) if self.care == Care::Full => return Ok(label),
            Shipped::Label(_) => {
                let shipment_id = self.shipment_id().await;
                return self.shipping.buy_label_for(&shipment_id).await;
            }
            Shipped::Shipment(shipment_id) => {
                return self.shipping.buy_label_for(&shipment_id).await;
            }
            Shipped::Nothing => {}
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

    /// The provider's name for the order's shipment.
    async fn shipment_id(&self) -> String {
        let (url, order) = (&self.shipping_service.url, self.order);
        let address = format!("{url}/v1/shipments/external_shipment_id/{order}");
        let request = client()
            .unwrap()
            .get(address)
            .header("API-Key", "TEST_desk");
        let shipment: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        shipment["shipment_id"].as_str().unwrap().to_owned()
    }

    fn parks(&mut self) {
        self.parked.push(Token {
            provider: Provider::Shipping,
            order: self.order.0,
        });
    }

    /// Lets a parked execution go on; with care, it takes the token away and looks at the order first.
    async fn releases(&mut self, called_off: bool) {
        if self.care == Care::Full {
            self.parked.clear();
            if called_off {
                return;
            }
        }
        self.buys_a_label().await.unwrap();
    }

    /// What the checker finds, once the desk says that this is how the order ended.
    async fn books(
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
                held: false,
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

const UNDONE: (OrderStatus, PaymentStatus, FulfilmentStatus) = (
    OrderStatus::Cancelled,
    PaymentStatus::Voided,
    FulfilmentStatus::Cancelled,
);

/// The answer was lost, and nothing was hidden: the same key would have made the same hold.
fn excess_authorizations(order: Uuid) -> Violation {
    Violation::AuthorizedTwice {
        order,
        times: 2,
        allowed: 1,
    }
}

/// The answer to the first attempt is lost, and the second attempt goes on to the end.
async fn pays_after_a_lost_answer(care: Care) -> (Desk, Vec<Violation>) {
    let desk = Desk::open(care).await;
    loses_the_next_answer(&desk.payments_service).await;
    desk.authorizes(1).await.unwrap_err();
    let payment = desk.authorizes(2).await.unwrap();
    let label = desk.buys_a_label().await.unwrap();
    desk.captures(&payment).await;
    let found = desk.books(SHIPPED, Some(&payment), Some(&label)).await;
    (desk, found)
}

#[tokio::test]
async fn a_key_per_attempt_strands_money() {
    let (desk, found) = pays_after_a_lost_answer(Care::None).await;
    let order = desk.order.0;
    let stranded = Violation::HoldNotSettled {
        order,
        authorized: 2 * TOTAL,
        captured: TOTAL,
        released: 0,
    };
    assert_eq!(found, [excess_authorizations(order), stranded]);
    assert_eq!(pays_after_a_lost_answer(Care::Full).await.1, []);
}

/// Two executions of one order, as after a restart that forgot the first.
async fn runs_twice(care: Care) -> (Desk, Vec<Violation>) {
    let desk = Desk::open(care).await;
    let first = desk.authorizes(1).await.unwrap();
    let label = desk.buys_a_label().await.unwrap();
    desk.captures(&first).await;
    let again = desk.authorizes(2).await.unwrap();
    desk.captures(&again).await;
    let found = desk.books(SHIPPED, Some(&first), Some(&label)).await;
    (desk, found)
}

#[tokio::test]
async fn a_key_per_attempt_charges_twice() {
    let (desk, found) = runs_twice(Care::None).await;
    let order = desk.order.0;
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
    assert_eq!(runs_twice(Care::Full).await.1, []);
}

/// The answer to the only attempt is lost, and the shopper calls the order off.
async fn is_called_off_after_a_lost_answer(care: Care) -> (Desk, Vec<Violation>) {
    let desk = Desk::open(care).await;
    loses_the_next_answer(&desk.payments_service).await;
    let known = desk.authorizes(1).await.ok();
    desk.compensates(known.as_ref()).await;
    let found = desk.books(UNDONE, None, None).await;
    (desk, found)
}

#[tokio::test]
async fn compensation_without_a_look_strands_money() {
    let (desk, found) = is_called_off_after_a_lost_answer(Care::None).await;
    let stranded = Violation::HoldNotSettled {
        order: desk.order.0,
        authorized: TOTAL,
        captured: 0,
        released: 0,
    };
    assert_eq!(found, [stranded]);
    assert_eq!(is_called_off_after_a_lost_answer(Care::Full).await.1, []);
}

/// The answer to the purchase of a label is lost, and it is bought again.
async fn ships_after_a_lost_answer(care: Care) -> (Desk, Vec<Violation>) {
    let desk = Desk::open(care).await;
    let payment = desk.authorizes(1).await.unwrap();
    loses_the_next_answer(&desk.shipping_service).await;
    // Careful or not, nobody has asked before.
    desk.buys_a_label().await.unwrap_err();
    let label = desk.buys_a_label().await.unwrap();
    desk.captures(&payment).await;
    let found = desk.books(SHIPPED, Some(&payment), Some(&label)).await;
    (desk, found)
}

#[tokio::test]
async fn a_label_without_a_look_is_bought_twice() {
    let (desk, found) = ships_after_a_lost_answer(Care::None).await;
    let order = desk.order.0;
    let expected = [
        Violation::LabelBoughtTwice { order },
        Violation::WrongLabels {
            order,
            live: 2,
            due: 1,
        },
    ];
    assert_eq!(found, expected);
    assert_eq!(ships_after_a_lost_answer(Care::Full).await.1, []);
}

/// An order is parked, called off, and released.
async fn is_released_when_called_off(care: Care) -> (Desk, Vec<Violation>) {
    let mut desk = Desk::open(care).await;
    let payment = desk.authorizes(1).await.unwrap();
    desk.parks();
    desk.compensates(Some(&payment)).await;
    desk.releases(true).await;
    let found = desk.books(UNDONE, None, None).await;
    (desk, found)
}

#[tokio::test]
async fn release_without_a_look_at_the_order_ships_what_was_called_off() {
    let (desk, found) = is_released_when_called_off(Care::None).await;
    let order = desk.order.0;
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
    assert_eq!(is_released_when_called_off(Care::Full).await.1, []);
}
