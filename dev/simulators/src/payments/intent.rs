//! Payment intents and their state changes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    ApiResponse, Task,
    cards::{self, Card, Decline, Outcome},
    currency::check_charge,
    event::PaymentEvent,
    params::Params,
    search::metadata_key,
};
use crate::{
    serve::TASKS,
    storage::{State, new_id},
};

/// How long an authorization is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long after its capture a payment with a disputing test card is disputed.
const DISPUTED_AFTER: Duration = Duration::from_secs(1);

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

/// The reasons that a caller may give for a cancellation.
const CANCELLATION_REASONS: &[&str] = &[
    "abandoned",
    "duplicate",
    "fraudulent",
    "requested_by_customer",
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
    /// The refunds that succeeded or are pending.
    #[serde(default)]
    pub(super) amount_refunded: i64,
    /// Whether a chargeback of it is open or lost.
    #[serde(default)]
    pub(super) is_charged_back: bool,
    pub(super) currency: String,
    pub(super) capture_method: String,
    pub(super) payment_method: Option<String>,
    /// `automatic_payment_methods[allow_redirects]`; `None` if the caller listed the method types.
    pub(super) allow_redirects: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) canceled_at: Option<Timestamp>,
    pub(super) cancellation_reason: Option<String>,
    pub(super) charge: Option<Charge>,
}

/// An attempt to authorize the payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) created: Timestamp,
    /// When the authorization expires, if it is captured manually.
    pub(super) capture_before: Option<Timestamp>,
    /// Why the bank declined: code, decline code and message.
    pub(super) failure: Option<(String, Option<String>, String)>,
}

