//! Compares the model's payment provider with its simulator.

use std::time::Duration;

use ::providers::{
    Authorization, CallError, PaymentIntent, PaymentIntentStatus, Payments, Refund, RefundCall,
    VoidReason, client,
};
use orders::{Cents, OrderId, PaymentId, RefundId};
use proptest::prelude::*;
use serde_json::{Value, json};
use simulators::PAYMENTS;
use tokio::time::{Instant, sleep};

use super::{PATIENCE, check, order_fault};
use crate::model::{
    REFUNDED, TOTAL,
    providers::{self, Effect, Fault, reason_code},
};

/// A call to the payment provider. A call about a payment is about the order's first one.
#[derive(Debug, Clone)]
enum Call {
    Authorize { round: i32 },
    Capture { key: u8 },
    Void { key: u8, reason: VoidReason },
    Refund { refund: u8, round: u8 },
}

fn calls() -> impl Strategy<Value = Vec<(Call, Option<Fault>)>> {
    let reasons =
        prop::sample::select(vec![VoidReason::OrderCancelled, VoidReason::NeverConfirmed]);
    let call = prop_oneof![
        3 => (0..2).prop_map(|round| Call::Authorize { round }),
        3 => (0..2_u8).prop_map(|key| Call::Capture { key }),
        1 => (0..2_u8, reasons).prop_map(|(key, reason)| Call::Void { key, reason }),
        4 => (0..2_u8, 0..2_u8).prop_map(|(refund, round)| Call::Refund { refund, round }),
    ];
    let faults = prop::sample::select(vec![
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::RateLimited,
        Fault::Error,
        Fault::LateEffect,
    ]);
    prop::collection::vec((call, prop::option::of(faults)), 1..12)
}

impl Call {
    fn key(&self) -> String {
        match self {
            Self::Authorize { round } => format!("authorize:{round}"),
            Self::Capture { key } => format!("capture:{key}"),
            Self::Void { key, reason } => format!("void:{key}:{reason:?}"),
            Self::Refund { refund, round } => format!("refund:{refund}:{round}"),
        }
    }

    fn effect(&self) -> Effect {
        let id = "pi_0".to_owned();
        match self {
            Self::Authorize { round } => Effect::Authorize {
                round: *round,
                status: "requires_capture",
            },
            Self::Capture { .. } => Effect::Capture(id),
            Self::Void { reason, .. } => Effect::Void {
                id,
                reason: reason_code(*reason),
            },
            Self::Refund { refund, .. } => Effect::Refund {
                refund_id: refund_id(*refund),
                cents: REFUNDED,
            },
        }
    }
}

fn refund_id(number: u8) -> RefundId {
    RefundId(uuid::Uuid::from_u128(u128::from(number)))
}

/// How a call ended, with the distinctions that the worker makes.
#[derive(Debug, PartialEq)]
enum CallOutcome {
    Done,
    RateLimited,
    Rejected,
    Replayed,
    Unknown,
}

impl<T> From<Result<T, CallError>> for CallOutcome {
    fn from(result: Result<T, CallError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(CallError::RateLimited { .. }) => Self::RateLimited,
            Err(CallError::Rejected { .. }) => Self::Rejected,
            Err(CallError::Replayed { .. }) => Self::Replayed,
            Err(CallError::Unknown { .. }) => Self::Unknown,
            Err(other) => panic!("{other:?} is not in the model"),
        }
    }
}

/// A provider's records: the status and the round of each payment, whether it was abandoned, and
/// the refunds of the first payment.
#[derive(Debug, PartialEq)]
struct Books {
    payments: Vec<(PaymentIntentStatus, i32, bool)>,
    refunds: Vec<RefundId>,
}

impl Books {
    fn of<'a>(
        payments: impl Iterator<Item = &'a PaymentIntent>,
        refunds: impl Iterator<Item = Refund>,
    ) -> Self {
        let payments =
            payments.map(|intent| (intent.status, intent.round(), intent.is_abandoned()));
        let mut refunds: Vec<_> = refunds.filter_map(|refund| refund.refund_id()).collect();
        refunds.sort_unstable();
        Self {
            payments: payments.collect(),
            refunds,
        }
    }

    fn of_model(payments: &providers::Payments) -> Self {
        let intents: Vec<_> = payments.intents.iter().map(|it| it.record(true)).collect();
        let refunds = payments.refunds.iter().map(|refund| refund.record("pi_0"));
        Self::of(intents.iter(), refunds)
    }
}

