//! The model's two providers: their records, the idempotency keys that they know, and the effects
//! that happen after an error.

use std::collections::BTreeMap;

use ::providers::{
    BoughtLabel, CallError, LabelRecord, PaymentIntent, PaymentIntentStatus, Refund, RefundStatus,
    ShipmentLookup, VoidReason,
};
use jiff::Timestamp;
use orders::RefundId;
use serde_json::{Value, json};

use super::{HOLD_LASTS, KEYS_LAST, ORDER, TOTAL, at};

/// The payment provider's state for the order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Payments {
    pub(super) intents: Vec<Intent>,
    pub(super) refunds: Vec<MadeRefund>,
    /// The responses that it remembers, by idempotency key.
    keys: BTreeMap<String, RetainedKind>,
    /// The effects that are still to happen, although the response was an error.
    pub(super) late: Vec<Effect>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: &'static str,
    round: i32,
    reason: Option<&'static str>,
    pub(super) created: u8,
    pub(super) has_lapsed: bool,
}

/// A refund that was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MadeRefund {
    pub(super) id: String,
    refund_id: RefundId,
    cents: i64,
}

/// The response that is remembered for an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RetainedKind {
    at: u8,
    answer: KeptAnswer,
}

/// The response to a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum KeptAnswer {
    /// The payment or refund with this id.
    Made(String),
    /// A refusal with this code.
    Refused(&'static str),
    /// An internal error of the provider.
    Error,
}

/// The effect of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Makes a payment with this status.
    Authorize {
        round: i32,
        status: &'static str,
    },
    Capture(String),
    Void {
        id: String,
        reason: &'static str,
    },
    Refund {
        refund_id: RefundId,
        cents: i64,
    },
}

/// What can happen to a call to the payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has its effect, but the response is lost.
    AnswerLost,
    /// It never arrives.
    RequestLost,
    /// It is refused for now.
    RateLimited,
    /// The response is an error, which is replayed for the same key.
    Error,
    /// The same, and the call has its effect later.
    LateEffect,
    /// The same, and it makes a payment that the provider never attempts.
    HalfMade,
}

impl Effect {
    /// The faults that can happen to this call.
    pub(super) const fn faults(&self) -> &'static [Fault] {
        use Fault::{AnswerLost, Error, HalfMade, LateEffect, RateLimited, RequestLost};
        match self {
            Self::Authorize { .. } => &[
                AnswerLost,
                RequestLost,
                RateLimited,
                Error,
                LateEffect,
                HalfMade,
            ],
            Self::Capture(_) | Self::Refund { .. } => {
                &[AnswerLost, RequestLost, RateLimited, Error, LateEffect]
            }
            // A late void does no harm.
            Self::Void { .. } => &[AnswerLost, RequestLost],
        }
    }
}

impl Payments {
    /// Whether a call with this key gets the response of the first call again.
    pub(super) fn knows(&self, key: &str, now: u8) -> bool {
        let kept = self.keys.get(key);
        kept.is_some_and(|kept| now - kept.at < KEYS_LAST)
    }

    /// Serves a call. Returns the id of the payment or refund that it made or changed.
    pub(super) fn call(
        &mut self,
        key: &str,
        effect: &Effect,
        fault: Option<Fault>,
        now: u8,
    ) -> Result<String, CallError> {
        if self.knows(key, now) {
            return self.keys[key].answer.clone().into_result();
        }
        let lost = Err(CallError::unknown("no answer"));
        match fault {
            None => self.serve(key, effect, now).into_result(),
            Some(Fault::AnswerLost) => {
                self.serve(key, effect, now);
                lost
            }
            Some(Fault::RequestLost) => lost,
            Some(Fault::RateLimited) => Err(CallError::RateLimited { retry_after: None }),
            Some(Fault::Error) => {
                self.keep(key, now, KeptAnswer::Error);
                lost
            }
            Some(Fault::LateEffect) => {
                self.keep(key, now, KeptAnswer::Error);
                self.late.push(effect.clone());
                lost
            }
            Some(Fault::HalfMade) => {
                let Effect::Authorize { round, .. } = effect else {
                    panic!("only a payment can be half made");
                };
                self.make_payment(*round, "requires_confirmation", now);
                self.keep(key, now, KeptAnswer::Error);
                lost
            }
        }
    }

    fn serve(&mut self, key: &str, effect: &Effect, now: u8) -> KeptAnswer {
        let answer = match self.take_effect(effect, now) {
            Ok(id) => KeptAnswer::Made(id),
            Err(code) => KeptAnswer::Refused(code),
        };
        self.keep(key, now, answer.clone());
        answer
    }

    fn keep(&mut self, key: &str, at: u8, answer: KeptAnswer) {
        self.keys
            .insert(key.to_owned(), RetainedKind { at, answer });
    }

