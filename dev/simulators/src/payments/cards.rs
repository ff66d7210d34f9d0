//! The test cards: which payment method does what.

use super::dispute::{DisputeStatus, Opening};

/// How a card behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The money is held.
    Approved,
    /// The bank wants the shopper in person.
    ActionRequired,
    /// The bank says no.
    Declined(Decline),
}

/// Why a bank says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decline {
    /// Stripe's error code.
    pub(super) code: &'static str,
    /// The bank's reason, where `code` does not say it.
    pub(super) reason: Option<&'static str>,
    /// For the shopper.
    pub(super) message: &'static str,
}

/// What becomes of money that is given back to a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RefundOutcome {
    /// It arrives.
    #[default]
    Done,
    /// It arrives after a while.
    Pending,
    /// It seems to arrive, and comes back after a while.
    Failed,
}

/// A test card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Card {
    /// The network.
    pub(super) brand: &'static str,
    /// The last four digits.
    pub(super) last4: &'static str,
    /// What it does.
    pub(super) outcome: Outcome,
    /// What it does with a refund.
    pub(super) refund: RefundOutcome,
    /// How its bank disputes what was captured, if it does.
    pub(super) dispute: Option<Opening>,
}

impl Card {
    const fn refunding(self, refund: RefundOutcome) -> Self {
        Self { refund, ..self }
    }

    const fn disputing(self, reason: &'static str, status: DisputeStatus) -> Self {
        Self {
            dispute: Some(Opening { reason, status }),
            ..self
        }
    }
}

const fn card(brand: &'static str, last4: &'static str, outcome: Outcome) -> Card {
    Card {
        brand,
        last4,
        outcome,
        refund: RefundOutcome::Done,
        dispute: None,
    }
}

const fn declined(last4: &'static str, reason: &'static str, message: &'static str) -> Card {
    let decline = Decline {
        code: "card_declined",
        reason: Some(reason),
        message,
    };
    card("visa", last4, Outcome::Declined(decline))
}

const fn faulty(last4: &'static str, code: &'static str, message: &'static str) -> Card {
    let decline = Decline {
        code,
        reason: None,
        message,
    };
    card("visa", last4, Outcome::Declined(decline))
}

/// The test card that a payment method stands for.
pub(super) fn find(payment_method: &str) -> Option<Card> {
    let name = payment_method.strip_prefix("pm_card_")?;
    // The declining ones are known with and without their network.
    let behaviour = name.strip_prefix("visa_").unwrap_or(name);
    let decline = "Your card was declined.";
    Some(match behaviour {
        "visa" | "us" => card("visa", "4242", Outcome::Approved),
        "debit" => card("visa", "5556", Outcome::Approved),
        "mastercard" => card("mastercard", "4444", Outcome::Approved),
        "mastercard_debit" => card("mastercard", "8210", Outcome::Approved),
        "mastercard_prepaid" => card("mastercard", "5100", Outcome::Approved),
        "amex" => card("amex", "8431", Outcome::Approved),
        "discover" => card("discover", "9424", Outcome::Approved),
        "diners" => card("diners", "3237", Outcome::Approved),
        "jcb" => card("jcb", "0505", Outcome::Approved),
        "unionpay" => card("unionpay", "0005", Outcome::Approved),
        "es" => card("visa", "0007", Outcome::Approved),
        "pendingRefund" => {
            card("visa", "7726", Outcome::Approved).refunding(RefundOutcome::Pending)
        }
        "refundFail" => card("visa", "5126", Outcome::Approved).refunding(RefundOutcome::Failed),
        "createDispute" => card("visa", "0259", Outcome::Approved)
            .disputing("fraudulent", DisputeStatus::NeedsResponse),
        "createDisputeProductNotReceived" => card("visa", "2685", Outcome::Approved)
            .disputing("product_not_received", DisputeStatus::NeedsResponse),
        "createDisputeInquiry" => card("visa", "1976", Outcome::Approved)
            .disputing("fraudulent", DisputeStatus::WarningNeedsResponse),
        "chargeDeclined" => declined("0002", "generic_decline", decline),
        "chargeDeclinedInsufficientFunds" => declined(
            "9995",
            "insufficient_funds",
            "Your card has insufficient funds.",
        ),
        "chargeDeclinedLostCard" => declined("9987", "lost_card", decline),
        "chargeDeclinedStolenCard" => declined("9979", "stolen_card", decline),
        "chargeDeclinedFraudulent" => declined("0019", "fraudulent", decline),
        "chargeDeclinedExpiredCard" => faulty("0069", "expired_card", "Your card has expired."),
        "chargeDeclinedIncorrectCvc" => faulty(
            "0127",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
        ),
        "chargeDeclinedProcessingError" => {
            let message =
                "An error occurred while processing your card. Try again in a little bit.";
            faulty("0119", "processing_error", message)
        }
        "authenticationRequired" | "authenticationRequiredOnSetup" => {
            card("visa", "3184", Outcome::ActionRequired)
        }
        "threeDSecure2Required" => card("visa", "3220", Outcome::ActionRequired),
        "threeDSecureRequired" => card("visa", "3063", Outcome::ActionRequired),
        _ => return None,
    })
}