/// The simulator, and the order that is paid there.
struct Simulator {
    url: String,
    payments: Payments,
    order_id: OrderId,
    /// The ids of its payments, the oldest first.
    ids: Vec<PaymentId>,
}

impl Simulator {
    /// The simulator at `url`, with a new order.
    fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            payments: Payments::new(client().unwrap(), url, "sk_test_model"),
            order_id: OrderId::generate(),
            ids: Vec::new(),
        }
    }

    async fn call(&self, call: &Call) -> CallOutcome {
        let key = format!("{}:{}", self.order_id, call.key());
        let shop = "model".parse().unwrap();
        match call {
            Call::Authorize { round } => {
                let authorization = Authorization {
                    shop: &shop,
                    order_id: self.order_id,
                    round: *round,
                    amount: Cents::try_from(TOTAL).unwrap(),
                    currency: &"EUR".parse().unwrap(),
                    payment_method: &"pm_card_visa".parse().unwrap(),
                };
                self.payments.authorize(authorization, &key).await.into()
            }
            Call::Capture { .. } => self.payments.capture(&self.ids[0], &key).await.into(),
            Call::Void { reason, .. } => {
                self.payments.void(&self.ids[0], *reason, &key).await.into()
            }
            Call::Refund { refund, .. } => {
                let refunding = RefundCall {
                    shop: &shop,
                    payment_id: &self.ids[0],
                    order_id: self.order_id,
                    refund_id: refund_id(*refund),
                    amount: Cents::try_from(REFUNDED).unwrap(),
                    reason: "",
                };
                self.payments.refund(refunding, &key).await.into()
            }
        }
    }

    /// Reads the records until they are the model's or time is up: effects may come late.
    async fn books(&mut self, expected: &Books) -> Books {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self
                .payments
                .list_by_order(&"model".parse().unwrap(), self.order_id)
                .await
                .unwrap();
            for intent in &found {
                if !self.ids.contains(&intent.id) {
                    self.ids.push(intent.id.clone());
                }
            }
            let refunds = match self.ids.first() {
                Some(id) => self.payments.refunds_of(id).await.unwrap(),
                None => Vec::new(),
            };
            let payments = self.ids.iter();
            let payments = payments.filter_map(|id| found.iter().find(|it| it.id == *id));
            let books = Books::of(payments, refunds.into_iter());
            if books == *expected || Instant::now() > deadline {
                return books;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Makes the calls to the simulator and the model, and compares the results.
async fn compare(mut simulator: Simulator, calls: &[(Call, Option<Fault>)]) {
    let mut model = providers::Payments::default();
    for (call, fault) in calls {
        let is_of_a_payment = !matches!(call, Call::Authorize { .. });
        if is_of_a_payment && model.intents.is_empty() {
            continue;
        }
        // A fault does not strike a replay. A late effect that is refused cannot be awaited.
        let has_effect = || model.clone().take_effect(&call.effect(), 0).is_ok();
        let fault = fault
            .filter(|_| !model.knows(&call.key(), 0))
            .filter(|fault| *fault != Fault::LateEffect || has_effect());
        let expected: CallOutcome = model.call(&call.key(), &call.effect(), fault, 0).into();
        for effect in std::mem::take(&mut model.late) {
            let _ = model.take_effect(&effect, 0);
        }
        if let Some(fault) = fault {
            order_fault(&simulator.url, plan(fault)).await;
        }
        let answer = simulator.call(call).await;
        assert_eq!(answer, expected, "{call:?} with {fault:?} in {calls:?}");
        let expected = Books::of_model(&model);
        let books = simulator.books(&expected).await;
        assert_eq!(books, expected, "{call:?} with {fault:?} in {calls:?}");
    }
}

/// The fault as the simulator's API describes it.
fn plan(fault: Fault) -> Value {
    match fault {
        Fault::AnswerLost => json!({ "mode": "lose_answer" }),
        Fault::RequestLost => json!({ "mode": "reset_before" }),
        Fault::RateLimited => json!({ "mode": "rate_limited", "retry_after": 1 }),
        Fault::Error => json!({ "mode": "error", "status": 500, "kept": true }),
        Fault::LateEffect => json!({ "mode": "late_effect", "ms": 0 }),
        Fault::HalfMade => panic!("the simulator makes no half payments on demand"),
    }
}

#[test]
fn the_payment_model_behaves_like_the_simulator() {
    check(PAYMENTS, calls(), |url, calls| async move {
        compare(Simulator::at(&url), &calls).await;
    });
}