    /// Applies an effect. Returns the id of the payment or refund that it made or changed, or the
    /// code of the refusal.
    pub(super) fn take_effect(&mut self, effect: &Effect, now: u8) -> Result<String, &'static str> {
        match effect {
            Effect::Authorize { round, status } => Ok(self.make_payment(*round, status, now)),
            Effect::Capture(id) => {
                let intent = self.intent_mut(id);
                if intent.status != "requires_capture" {
                    return Err("payment_intent_unexpected_state");
                }
                intent.status = "succeeded";
                Ok(id.clone())
            }
            Effect::Void { id, reason } => {
                let intent = self.intent_mut(id);
                if matches!(intent.status, "canceled" | "succeeded") {
                    return Err("payment_intent_unexpected_state");
                }
                intent.status = "canceled";
                intent.reason = Some(reason);
                Ok(id.clone())
            }
            Effect::Refund { refund_id, cents } => self.make_refund(*refund_id, *cents),
        }
    }

    fn make_payment(&mut self, round: i32, status: &'static str, now: u8) -> String {
        let id = format!("pi_{}", self.intents.len());
        self.intents.push(Intent {
            id: id.clone(),
            status,
            round,
            reason: None,
            created: now,
            has_lapsed: false,
        });
        id
    }

    fn make_refund(&mut self, refund_id: RefundId, cents: i64) -> Result<String, &'static str> {
        let refunded: i64 = self.refunds.iter().map(|refund| refund.cents).sum();
        if self.count("succeeded") == 0 || refunded + cents > TOTAL {
            return Err("charge_already_refunded");
        }
        let id = format!("re_{}", self.refunds.len());
        self.refunds.push(MadeRefund {
            id: id.clone(),
            refund_id,
            cents,
        });
        Ok(id)
    }

    /// Lets time pass: late effects happen, and holds lapse.
    pub(super) fn pass(&mut self, now: u8) {
        for effect in std::mem::take(&mut self.late) {
            // A refused effect changes nothing.
            let _ = self.take_effect(&effect, now - 1);
        }
        for intent in &mut self.intents {
            if intent.status == "requires_capture" && now - intent.created >= HOLD_LASTS {
                intent.status = "canceled";
                intent.reason = Some("automatic");
                intent.has_lapsed = true;
            }
        }
    }

    fn intent_mut(&mut self, id: &str) -> &mut Intent {
        let found = self.intents.iter_mut().find(|intent| intent.id == id);
        found.expect("only payments that exist are asked for")
    }

    pub(super) fn intent(&self, id: &str) -> &Intent {
        let found = self.intents.iter().find(|intent| intent.id == id);
        found.expect("only payments that exist are asked for")
    }

    /// The number of payments with this status.
    pub(super) fn count(&self, status: &str) -> usize {
        let those = self.intents.iter().filter(|intent| intent.status == status);
        those.count()
    }
}

impl KeptAnswer {
    fn into_result(self) -> Result<String, CallError> {
        match self {
            Self::Made(id) => Ok(id),
            Self::Refused(code) => Err(rejected(code)),
            Self::Error => Err(CallError::Replayed { status: 500 }),
        }
    }
}

/// The provider's code for a reason.
pub(super) const fn reason_code(reason: VoidReason) -> &'static str {
    match reason {
        VoidReason::OrderCancelled => "requested_by_customer",
        VoidReason::NeverConfirmed => "abandoned",
    }
}

/// The provider's refusal with this code.
pub(super) fn rejected(code: &str) -> CallError {
    CallError::Rejected {
        status: 400,
        code: code.to_owned(),
        message: String::new(),
    }
}

impl Intent {
    /// The payment as the provider's API returns it. Only `with_round` does it have the round in
    /// its metadata, and the reason of a void.
    pub(super) fn record(&self, with_round: bool) -> PaymentIntent {
        let lapses: Timestamp = at(self.created + HOLD_LASTS);
        let mut metadata = json!({ "order_id": ORDER.to_string() });
        let mut reason = self.reason.map_or(Value::Null, Value::from);
        if with_round {
            metadata["round"] = self.round.to_string().into();
        } else {
            reason = Value::Null;
        }
        serde_json::from_value(json!({
            "id": self.id, "status": self.status, "amount": TOTAL, "currency": "eur",
            "amount_received": if self.status == "succeeded" { TOTAL } else { 0 },
            "created": at(self.created).as_second(), "cancellation_reason": reason,
            "metadata": metadata,
            "latest_charge": { "payment_method_details": {
                "card": { "capture_before": lapses.as_second() },
            } },
        }))
        .unwrap()
    }

    pub(super) fn is_final(&self) -> bool {
        matches!(
            self.record(true).status,
            PaymentIntentStatus::Canceled
                | PaymentIntentStatus::Succeeded
                | PaymentIntentStatus::RequiresPaymentMethod
        )
    }
}

