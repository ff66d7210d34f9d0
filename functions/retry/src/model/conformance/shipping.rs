//! Compares the model's shipping provider with its simulator.

use std::time::Duration;

use ::providers::{CallError, Parcel, ShipmentLookup, client};
use orders::OrderId;
use proptest::prelude::*;
use serde_json::{Value, json};
use simulators::SHIPPING;
use tokio::time::{Instant, sleep};

use super::{PATIENCE, check, order_fault};
use crate::model::providers::{LabelFault, Shipping};

/// A call to the shipping provider.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    /// Buys a label with a new shipment.
    Buy,
    /// Buys a label for the shipment that exists.
    BuyForShipment,
    /// Voids the label that a look-up finds.
    Void,
}

fn calls() -> impl Strategy<Value = Vec<(Call, Option<LabelFault>)>> {
    let call = prop::sample::select(vec![Call::Buy, Call::BuyForShipment, Call::Void]);
    let faults = prop::sample::select(vec![
        LabelFault::AnswerLost,
        LabelFault::RequestLost,
        LabelFault::Error,
        LabelFault::LateEffect,
        LabelFault::Processing,
    ]);
    prop::collection::vec((call, prop::option::of(faults)), 1..8)
}

/// The result of a look-up or of a call.
#[derive(Debug, PartialEq)]
enum CallOutcome {
    Label,
    Shipment,
    Nothing,
    Voided,
    InFlight,
    Unknown,
}

impl From<CallError> for CallOutcome {
    fn from(error: CallError) -> Self {
        match error {
            CallError::InFlight => Self::InFlight,
            CallError::Unknown { .. } => Self::Unknown,
            other => panic!("{other:?} is not in the model"),
        }
    }
}

impl From<Result<ShipmentLookup, CallError>> for CallOutcome {
    fn from(result: Result<ShipmentLookup, CallError>) -> Self {
        match result {
            Ok(ShipmentLookup::Label(_)) => Self::Label,
            Ok(ShipmentLookup::Shipment(_)) => Self::Shipment,
            Ok(ShipmentLookup::Nothing) => Self::Nothing,
            Err(error) => error.into(),
        }
    }
}

/// The simulator, and the order that it ships.
struct Simulator {
    url: String,
    shipping: ::providers::Shipping,
    order_id: OrderId,
}

impl Simulator {
    fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            shipping: ::providers::Shipping::new(client().unwrap(), url, "TEST_model"),
            order_id: OrderId::generate(),
        }
    }

    async fn call(&self, call: Call, found: ShipmentLookup) -> CallOutcome {
        let bought = match (call, found) {
            (Call::Buy, _) => {
                let address = json!({
                    "name": "Ana", "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001",
                    "country": "ES",
                });
                let parcel = Parcel {
                    shop: &"model".parse().unwrap(),
                    order_id: self.order_id,
                    ship_to: &serde_json::from_value(address).unwrap(),
                    grams: 250,
                };
                self.shipping.buy_label(parcel).await
            }
            (Call::BuyForShipment, ShipmentLookup::Shipment(id)) => {
                self.shipping.buy_label_for(&id).await
            }
            (Call::Void, ShipmentLookup::Label(label)) => {
                let voided = self.shipping.void_label(&label.label_id).await;
                return voided.map_or_else(CallOutcome::from, |()| CallOutcome::Voided);
            }
            (call, found) => panic!("{call:?} with {found:?}"),
        };
        bought.map_or_else(CallOutcome::from, |_| CallOutcome::Label)
    }

    /// Looks up the order until the result is the model's or time is up: labels may come late.
    async fn look_up(&self, expected: &CallOutcome) -> CallOutcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.shipping.look_up(self.order_id).await.into();
            if found == *expected || Instant::now() > deadline {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Makes the calls to the simulator and the model, and compares the results.
async fn compare(simulator: Simulator, calls: &[(Call, Option<LabelFault>)]) {
    let mut model = Shipping::default();
    for (call, fault) in calls {
        let found = simulator
            .shipping
            .look_up(simulator.order_id)
            .await
            .unwrap();
        let fits = match call {
            Call::Buy => true,
            Call::BuyForShipment => matches!(found, ShipmentLookup::Shipment(_)),
            Call::Void => matches!(found, ShipmentLookup::Label(_)),
        };
        if !fits {
            continue;
        }
        let fault = fault.filter(|fault| strikes(*call, *fault, &found));
        let expected = answer_of(&mut model, *call, fault);
        if let Some(fault) = fault {
            order_fault(&simulator.url, plan(fault)).await;
        }
        let answer = simulator.call(*call, found).await;
        assert_eq!(answer, expected, "{call:?} with {fault:?} in {calls:?}");
        model.pass();
        let expected = model.shipped().into();
        let found = simulator.look_up(&expected).await;
        assert_eq!(found, expected, "{call:?} with {fault:?} in {calls:?}");
    }
}

/// Whether the simulator and the model both support the fault at this call. The response to a
/// conflict comes before there is a label that could be late.
fn strikes(call: Call, fault: LabelFault, found: &ShipmentLookup) -> bool {
    match (call, fault) {
        (Call::Void, LabelFault::AnswerLost | LabelFault::RequestLost)
        | (Call::BuyForShipment, _) => true,
        (Call::Buy, fault) => {
            matches!(found, ShipmentLookup::Nothing) && fault != LabelFault::LateEffect
        }
        (Call::Void, _) => false,
    }
}

fn answer_of(model: &mut Shipping, call: Call, fault: Option<LabelFault>) -> CallOutcome {
    let bought = match call {
        Call::Buy => model.buy(fault),
        Call::BuyForShipment => model.buy_for_shipment(fault),
        Call::Void => {
            let label_id = model.live().next().unwrap().id.clone();
            let voided = model.void(&label_id, fault);
            return voided.map_or_else(CallOutcome::from, |()| CallOutcome::Voided);
        }
    };
    bought.map_or_else(CallOutcome::from, |_| CallOutcome::Label)
}

/// The fault as the simulator's API describes it.
fn plan(fault: LabelFault) -> Value {
    match fault {
        LabelFault::AnswerLost => json!({ "mode": "lose_answer" }),
        LabelFault::RequestLost => json!({ "mode": "reset_before" }),
        LabelFault::Error => json!({ "mode": "error", "status": 500, "kept": true }),
        LabelFault::LateEffect => json!({ "mode": "late_effect", "ms": 0 }),
        LabelFault::Processing => json!({ "mode": "label_processing", "ms": 20 }),
        LabelFault::NotApproved => panic!("the carrier decides that, not a fault"),
    }
}

#[test]
fn the_shipping_model_behaves_like_the_simulator() {
    check(SHIPPING, calls(), |url, calls| async move {
        compare(Simulator::at(&url), &calls).await;
    });
}
