//! A payment intent: what it is, and what each call makes of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Answer, Task,
    cards::{self, Card, Decline, Outcome},
    event::Event,
    params::Params,
    search::metadata_key,
};
use crate::{
    serve::TASKS,
    storage::{State, new_id},
};

/// The provider's own limits for an amount, in minor units.
const MIN_AMOUNT: i64 = 50;
const MAX_AMOUNT: i64 = 99_999_999;

/// How long a card's hold lasts.
const HOLD: SignedDuration = SignedDuration::from_hours(7 * 24);

const CREATE_PARAMS: &[&str] = &[
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "currency",
    "description",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "shipping",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) amount: i64,
    pub(super) amount_received: i64,
    /// What was given back, or is on its way.
    #[serde(default)]
    pub(super) amount_refunded: i64,
    pub(super) currency: String,
    pub(super) capture_method: String,
    pub(super) payment_method: Option<String>,
    /// Whether any method may pay, and then whether also one that sends the shopper elsewhere.
    pub(super) allow_redirects: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) canceled_at: Option<Timestamp>,
    pub(super) cancellation_reason: Option<String>,
    pub(super) charge: Option<Charge>,
}

/// One try to get the money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) created: Timestamp,
    /// When the hold lapses, if the money is held.
    pub(super) capture_before: Option<Timestamp>,
    /// Why the bank said no: code, reason and words.
    pub(super) failure: Option<(String, Option<String>, String)>,
}

impl Intent {
    pub(super) fn create(params: &Params) -> Result<Self, Answer> {
        params.only(CREATE_PARAMS)?;
        params.required("amount")?;
        let amount = params.number("amount")?.unwrap_or_default();
        let currency = params.required("currency")?.to_lowercase();
        check_amount(amount, &currency)?;
        let capture_method = params.get("capture_method").unwrap_or("automatic_async");
        if !["automatic", "automatic_async", "manual"].contains(&capture_method) {
            let message = format!("Invalid capture_method: {capture_method}");
            return Err(Answer::invalid(
                Some("parameter_invalid"),
                "capture_method",
                &message,
            ));
        }
        let mut types = params.list("payment_method_types").peekable();
        // The provider's default since 2023-08-16: whatever the dashboard offers.
        let allow_redirects = types.peek().is_none().then(|| {
            let asked = params.get("automatic_payment_methods[allow_redirects]");
            asked.unwrap_or("always").to_owned()
        });
        if let Some(other) = types.find(|kind| *kind != "card") {
            let message = format!("The payment method type \"{other}\" is invalid.");
            return Err(Answer::invalid(
                Some("parameter_invalid"),
                "payment_method_types",
                &message,
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
            amount_refunded: 0,
            currency,
            capture_method: capture_method.to_owned(),
            payment_method,
            allow_redirects,
            description: params.get("description").map(str::to_owned),
            metadata: params.metadata().collect(),
            created: Timestamp::now(),
            canceled_at: None,
            cancellation_reason: None,
            charge: None,
        })
    }

    pub(super) fn keep(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        let name = format!("intent/{}", self.id);
        for (field, value) in &self.metadata {
            state.index_as(&metadata_key(field, value), &name)?;
        }
        state.put(&name, self)
    }

    /// Tries the card. One that is declined changes the payment too.
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
        let card = match self.card_to_try(params) {
            Ok(card) => card,
            Err(refusal) => return Ok(refusal),
        };
        if card.outcome == Outcome::ActionRequired {
            self.status = Status::RequiresAction;
            Event::RequiresAction.of(state, self)?;
            return Ok(Answer::ok(self.view(params)));
        }
        let now = Timestamp::now();
        let mut charge = Charge {
            id: new_id("ch"),
            created: now,
            capture_before: None,
            failure: None,
        };
        if let Outcome::Declined(decline) = card.outcome {
            let Decline {
                code,
                reason,
                message,
            } = decline;
            let reason = reason.map(str::to_owned);
            charge.failure = Some((code.to_owned(), reason, message.to_owned()));
            self.charge = Some(charge);
            self.status = Status::RequiresPaymentMethod;
            state.record(self.effect("declined", self.amount))?;
            Event::PaymentFailed.of(state, self)?;
            return Ok(self.declined(decline, params));
        }
        let is_manual = self.capture_method == "manual";
        charge.capture_before = is_manual.then(|| now + HOLD);
        self.charge = Some(charge);
        self.status = Status::RequiresCapture;
        state.record(self.effect("authorized", self.amount))?;
        if is_manual {
            state.schedule(TASKS, HOLD.unsigned_abs(), &Task::Lapse(self.id.clone()))?;
            Event::AmountCapturableUpdated.of(state, self)?;
            return Ok(Answer::ok(self.view(params)));
        }
        self.take(state, self.amount)?;
        Ok(Answer::ok(self.view(params)))
    }

