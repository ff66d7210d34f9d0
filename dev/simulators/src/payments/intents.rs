//! A payment's states and what moves it between them. Rules only: the operations on the store are
//! in `operations`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    answer::Refusal,
    cards::{Card, Decline, Outcome},
    render,
};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No card, or one that was declined.
    RequiresPaymentMethod,
    /// A card that was not tried yet.
    RequiresConfirmation,
    /// The bank wants the shopper in person.
    RequiresAction,
    /// The money is held.
    RequiresCapture,
    /// The money is taken.
    Succeeded,
    /// It was let go.
    Canceled,
}

/// Whether the money is taken at once or on a later word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// Held first.
    Manual,
    /// At once.
    Automatic,
    /// At once, a little later on the books; the same here.
    AutomaticAsync,
}

/// A payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    /// Its name; names sort by creation.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// How much, in minor units.
    pub amount: i64,
    /// How much of it was taken.
    pub amount_received: i64,
    /// Three small letters.
    pub currency: String,
    /// Where it stands.
    pub status: Status,
    /// When the money is taken.
    pub capture_method: CaptureMethod,
    /// The card.
    pub payment_method: Option<String>,
    /// What may pay.
    pub payment_method_types: Vec<String>,
    /// `allow_redirects`, where the payment methods are automatic.
    pub automatic_payment_methods: Option<String>,
    /// The caller's own notes.
    pub metadata: BTreeMap<String, String>,
    /// The caller's own words.
    pub description: Option<String>,
    /// The last try.
    pub charge: Option<Charge>,
    /// When it was let go.
    pub canceled_at: Option<Timestamp>,
    /// Why it was let go.
    pub cancellation_reason: Option<String>,
}

/// One try to get the money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Charge {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// When the hold lapses, while one is there.
    pub capture_before: Option<Timestamp>,
    /// Why the bank said no, with its reason.
    pub failure: Option<Failed>,
}

/// Why the bank said no.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failed {
    /// Stripe's error code.
    pub code: String,
    /// The bank's reason.
    pub decline_code: Option<String>,
    /// For the shopper.
    pub message: String,
}

impl Status {
    /// Stripe's name for it.
    pub const fn as_str(self) -> &'static str {
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

impl Intent {
    /// A name for a payment or a charge, later than every one before.
    pub fn name(prefix: &str) -> String {
        format!("{prefix}_{}", Uuid::now_v7().simple())
    }

    /// The order that the caller noted.
    pub fn order_id(&self) -> Option<String> {
        self.metadata.get("order_id").cloned()
    }

    /// How much is held and not taken.
    pub fn held(&self) -> i64 {
        if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        }
    }

    /// Tries the card. A declined one is a refusal, and a change of the payment all the same.
    pub fn confirm(&mut self, card: Card, now: Timestamp, hold_until: Timestamp) -> Option<Refusal> {
        if card.outcome == Outcome::ActionRequired {
            self.status = Status::RequiresAction;
            return None;
        }
        let mut charge = Charge {
            id: Self::name("ch"),
            created: now,
            capture_before: None,
            failure: None,
        };
        let refusal = match card.outcome {
            Outcome::Declined(decline) => {
                charge.failure = Some(decline.into());
                self.status = Status::RequiresPaymentMethod;
                Some(decline)
            }
            _ if self.capture_method == CaptureMethod::Manual => {
                charge.capture_before = Some(hold_until);
                self.status = Status::RequiresCapture;
                None
            }
            _ => {
                self.amount_received = self.amount;
                self.status = Status::Succeeded;
                None
            }
        };
        let charge_id = charge.id.clone();
        self.charge = Some(charge);
        refusal.map(|decline| self.declined(decline, &charge_id))
    }

    /// Takes held money, all or part; the rest is let go.
    pub fn capture(&mut self, amount: Option<i64>) -> Result<i64, Refusal> {
        if self.status != Status::RequiresCapture {
            return Err(self.unexpected("captured", "requires_capture"));
        }
        let amount = amount.unwrap_or(self.amount);
        if amount > self.amount {
            let message = format!(
                "The amount_to_capture ({amount}) is greater than the amount that can be captured \
                 ({}) on this PaymentIntent.",
                self.amount
            );
            return Err(Refusal::invalid("amount_to_capture", message)
                .code("amount_too_large")
                .executed());
        }
        self.amount_received = amount;
        self.status = Status::Succeeded;
        Ok(amount)
    }

    /// Lets it go; gives how much was held.
    pub fn cancel(&mut self, reason: Option<String>, now: Timestamp) -> Result<i64, Refusal> {
        if matches!(self.status, Status::Succeeded | Status::Canceled) {
            let from = "requires_payment_method, requires_capture, requires_confirmation, \
                        requires_action";
            return Err(self.unexpected("canceled", from));
        }
        let held = self.held();
        self.status = Status::Canceled;
        self.canceled_at = Some(now);
        self.cancellation_reason = reason;
        Ok(held)
    }

    /// Whether the hold ran out before anyone took the money.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        let hold_until = self.charge.as_ref().and_then(|charge| charge.capture_before);
        self.status == Status::RequiresCapture && hold_until.is_some_and(|until| until <= now)
    }

    /// The refusal of an operation that does not fit where the payment stands.
    pub fn unexpected(&self, done: &str, wanted: &str) -> Refusal {
        let message = format!(
            "This PaymentIntent could not be {done} because it has a status of {}. Only a \
             PaymentIntent with one of the following statuses may be {done}: {wanted}.",
            self.status.as_str()
        );
        Refusal::new(400, "invalid_request_error", message)
            .code("payment_intent_unexpected_state")
            .with("payment_intent", render::intent(self, false))
            .executed()
    }

    fn declined(&self, decline: Decline, charge_id: &str) -> Refusal {
        let refusal = Refusal::new(402, "card_error", decline.message)
            .code(decline.code)
            .with("charge", charge_id)
            .with("payment_intent", render::intent(self, false))
            .executed();
        match decline.decline_code {
            Some(reason) => refusal.with("decline_code", reason),
            None => refusal,
        }
    }
}

impl From<Decline> for Failed {
    fn from(decline: Decline) -> Self {
        Self {
            code: decline.code.to_owned(),
            decline_code: decline.decline_code.map(str::to_owned),
            message: decline.message.to_owned(),
        }
    }
}
