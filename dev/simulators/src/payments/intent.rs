//! A payment intent: what it is, and what each call makes of it.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, params::Params};
use crate::storage::{State, new_id};

/// The provider's own limits for an amount.
const AMOUNTS: std::ops::RangeInclusive<i64> = 50..=99_999_999;

/// How long a card's hold lasts.
const HOLD_HOURS: i32 = 7 * 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    status: Status,
    amount: i64,
    amount_received: i64,
    currency: String,
    manual_capture: bool,
    payment_method: Option<String>,
    metadata: BTreeMap<String, String>,
    created: i64,
    charge: Option<Charge>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Charge {
    id: String,
    capture_before: i64,
}

/// What the bank says to a card.
enum Verdict {
    Approved,
    Declined {
        code: &'static str,
        decline_code: &'static str,
        message: &'static str,
    },
    AsksForShopper,
    NoSuchCard,
}

/// The test cards, by the provider's documented tokens.
fn verdict(payment_method: &str) -> Verdict {
    let declined = |code, decline_code, message| Verdict::Declined {
        code,
        decline_code,
        message,
    };
    match payment_method {
        "pm_card_visa" | "pm_card_visa_debit" | "pm_card_mastercard" | "pm_card_amex" => {
            Verdict::Approved
        }
        "pm_card_visa_chargeDeclined" | "pm_card_chargeDeclined" => declined(
            "card_declined",
            "generic_decline",
            "Your card was declined.",
        ),
        "pm_card_visa_chargeDeclinedInsufficientFunds"
        | "pm_card_chargeDeclinedInsufficientFunds" => declined(
            "card_declined",
            "insufficient_funds",
            "Your card has insufficient funds.",
        ),
        "pm_card_chargeDeclinedExpiredCard" => {
            declined("expired_card", "expired_card", "Your card has expired.")
        }
        "pm_card_authenticationRequired" | "pm_card_threeDSecure2Required" => {
            Verdict::AsksForShopper
        }
        _ => Verdict::NoSuchCard,
    }
}

impl Intent {
    pub(super) fn create(params: &Params) -> Result<Self, Answer> {
        let amount = params.get("amount").and_then(|amount| amount.parse().ok());
        let Some(amount) = amount.filter(|amount| AMOUNTS.contains(amount)) else {
            let message = "Amount must be between 50 and 99999999.";
            return Err(Answer::invalid(
                "parameter_invalid_integer",
                "amount",
                message,
            ));
        };
        let currency = params.get("currency").unwrap_or_default();
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_lowercase()) {
            let message = "Invalid currency.";
            return Err(Answer::invalid(
                "parameter_invalid_string_empty",
                "currency",
                message,
            ));
        }
        let payment_method = params.get("payment_method").map(str::to_owned);
        Ok(Self {
            id: new_id("pi"),
            status: match payment_method {
                Some(_) => Status::RequiresConfirmation,
                None => Status::RequiresPaymentMethod,
            },
            amount,
            amount_received: 0,
            currency: currency.to_owned(),
            manual_capture: params.get("capture_method") == Some("manual"),
            payment_method,
            metadata: params.metadata().collect(),
            created: Timestamp::now().as_second(),
            charge: None,
        })
    }

    pub(super) fn confirm(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<Answer> {
        if !matches!(
            self.status,
            Status::RequiresConfirmation | Status::RequiresPaymentMethod
        ) {
            return Ok(self.unexpected("confirm"));
        }
        if let Some(payment_method) = params.get("payment_method") {
            self.payment_method = Some(payment_method.to_owned());
        }
        match verdict(self.payment_method.as_deref().unwrap_or_default()) {
            Verdict::Approved => {
                let capture_before = Timestamp::now() + HOLD_HOURS.hours();
                let capture_before = capture_before.as_second();
                self.charge = Some(Charge {
                    id: new_id("ch"),
                    capture_before,
                });
                self.status = Status::RequiresCapture;
                state.record(self.effect("authorized"))?;
                if !self.manual_capture {
                    return self.capture(state, params);
                }
                Ok(Answer::ok(self.view(params)))
            }
            Verdict::AsksForShopper => {
                self.status = Status::RequiresAction;
                Ok(Answer::ok(self.view(params)))
            }
            Verdict::Declined {
                code,
                decline_code,
                message,
            } => {
                self.status = Status::RequiresPaymentMethod;
                state.record(self.effect("declined"))?;
                let mut answer = Answer::error(402, "card_error", Some(code), message);
                answer.body["error"]["decline_code"] = decline_code.into();
                answer.body["error"]["payment_intent"] = self.view(params);
                Ok(answer)
            }
            Verdict::NoSuchCard => {
                self.status = Status::RequiresPaymentMethod;
                let message = "No such PaymentMethod.";
                Ok(Answer::invalid(
                    "resource_missing",
                    "payment_method",
                    message,
                ))
            }
        }
    }

    pub(super) fn capture(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<Answer> {
        if self.status != Status::RequiresCapture {
            return Ok(self.unexpected("capture"));
        }
        let amount = params
            .get("amount_to_capture")
            .map_or(Ok(self.amount), str::parse);
        let Some(amount) = amount
            .ok()
            .filter(|amount| (1..=self.amount).contains(amount))
        else {
            let message = "The amount to capture is more than was authorized.";
            return Ok(Answer::invalid(
                "amount_too_large",
                "amount_to_capture",
                message,
            ));
        };
        self.amount_received = amount;
        self.status = Status::Succeeded;
        state.record(self.effect("captured"))?;
        Ok(Answer::ok(self.view(params)))
    }

    pub(super) fn cancel(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<Answer> {
        if matches!(self.status, Status::Succeeded | Status::Canceled) {
            return Ok(self.unexpected("cancel"));
        }
        self.status = Status::Canceled;
        state.record(self.effect("canceled"))?;
        Ok(Answer::ok(self.view(params)))
    }

    pub(super) fn has_metadata(&self, name: &str, value: &str) -> bool {
        self.metadata.get(name).is_some_and(|known| known == value)
    }

    /// The intent as the provider shows it.
    pub(super) fn view(&self, params: &Params) -> Value {
        let charge = self.charge.as_ref().map(|charge| {
            let card = json!({ "brand": "visa", "capture_before": charge.capture_before });
            let expanded = json!({
                "id": charge.id,
                "object": "charge",
                "amount": self.amount,
                "captured": self.status == Status::Succeeded,
                "payment_method_details": { "type": "card", "card": card },
            });
            if params.expands_charge() {
                expanded
            } else {
                charge.id.clone().into()
            }
        });
        json!({
            "id": self.id,
            "object": "payment_intent",
            "status": self.status,
            "amount": self.amount,
            "amount_capturable":
                if self.status == Status::RequiresCapture { self.amount } else { 0 },
            "amount_received": self.amount_received,
            "currency": self.currency,
            "capture_method": if self.manual_capture { "manual" } else { "automatic" },
            "payment_method": self.payment_method,
            "metadata": self.metadata,
            "created": self.created,
            "livemode": false,
            "latest_charge": charge,
        })
    }

    fn effect(&self, kind: &str) -> Value {
        json!({
            "effect": kind,
            "id": self.id,
            "order_id": self.metadata.get("order_id"),
            "cents": if kind == "captured" { self.amount_received } else { self.amount },
            "currency": self.currency.to_uppercase(),
        })
    }

    fn unexpected(&self, verb: &str) -> Answer {
        let status = json!(self.status);
        let message = format!("You cannot {verb} this PaymentIntent: its status is {status}.");
        let code = Some("payment_intent_unexpected_state");
        Answer::error(400, "invalid_request_error", code, &message)
    }
}
