//! Refunds of captured payments.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ApiResponse, Task,
    cards::RefundOutcome,
    currency::check_fraction,
    event::PaymentEvent,
    find,
    intent::{Intent, Status},
    params::Params,
    view::second,
};
use crate::{
    serve::TASKS,
    storage::{Read, State, new_id},
};

/// How long a bank takes to settle a refund that does not succeed at once.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

const CREATE_PARAMS: &[&str] = &[
    "amount",
    "charge",
    "expand",
    "metadata",
    "payment_intent",
    "reason",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) payment_intent: String,
    charge: String,
    amount: i64,
    currency: String,
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
    status: RefundStatus,
    pub(super) created: Timestamp,
}

impl Refund {
    /// Refunds the requested amount, or all that is left.
    pub(super) fn create(state: &mut State<'_>, params: &Params) -> anyhow::Result<ApiResponse> {
        let known = params.allow_only(CREATE_PARAMS);
        let parsed = known.and_then(|()| {
            let id = params.required("payment_intent")?;
            Ok((id, params.number("amount")?))
        });
        let (id, amount) = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => return Ok(refusal),
        };
        let Some(mut intent) = find(state, id)? else {
            return Ok(ApiResponse::missing("payment_intent", id));
        };
        let (charge, amount) = match refundable(&intent, amount) {
            Ok(refundable) => refundable,
            Err(refusal) => return Ok(refusal.executed()),
        };
        let mut refund = Self {
            id: new_id("re"),
            payment_intent: intent.id.clone(),
            charge,
            amount,
            currency: intent.currency.clone(),
            reason: params.get("reason").map(str::to_owned),
            metadata: params.metadata().collect(),
            status: RefundStatus::Succeeded,
            created: Timestamp::now(),
        };
        let outcome = intent.card().map(|card| card.refund).unwrap_or_default();
        if outcome == RefundOutcome::Pending {
            refund.status = RefundStatus::Pending;
        } else {
            state.record(refund.effect("refunded", &intent))?;
        }
        if outcome != RefundOutcome::Done {
            state.schedule(TASKS, SETTLED_AFTER, &Task::SettleRefund(refund.id.clone()))?;
        }
        intent.amount_refunded += amount;
        intent.store(state)?;
        let name = refund.name();
        state.index_as(&of_intent(&intent.id), &name)?;
        state.put(&name, &refund)?;
        PaymentEvent::RefundCreated.emit(state, &intent, &refund.view())?;
        PaymentEvent::ChargeRefunded.emit(state, &intent, &intent.latest_charge_view())?;
        Ok(ApiResponse::ok(refund.view()))
    }

    /// Settles a refund: a pending one succeeds, one that had succeeded fails.
    pub(super) fn settle(state: &mut State<'_>, id: &str) -> anyhow::Result<()> {
        let Some(mut refund) = Self::find(state, id)? else {
            return Ok(());
        };
        let Some(mut intent) = find(state, &refund.payment_intent)? else {
            return Ok(());
        };
        if refund.status == RefundStatus::Pending {
            refund.status = RefundStatus::Succeeded;
            state.record(refund.effect("refunded", &intent))?;
        } else {
            refund.status = RefundStatus::Failed;
            intent.amount_refunded -= refund.amount;
            intent.store(state)?;
            state.record(refund.effect("refund_failed", &intent))?;
            PaymentEvent::RefundFailed.emit(state, &intent, &refund.view())?;
        }
        state.put(&refund.name(), &refund)?;
        PaymentEvent::RefundUpdated.emit(state, &intent, &refund.view())
    }

    pub(super) fn find(state: &impl Read, id: &str) -> anyhow::Result<Option<Self>> {
        state.get(&format!("refund/{id}"))
    }

    /// The refunds of a payment, newest first.
    pub(super) fn of(state: &impl Read, payment_intent: &str) -> anyhow::Result<Vec<Self>> {
        state.indexed(&of_intent(payment_intent))
    }

    fn name(&self) -> String {
        format!("refund/{}", self.id)
    }

    fn effect(&self, kind: &str, intent: &Intent) -> Value {
        json!({
            "effect": kind,
            "id": self.id,
            "payment_intent": self.payment_intent,
            "order_id": intent.metadata.get("order_id"),
            "refund_id": self.metadata.get("refund_id"),
            "shop": self.metadata.get("shop").or(intent.metadata.get("shop")),
            "cents": self.amount,
            "currency": self.currency.to_uppercase(),
        })
    }

    pub(super) fn view(&self) -> Value {
        let mut view = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": null,
            "charge": self.charge,
            "created": second(self.created),
            "currency": self.currency,
            "destination_details": { "type": "card", "card": { "type": "refund" } },
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "receipt_number": null,
            "status": self.status,
        });
        match self.status {
            RefundStatus::Failed => view["failure_reason"] = "expired_or_canceled_card".into(),
            RefundStatus::Pending => view["pending_reason"] = "processing".into(),
            RefundStatus::Succeeded => {}
        }
        view
    }
}

/// The index key of a payment's refunds.
fn of_intent(id: &str) -> String {
    format!("refunds_of/{id}")
}

/// The charge to refund, and the amount: the requested one, or all that is left.
fn refundable(intent: &Intent, requested: Option<i64>) -> Result<(String, i64), ApiResponse> {
    let charge = intent.charge.as_ref().map(|charge| charge.id.clone());
    let (Status::Succeeded, Some(charge)) = (intent.status, charge) else {
        let id = &intent.id;
        let message =
            format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
        return Err(ApiResponse::invalid(None, "payment_intent", &message));
    };
    if intent.is_charged_back {
        let message = format!("Charge {charge} has been charged back; cannot issue a refund.");
        let code = Some("charge_disputed");
        let refusal = ApiResponse::error(400, "invalid_request_error", code, &message);
        return Err(refusal);
    }
    let left = intent.amount_received - intent.amount_refunded;
    if left == 0 {
        let message = format!("Charge {charge} has already been refunded.");
        let code = Some("charge_already_refunded");
        let refusal = ApiResponse::error(400, "invalid_request_error", code, &message);
        return Err(refusal);
    }
    let amount = requested.unwrap_or(left);
    if amount > left {
        let message = format!(
            "Refund amount ({amount} {currency}) is greater than unrefunded amount on charge \
             ({left} {currency})",
            currency = intent.currency
        );
        return Err(ApiResponse::invalid(None, "amount", &message));
    }
    check_fraction(amount, &intent.currency)?;
    Ok((charge, amount))
}
