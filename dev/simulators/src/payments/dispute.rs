//! Disputes: the cardholder's bank reverses a payment, or asks about it first.

use axum::{
    Json,
    extract::{Path, Query, State as Extract},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use super::{
    ApiResponse,
    event::PaymentEvent,
    find,
    intent::{Intent, Status},
    page::PageRequest,
    params::Params,
    search,
    view::second,
};
use crate::{
    serve::SimulatorError,
    storage::{Read, State, Storage, new_id},
};

/// How long after the opening evidence can be submitted.
const EVIDENCE: SignedDuration = SignedDuration::from_hours(9 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    /// Whether the dispute is an open or lost chargeback. Then the charge cannot be refunded.
    const fn is_chargeback(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost)
    }

    const fn is_closed(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost)
    }
}

/// The initial reason and status of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DisputeOpening {
    pub(super) reason: &'static str,
    pub(super) status: DisputeStatus,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    payment_intent: String,
    charge: String,
    amount: i64,
    currency: String,
    reason: String,
    status: DisputeStatus,
    created: Timestamp,
    due_by: Timestamp,
    /// The movements on the account's balance: withdrawals are negative.
    transactions: Vec<i64>,
}

impl Dispute {
    /// Opens a dispute of `amount` of a captured payment.
    fn open(
        state: &mut State<'_>,
        intent: &mut Intent,
        amount: i64,
        reason: &str,
        status: DisputeStatus,
    ) -> anyhow::Result<Self> {
        let charge = intent.charge.as_ref();
        let now = Timestamp::now();
        let mut dispute = Self {
            id: new_id("du"),
            payment_intent: intent.id.clone(),
            charge: charge.map(|charge| charge.id.clone()).unwrap_or_default(),
            amount,
            currency: intent.currency.clone(),
            reason: reason.to_owned(),
            status,
            created: now,
            due_by: now + EVIDENCE,
            transactions: Vec::new(),
        };
        dispute.store(state, intent)?;
        state.index_as(&of_intent(&intent.id), &dispute.name())?;
        PaymentEvent::DisputeCreated.emit(state, intent, &dispute.view())?;
        if status.is_chargeback() {
            dispute.withdraw(state, intent)?;
        }
        Ok(dispute)
    }

    /// Opens the dispute that the payment's test card triggers.
    pub(super) fn open_for_card(state: &mut State<'_>, id: &str) -> anyhow::Result<()> {
        let Some(mut intent) = find(state, id)? else {
            return Ok(());
        };
        if let Some(DisputeOpening { reason, status }) = intent.card().and_then(|card| card.dispute)
        {
            let amount = intent.amount_received;
            Self::open(state, &mut intent, amount, reason, status)?;
        }
        Ok(())
    }

    /// Moves the dispute to another status.
    fn change(
        &mut self,
        state: &mut State<'_>,
        intent: &mut Intent,
        status: DisputeStatus,
    ) -> anyhow::Result<()> {
        self.status = status;
        self.store(state, intent)?;
        let event = if status.is_closed() {
            PaymentEvent::DisputeClosed
        } else {
            PaymentEvent::DisputeUpdated
        };
        event.emit(state, intent, &self.view())?;
        let is_withdrawn = self.transactions.iter().sum::<i64>() < 0;
        if status.is_chargeback() && !is_withdrawn {
            self.withdraw(state, intent)
        } else if status == DisputeStatus::Won && is_withdrawn {
            self.transactions.push(self.amount);
            self.store(state, intent)?;
            PaymentEvent::DisputeFundsReinstated.emit(state, intent, &self.view())
        } else {
            Ok(())
        }
    }

    fn withdraw(&mut self, state: &mut State<'_>, intent: &mut Intent) -> anyhow::Result<()> {
        self.transactions.push(-self.amount);
        self.store(state, intent)?;
        PaymentEvent::DisputeFundsWithdrawn.emit(state, intent, &self.view())
    }

    fn store(&self, state: &mut State<'_>, intent: &mut Intent) -> anyhow::Result<()> {
        intent.is_charged_back = self.status.is_chargeback();
        intent.store(state)?;
        state.put(&self.name(), self)
    }

    fn find(state: &impl Read, id: &str) -> anyhow::Result<Option<Self>> {
        state.get(&format!("dispute/{id}"))
    }

    fn name(&self) -> String {
        format!("dispute/{}", self.id)
    }