impl MadeRefund {
    /// The refund as the provider's API returns it.
    pub(super) fn record(&self, payment_id: &str) -> Refund {
        let refund: Refund = serde_json::from_value(json!({
            "id": self.id, "status": "succeeded", "amount": self.cents, "payment_intent": payment_id,
            "metadata": { "order_id": ORDER.to_string(), "refund_id": self.refund_id.to_string() },
        }))
        .unwrap();
        assert_eq!(refund.status, RefundStatus::Succeeded);
        refund
    }
}

/// The shipping provider's state for the order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Shipping {
    has_shipment: bool,
    pub(super) labels: Vec<Label>,
    /// Whether the carrier is still making a label.
    is_processing: bool,
    /// How many labels are still to be made, although the response was an error.
    late: u8,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Label {
    pub(super) id: String,
    is_void: bool,
}

/// What can happen to a call to the shipping provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelFault {
    /// It has its effect, but the response is lost.
    AnswerLost,
    /// It never arrives.
    RequestLost,
    /// The response is an error, and the call leaves a shipment without a label.
    Error,
    /// The same, and the label is made later. Until then, no look-up shows it.
    LateEffect,
    /// The carrier is slow to make the label.
    Processing,
    /// The carrier refuses to void the label.
    NotApproved,
}

impl Shipping {
    /// The faults that can happen to a call that buys a label.
    pub(super) const BUY_FAULTS: &[LabelFault] = &[
        LabelFault::AnswerLost,
        LabelFault::RequestLost,
        LabelFault::Error,
        LabelFault::LateEffect,
        LabelFault::Processing,
    ];

    /// The faults that can happen to a call that voids a label.
    pub(super) const VOID_FAULTS: &[LabelFault] = &[
        LabelFault::AnswerLost,
        LabelFault::RequestLost,
        LabelFault::NotApproved,
    ];

    /// Makes a shipment and buys its label.
    pub(super) fn buy(&mut self, fault: Option<LabelFault>) -> Result<String, CallError> {
        if self.has_shipment && fault != Some(LabelFault::RequestLost) {
            return Err(CallError::InFlight);
        }
        self.buy_for_shipment(fault)
    }

    /// Buys a label for the shipment.
    pub(super) fn buy_for_shipment(
        &mut self,
        fault: Option<LabelFault>,
    ) -> Result<String, CallError> {
        let lost = Err(CallError::unknown("no answer"));
        self.has_shipment |= fault != Some(LabelFault::RequestLost);
        match fault {
            None => Ok(self.make_label()),
            Some(LabelFault::AnswerLost) => {
                self.make_label();
                lost
            }
            Some(LabelFault::LateEffect) => {
                self.late += 1;
                lost
            }
            Some(LabelFault::Processing) => {
                self.is_processing = true;
                Err(CallError::InFlight)
            }
            Some(_) => lost,
        }
    }

    pub(super) fn void(
        &mut self,
        label_id: &str,
        fault: Option<LabelFault>,
    ) -> Result<(), CallError> {
        let mut labels = self.labels.iter_mut();
        let label = labels.find(|label| label.id == label_id).unwrap();
        match fault {
            Some(LabelFault::NotApproved) => return Err(rejected("void_not_approved")),
            Some(LabelFault::RequestLost) => {}
            _ => label.is_void = true,
        }
        fault.map_or(Ok(()), |_| Err(CallError::unknown("no answer")))
    }

    /// Looks up the order's label, or its shipment without a label.
    pub(super) fn shipped(&self) -> Result<ShipmentLookup, CallError> {
        if self.is_processing {
            return Err(CallError::InFlight);
        }
        Ok(match self.live().next() {
            Some(label) => ShipmentLookup::Label(bought(&label.id)),
            None if self.has_shipment => ShipmentLookup::Shipment("se-0".parse().unwrap()),
            None => ShipmentLookup::Nothing,
        })
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter().filter(|label| !label.is_void)
    }

    /// Whether no label is still to be made.
    pub(super) const fn is_settled(&self) -> bool {
        self.late == 0 && !self.is_processing
    }

    /// Makes the next label that is still to be made.
    pub(super) fn settle_one(&mut self) {
        if !std::mem::take(&mut self.is_processing) {
            self.late -= 1;
        }
        self.make_label();
    }

    /// Lets time pass: makes all labels that are still to be made.
    pub(super) fn pass(&mut self) {
        while !self.is_settled() {
            self.settle_one();
        }
    }

    fn make_label(&mut self) -> String {
        let id = format!("se-{}", self.labels.len());
        self.labels.push(Label {
            id: id.clone(),
            is_void: false,
        });
        id
    }
}

impl Label {
    /// The label as the provider's API returns it.
    pub(super) fn record(&self) -> LabelRecord {
        serde_json::from_value(json!({
            "label_id": self.id, "voided": self.is_void, "status": "completed",
        }))
        .unwrap()
    }
}

/// A bought label with this id.
pub(super) fn bought(id: &str) -> BoughtLabel {
    BoughtLabel {
        label_id: id.parse().unwrap(),
        tracking_number: None,
    }
}