    pub(super) fn capture(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<Answer> {
        let known = ["amount_to_capture", "expand", "final_capture", "metadata"];
        let asked = params
            .only(&known)
            .and_then(|()| params.number("amount_to_capture"));
        let amount = match asked {
            Ok(amount) => amount.unwrap_or(self.amount),
            Err(refusal) => return Ok(refusal),
        };
        if self.status != Status::RequiresCapture {
            return Ok(self.unexpected("capture"));
        }
        if amount > self.amount {
            let message = "The amount to capture is more than was authorized.";
            let parameter = "amount_to_capture";
            return Ok(Answer::invalid(
                Some("amount_too_large"),
                parameter,
                message,
            ));
        }
        self.take(state, amount)?;
        Ok(Answer::ok(self.view(params)))
    }

    pub(super) fn cancel(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<Answer> {
        if let Err(refusal) = params.only(&["cancellation_reason", "expand"]) {
            return Ok(refusal);
        }
        if matches!(self.status, Status::Succeeded | Status::Canceled) {
            return Ok(self.unexpected("cancel"));
        }
        self.end(state, params.get("cancellation_reason"))?;
        Ok(Answer::ok(self.view(params)))
    }

    /// Ends the payment, and lets go what was held for it.
    pub(super) fn end(
        &mut self,
        state: &mut State<'_>,
        reason: Option<&str>,
    ) -> anyhow::Result<()> {
        // Only money that was held is let go.
        if self.status == Status::RequiresCapture {
            state.record(self.effect("canceled", self.amount))?;
        }
        self.status = Status::Canceled;
        self.canceled_at = Some(Timestamp::now());
        self.cancellation_reason = reason.map(str::to_owned);
        Event::Canceled.of(state, self)
    }

    fn take(&mut self, state: &mut State<'_>, amount: i64) -> anyhow::Result<()> {
        self.amount_received = amount;
        self.status = Status::Succeeded;
        state.record(self.effect("captured", amount))?;
        Event::Succeeded.of(state, self)
    }

    /// The card to try: the call's, or else the payment's.
    fn card_to_try(&mut self, params: &Params) -> Result<Card, Answer> {
        if self.allow_redirects.as_deref() == Some("always") && params.get("return_url").is_none() {
            let message = "This PaymentIntent accepts payment methods that might redirect your \
                           customer, so you must provide a return_url, or set \
                           automatic_payment_methods[allow_redirects] to never.";
            return Err(Answer::invalid(
                Some("parameter_missing"),
                "return_url",
                message,
            ));
        }
        if let Some(payment_method) = params.get("payment_method") {
            self.payment_method = Some(payment_method.to_owned());
        } else if self.status == Status::RequiresPaymentMethod {
            params.required("payment_method")?;
        }
        let name = self.payment_method.as_deref().unwrap_or_default();
        cards::find(name).ok_or_else(|| {
            let message = format!("No such PaymentMethod: '{name}'");
            Answer::invalid(Some("resource_missing"), "payment_method", &message)
        })
    }

    fn effect(&self, kind: &str, cents: i64) -> serde_json::Value {
        json!({
            "effect": kind,
            "id": self.id,
            "order_id": self.metadata.get("order_id"),
            "cents": cents,
            "currency": self.currency.to_uppercase(),
        })
    }

    fn declined(&self, decline: Decline, params: &Params) -> Answer {
        let Decline {
            code,
            reason,
            message,
        } = decline;
        let mut answer = Answer::error(402, "card_error", Some(code), message);
        let error = &mut answer.body["error"];
        error["decline_code"] = reason.into();
        error["charge"] = self.charge.as_ref().map(|charge| charge.id.clone()).into();
        error["payment_intent"] = self.view(params);
        answer
    }

    fn unexpected(&self, verb: &str) -> Answer {
        let status = self.status.name();
        let message = format!("You cannot {verb} this PaymentIntent: its status is {status}.");
        let code = Some("payment_intent_unexpected_state");
        Answer::error(400, "invalid_request_error", code, &message)
    }
}

fn check_amount(amount: i64, currency: &str) -> Result<(), Answer> {
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_lowercase()) {
        let message = format!("Invalid currency: {currency}");
        return Err(Answer::invalid(
            Some("parameter_invalid"),
            "currency",
            &message,
        ));
    }
    if amount < MIN_AMOUNT {
        let message = format!("Amount must be at least {MIN_AMOUNT} {currency} in minor units.");
        return Err(Answer::invalid(
            Some("amount_too_small"),
            "amount",
            &message,
        ));
    }
    if amount > MAX_AMOUNT {
        let message = format!("Amount must be no more than {MAX_AMOUNT} {currency}.");
        return Err(Answer::invalid(
            Some("amount_too_large"),
            "amount",
            &message,
        ));
    }
    Ok(())
}
