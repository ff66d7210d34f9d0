//! Stripe's test cards: the behaviour of each test payment method.

use super::dispute::{DisputeOpening, DisputeStatus};

/// The result of an authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The bank approves.
    Approved,
    /// The bank asks the shopper to authenticate.
    ActionRequired,
    /// The bank declines.
    Declined(Decline),
}

/// Why a bank declines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decline {
    /// Stripe's error code.
    pub(super) code: &'static str,
    /// Stripe's decline code, if `code` is only `card_declined`.
    pub(super) reason: Option<&'static str>,
    /// The message for the shopper.
    pub(super) message: &'static str,
}

/// The result of a refund to a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RefundOutcome {
    /// Succeeds at once.
    #[default]
    Done,
    /// Is pending first, and succeeds later.
    Pending,
    /// Succeeds first, and fails later.
    Failed,
}

/// A test card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Card {
    /// The card network.
    pub(super) brand: &'static str,
    pub(super) last4: &'static str,
    pub(super) outcome: Outcome,
    pub(super) refund: RefundOutcome,
    /// The dispute that the bank opens after the capture, if any.
    pub(super) dispute: Option<DisputeOpening>,
}

impl Card {
    const fn with_refund(self, refund: RefundOutcome) -> Self {
        Self { refund, ..self }
    }

    const fn with_dispute(self, reason: &'static str, status: DisputeStatus) -> Self {
        Self {
            dispute: Some(DisputeOpening { reason, status }),
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

const fn rejected(last4: &'static str, code: &'static str, message: &'static str) -> Card {
    let decline = Decline {
        code,
        reason: None,
        message,
    };
    card("visa", last4, Outcome::Declined(decline))
}

/// The test card of a payment method.
pub(super) fn find(payment_method: &str) -> Option<Card> {
    let name = payment_method.strip_prefix("pm_card_")?;
    // Stripe's names of declining cards exist with and without the network.
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
            card("visa", "7726", Outcome::Approved).with_refund(RefundOutcome::Pending)
        }
        "refundFail" => card("visa", "5126", Outcome::Approved).with_refund(RefundOutcome::Failed),
        "createDispute" => card("visa", "0259", Outcome::Approved)
            .with_dispute("fraudulent", DisputeStatus::NeedsResponse),
        "createDisputeProductNotReceived" => card("visa", "2685", Outcome::Approved)
            .with_dispute("product_not_received", DisputeStatus::NeedsResponse),
        "createDisputeInquiry" => card("visa", "1976", Outcome::Approved)
            .with_dispute("fraudulent", DisputeStatus::WarningNeedsResponse),
        "chargeDeclined" => declined("0002", "generic_decline", decline),
        "chargeDeclinedInsufficientFunds" => declined(
            "9995",
            "insufficient_funds",
            "Your card has insufficient funds.",
        ),
        "chargeDeclinedLostCard" => declined("9987", "lost_card", decline),
        "chargeDeclinedStolenCard" => declined("9979", "stolen_card", decline),
        "chargeDeclinedFraudulent" => declined("0019", "fraudulent", decline),
        "chargeDeclinedExpiredCard" => rejected("0069", "expired_card", "Your card has expired."),
        "chargeDeclinedIncorrectCvc" => rejected(
            "0127",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
        ),
        "chargeDeclinedProcessingError" => {
            let message =
                "An error occurred while processing your card. Try again in a little bit.";
            rejected("0119", "processing_error", message)
        }
        "authenticationRequired" | "authenticationRequiredOnSetup" => {
            card("visa", "3184", Outcome::ActionRequired)
        }
        "threeDSecure2Required" => card("visa", "3220", Outcome::ActionRequired),
        "threeDSecureRequired" => card("visa", "3063", Outcome::ActionRequired),
        _ => return None,
    })
}
