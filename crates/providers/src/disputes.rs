//! Disputes of payments, by Stripe's API.

use std::ops::Range;

use jiff::Timestamp;
use orders::{Cents, DisputeStatus, DisputedFunds, PaymentId};
use serde::Deserialize;

use crate::{
    CallError, Page, Payments, Record,
    records::{id_or_object, nullable},
};

/// A dispute at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// Its status.
    pub status: DisputeStatus,
    /// The disputed amount, in the currency's minor unit.
    pub amount: Cents,
    /// The currency, in lower case.
    pub currency: String,
    /// The cardholder's reason, such as `fraudulent`.
    #[serde(default, deserialize_with = "nullable")]
    pub reason: String,
    /// The disputed payment, by the provider's id.
    #[serde(default, deserialize_with = "id_or_object")]
    pub payment_intent: Option<PaymentId>,
    #[serde(default, deserialize_with = "nullable")]
    evidence_details: EvidenceDetails,
    #[serde(default, deserialize_with = "nullable")]
    balance_transactions: Vec<BalanceTransaction>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct EvidenceDetails {
    due_by: Option<i64>,
}

/// A movement on the account's balance. A negative amount is a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct BalanceTransaction {
    amount: i64,
}

impl Dispute {
    /// The deadline for evidence; `None` if the bank accepts no evidence.
    pub fn evidence_due_by(&self) -> Option<Timestamp> {
        let second = self.evidence_details.due_by.filter(|second| *second > 0)?;
        Timestamp::from_second(second).ok()
    }

    /// Whether the disputed amount has left the account.
    pub fn funds(&self) -> DisputedFunds {
        let mut amounts = self.balance_transactions.iter().map(|it| it.amount);
        if amounts.clone().any(|amount| amount > 0) {
            DisputedFunds::Reinstated
        } else if amounts.any(|amount| amount < 0) {
            DisputedFunds::Withdrawn
        } else {
            DisputedFunds::NotWithdrawn
        }
    }
}

impl Payments {
    /// Returns a page of the disputes that were opened in `created`, without its end, newest first.
    /// Each has its payment's reference.
    pub async fn list_disputes(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Dispute>, CallError> {
        self.list_created("/v1/disputes", created, "data.payment_intent", page)
            .await
    }

    /// Returns the current state of a dispute, with its payment's reference.
    pub async fn dispute(&self, id: &str) -> Result<Record<Dispute>, CallError> {
        self.get_record(&format!("/v1/disputes/{id}")).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn dispute(more: Value) -> Dispute {
        let mut dispute = json!({
            "id": "du_1", "object": "dispute", "amount": 2000, "currency": "eur",
            "status": "needs_response", "reason": "fraudulent", "payment_intent": "pi_1",
            "evidence_details": { "due_by": 1_800_000_000, "has_evidence": false },
            "balance_transactions": [],
        });
        let Value::Object(more) = more else {
            panic!("an object");
        };
        dispute.as_object_mut().unwrap().extend(more);
        serde_json::from_value(dispute).unwrap()
    }

    #[test]
    fn a_dispute_has_the_deadline_for_evidence_and_the_state_of_its_funds() {
        let due = Timestamp::from_second(1_800_000_000).ok();
        assert_eq!(dispute(json!({})).evidence_due_by(), due);
        for details in [
            json!({ "due_by": 0 }),
            json!({ "due_by": null }),
            json!(null),
        ] {
            let none = dispute(json!({ "evidence_details": details }));
            assert_eq!(none.evidence_due_by(), None);
        }
        let withdrawn = json!({ "amount": -2000 });
        let reinstated = json!({ "amount": 2000 });
        for (transactions, funds) in [
            (json!([]), DisputedFunds::NotWithdrawn),
            (json!(null), DisputedFunds::NotWithdrawn),
            (json!([withdrawn]), DisputedFunds::Withdrawn),
            (json!([withdrawn, reinstated]), DisputedFunds::Reinstated),
        ] {
            let dispute = dispute(json!({ "balance_transactions": transactions }));
            assert_eq!(dispute.funds(), funds, "{transactions}");
        }
    }

    #[test]
    fn a_dispute_with_an_unknown_status_is_read() {
        let prevented = dispute(json!({ "status": "prevented" }));
        assert_eq!(prevented.status, DisputeStatus::Prevented);
        let other = dispute(json!({ "status": "in_arbitration", "payment_intent": null }));
        assert_eq!(other.status, DisputeStatus::Other);
        assert_eq!(other.payment_intent, None);
    }
}