impl Intent {
    pub(super) fn create(params: &Params) -> Result<Self, ApiResponse> {
        params.allow_only(CREATE_PARAMS)?;
        params.required("amount")?;
        let amount = params.number("amount")?.unwrap_or_default();
        let currency = params.required("currency")?.to_lowercase();
        check_charge(amount, &currency)?;
        let capture_method = params.get("capture_method").unwrap_or("automatic_async");
        let mut types = params.list("payment_method_types").peekable();
        // The default since API version 2023-08-16: the methods that the dashboard enables.
        let allow_redirects = types.peek().is_none().then(|| {
            let redirects = params.get("automatic_payment_methods[allow_redirects]");
            redirects.unwrap_or("always").to_owned()
        });
        if let Some(other) = types.find(|kind| *kind != "card") {
            let message = format!("The payment method type \"{other}\" is invalid.");
            return Err(ApiResponse::invalid(None, "payment_method_types", &message));
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
            is_charged_back: false,
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

    /// The test card of its payment method.
    pub(super) fn card(&self) -> Option<Card> {
        cards::find(self.payment_method.as_deref()?)
    }

    pub(super) fn store(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        let name = format!("intent/{}", self.id);
        for (field, value) in &self.metadata {
            state.index_as(&metadata_key(field, value), &name)?;
        }
        state.put(&name, self)
    }

    /// Authorizes the payment, and captures it if its capture is automatic. A declined card changes
    /// the payment too.
    pub(super) fn confirm(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<ApiResponse> {
        if !matches!(
            self.status,
            Status::RequiresConfirmation | Status::RequiresPaymentMethod
        ) {
            return Ok(self.unexpected("confirm"));
        }
        let card = match self.card_to_authorize(params) {
            Ok(card) => card,
            Err(refusal) => return Ok(refusal),
        };
        if card.outcome == Outcome::ActionRequired {
            self.status = Status::RequiresAction;
            PaymentEvent::RequiresAction.emit_intent(state, self)?;
            return Ok(ApiResponse::ok(self.view(params)));
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
            PaymentEvent::PaymentFailed.emit_intent(state, self)?;
            return Ok(self.declined(decline, params));
        }
        let is_manual = self.capture_method == "manual";
        charge.capture_before = is_manual.then(|| now + VALIDITY);
        self.charge = Some(charge);
        self.status = Status::RequiresCapture;
        state.record(self.effect("authorized", self.amount))?;
        if is_manual {
            state.schedule(
                TASKS,
                VALIDITY.unsigned_abs(),
                &Task::Lapse(self.id.clone()),
            )?;
            PaymentEvent::AmountCapturableUpdated.emit_intent(state, self)?;
            return Ok(ApiResponse::ok(self.view(params)));
        }
        self.capture_amount(state, self.amount)?;
        Ok(ApiResponse::ok(self.view(params)))
    }

    pub(super) fn capture(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<ApiResponse> {
        let known = ["amount_to_capture", "expand", "final_capture", "metadata"];
        let amount = params
            .allow_only(&known)
            .and_then(|()| params.number("amount_to_capture"));
        let amount = match amount {
            Ok(amount) => amount.unwrap_or(self.amount),
            Err(refusal) => return Ok(refusal),
        };
        if self.status != Status::RequiresCapture {
            return Ok(self.unexpected("capture"));
        }
        if amount > self.amount {
            let message = "The amount to capture is more than was authorized.";
            let parameter = "amount_to_capture";
            return Ok(ApiResponse::invalid(
                Some("amount_too_large"),
                parameter,
                message,
            ));
        }
        self.capture_amount(state, amount)?;
        Ok(ApiResponse::ok(self.view(params)))
    }

    pub(super) fn cancel(
        &mut self,
        state: &mut State<'_>,
        params: &Params,
    ) -> anyhow::Result<ApiResponse> {
        let reason = params
            .allow_only(&["cancellation_reason", "expand"])
            .and_then(|()| cancellation_reason(params));
        let reason = match reason {
            Ok(reason) => reason,
            Err(refusal) => return Ok(refusal),
        };
        if matches!(self.status, Status::Succeeded | Status::Canceled) {
            return Ok(self.unexpected("cancel"));
        }
        self.cancel_with_reason(state, reason)?;
        Ok(ApiResponse::ok(self.view(params)))
    }

    /// Cancels the payment and voids its authorization.
    pub(super) fn cancel_with_reason(
        &mut self,
        state: &mut State<'_>,
        reason: Option<&str>,
    ) -> anyhow::Result<()> {
        // Without an authorization there is no effect.
        if self.status == Status::RequiresCapture {
            state.record(self.effect("canceled", self.amount))?;
        }
        self.status = Status::Canceled;
        self.canceled_at = Some(Timestamp::now());
        self.cancellation_reason = reason.map(str::to_owned);
        PaymentEvent::Canceled.emit_intent(state, self)
    }

    fn capture_amount(&mut self, state: &mut State<'_>, amount: i64) -> anyhow::Result<()> {
        self.amount_received = amount;
        self.status = Status::Succeeded;
        state.record(self.effect("captured", amount))?;
        if self.card().is_some_and(|card| card.dispute.is_some()) {
            state.schedule(TASKS, DISPUTED_AFTER, &Task::Dispute(self.id.clone()))?;
        }
        PaymentEvent::Succeeded.emit_intent(state, self)
    }

    /// The card to authorize: the call's, or else the payment's.
    fn card_to_authorize(&mut self, params: &Params) -> Result<Card, ApiResponse> {
        if self.allow_redirects.as_deref() == Some("always") && params.get("return_url").is_none() {
            let message = "This PaymentIntent accepts payment methods that might redirect your \
                           customer, so you must provide a return_url, or set \
                           automatic_payment_methods[allow_redirects] to never.";
            return Err(ApiResponse::invalid(
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
            ApiResponse::invalid(Some("resource_missing"), "payment_method", &message)
        })
    }

    fn effect(&self, kind: &str, cents: i64) -> serde_json::Value {
        json!({
            "effect": kind,
            "id": self.id,
            "order_id": self.metadata.get("order_id"),
            "shop": self.metadata.get("shop"),
            "cents": cents,
            "currency": self.currency.to_uppercase(),
        })
    }

    fn declined(&self, decline: Decline, params: &Params) -> ApiResponse {
        let Decline {
            code,
            reason,
            message,
        } = decline;
        let mut answer = ApiResponse::error(402, "card_error", Some(code), message).executed();
        let error = &mut answer.body["error"];
        if let Some(reason) = reason {
            error["decline_code"] = reason.into();
        }
        if let Some(charge) = &self.charge {
            error["charge"] = charge.id.as_str().into();
        }
        error["payment_intent"] = self.view(params);
        answer
    }

    fn unexpected(&self, verb: &str) -> ApiResponse {
        let status = self.status.name();
        let message = format!("You cannot {verb} this PaymentIntent: its status is {status}.");
        let code = Some("payment_intent_unexpected_state");
        ApiResponse::error(400, "invalid_request_error", code, &message).executed()
    }
}

/// The call's cancellation reason, if it is a known one.
fn cancellation_reason(params: &Params) -> Result<Option<&str>, ApiResponse> {
    let reason = params.get("cancellation_reason");
    if reason.is_none_or(|reason| CANCELLATION_REASONS.contains(&reason)) {
        return Ok(reason);
    }
    let known = CANCELLATION_REASONS.join(", ");
    let message = format!("Invalid cancellation_reason: must be one of {known}");
    Err(ApiResponse::invalid(None, "cancellation_reason", &message))
}