    fn view(&self) -> Value {
        let transactions = self.transactions.iter().enumerate();
        let transactions: Vec<Value> = transactions
            .map(|(index, amount)| self.transaction_view(index, *amount))
            .collect();
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": transactions,
            "charge": self.charge,
            "created": second(self.created),
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": { "enhanced_evidence": {} },
            "evidence_details": {
                "due_by": second(self.due_by),
                "enhanced_eligibility": {},
                "has_evidence": false,
                "past_due": self.due_by < Timestamp::now(),
                "submission_count": 0,
            },
            "is_charge_refundable": !self.status.is_chargeback(),
            "livemode": false,
            "metadata": {},
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "status": self.status,
        })
    }

    /// A movement on the account's balance; `index` counts from 0.
    fn transaction_view(&self, index: usize, amount: i64) -> Value {
        let second = self.created.as_second();
        let (category, what) = if amount < 0 {
            ("dispute", "withdrawal")
        } else {
            ("dispute_reversal", "reversal")
        };
        json!({
            "id": format!("txn_{}_{index}", self.id),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": second,
            "balance_type": "payments",
            "created": second,
            "currency": self.currency,
            "description": format!("Chargeback {what} for {}", self.charge),
            "exchange_rate": null,
            "fee": 0,
            "fee_details": [],
            "net": amount,
            "reporting_category": category,
            "source": self.id,
            "status": "available",
            "type": "adjustment",
        })
    }
}

/// The index key of a payment's disputes.
fn of_intent(id: &str) -> String {
    format!("disputes_of/{id}")
}

/// Replaces each object's payment id by the whole payment, if the call expands it.
pub(super) fn expand_payments<'a>(
    state: &impl Read,
    params: &Params,
    objects: impl Iterator<Item = &'a mut Value>,
) -> anyhow::Result<()> {
    if !params.expands("payment_intent") {
        return Ok(());
    }
    for object in objects {
        let id = object["payment_intent"].as_str().unwrap_or_default();
        if let Some(intent) = find(state, id)? {
            object["payment_intent"] = intent.view(&Params::default());
        }
    }
    Ok(())
}

pub(super) async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    let params = Params::from(query);
    let snapshot = storage.snapshot()?;
    let Some(dispute) = Dispute::find(&snapshot, &id)? else {
        return Ok(ApiResponse::missing("dispute", &id));
    };
    let mut view = dispute.view();
    expand_payments(&snapshot, &params, std::iter::once(&mut view))?;
    Ok(ApiResponse::ok(view))
}

pub(super) async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    const KNOWN: &[&str] = &[
        "charge",
        "created",
        "expand",
        "limit",
        "payment_intent",
        "starting_after",
    ];
    let params = Params::from(query);
    let known = params.allow_only(KNOWN);
    let page = match known.and_then(|()| PageRequest::of(&params, "starting_after")) {
        Ok(page) => page,
        Err(refusal) => return Ok(refusal),
    };
    let snapshot = storage.snapshot()?;
    let end = page.end("du");
    let disputes = snapshot.newest::<Dispute>("dispute/", end.as_deref())?;
    let matches = |dispute: &Dispute| {
        let is = |name, value: &str| params.get(name).is_none_or(|filter| filter == value);
        is("charge", &dispute.charge) && is("payment_intent", &dispute.payment_intent)
    };
    let disputes = disputes.filter(|it| it.as_ref().map_or(true, matches));
    let selected = page.select(disputes, |dispute| dispute.created)?;
    let mut view = selected.view("list", "/v1/disputes", Dispute::view);
    let objects = view["data"].as_array_mut().into_iter().flatten();
    expand_payments(&snapshot, &params, objects)?;
    Ok(ApiResponse::ok(view))
}

/// Opens a dispute of an order's payment, or changes it.
#[derive(Deserialize)]
pub(super) struct DisputeRequest {
    order_id: String,
    /// Default: `needs_response`.
    status: Option<DisputeStatus>,
    /// Default: `fraudulent`.
    reason: Option<String>,
    /// Default: the captured amount.
    cents: Option<i64>,
}

/// Opens or changes the dispute of an order's payment. Answers with the dispute.
pub(super) async fn control(
    Extract(storage): Extract<Arc<Storage>>,
    Json(request): Json<DisputeRequest>,
) -> Result<Response, SimulatorError> {
    let disputed = storage.transact(|state| {
        let key = search::metadata_key("order_id", &request.order_id);
        let mut intents: Vec<Intent> = state.indexed(&key)?;
        intents.retain(|intent| intent.status == Status::Succeeded);
        let Some(mut intent) = intents.into_iter().next() else {
            return Ok(None);
        };
        let status = request.status.unwrap_or(DisputeStatus::NeedsResponse);
        let known: Vec<Dispute> = state.indexed(&of_intent(&intent.id))?;
        let dispute = if let Some(mut dispute) = known.into_iter().next() {
            dispute.change(state, &mut intent, status)?;
            dispute
        } else {
            let amount = request.cents.unwrap_or(intent.amount_received);
            let reason = request.reason.as_deref().unwrap_or("fraudulent");
            Dispute::open(state, &mut intent, amount, reason, status)?
        };
        Ok(Some(dispute.view()))
    });
    let disputed = disputed.await?;
    Ok(disputed.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |dispute| Json(dispute).into_response(),
    ))
}
