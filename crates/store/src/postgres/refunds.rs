//! Refunds within a limit for each user and day, and refunds that a second person approves
//! (`reserve_refund_allowance`, `request_refund_approval` and `approve_refund` in `schema.sql`).

use std::str::FromStr;

use jiff::Timestamp;
use orders::{Cents, Currency, Order, OrderEvent, OrderId, RefundId};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use thiserror::Error;
use tokio_postgres::{Row, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Refunds,
    arguments::{AnsweredClaim, Timestamptz},
    database::Parameters,
    idempotency::{Claim, StoredResponse},
    record::{RecordError, Recording, record_events},
};
use crate::{
    cursor::{self, BadCursor, Page, one_more},
    error::StoreError,
};

/// The maximum number of approvals that are listed with their order.
const MAX_APPROVALS_OF_ORDER: i64 = 50;

/// Reserves the total amount of the events.
const RECORD_WITHIN_LIMIT: &str = concat!(
    "select case when ",
    record_events!(),
    " then reserve_refund_allowance($2 || jsonb_build_object('cents', (
            select sum((event #>> '{data,cents}')::bigint) from jsonb_array_elements($1 -> 'events') as event
        )))
        else false end"
);

const RECORD_APPROVED: &str = concat!(
    "select case when ",
    record_events!(),
    " then approve_refund($2) else false end"
);

const REQUEST: &str = "select replayed, answer from request_refund_approval($1)";

/// The columns of an approval.
macro_rules! columns {
    () => {
        "id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at,
            expires_at, decision, decided_by, decided_by_name, decided_at, decision_reason"
    };
}

const BY_ID: &str = concat!(
    "select ",
    columns!(),
    " from refund_approvals where id = $1"
);

const OF_ORDER: &str = concat!(
    "select ",
    columns!(),
    " from refund_approvals where order_id = $1 order by id desc limit $2"
);

const OPEN: &str = concat!(
    "select ",
    columns!(),
    " from refund_approvals
    where decision is null and expires_at > $1 and id > $2 order by id limit $3"
);

const DECLINE: &str = concat!(
    "update refund_approvals
    set decision = 'declined', decided_by = $2, decided_by_name = $3, decided_at = $4,
        decision_reason = $5
    where id = $1 and decision is null and expires_at > $4
    returning ",
    columns!()
);

/// A user who makes, requests, approves or declines a refund.
#[derive(Debug, Clone)]
pub struct RefundActor {
    /// The user's id.
    pub id: Uuid,
    /// The user's e-mail address at this time.
    pub name: String,
}

/// How much a user may refund per day (UTC) in one currency.
#[derive(Debug, Clone, Copy)]
pub struct DayLimit<'a> {
    /// The user's id.
    pub actor: Uuid,
    /// The currency.
    pub currency: &'a Currency,
    /// The limit, in cents.
    pub cents: Cents,
}

/// A request for the approval of a refund.
#[derive(Debug, Clone)]
pub struct ApprovalRequest<'a> {
    /// The request's id, which is the refund's id once it is approved.
    pub id: RefundId,
    /// The order's id.
    pub order: OrderId,
    /// The amount, in cents.
    pub cents: Cents,
    /// The currency of the amount.
    pub currency: &'a Currency,
    /// The reason, in the requester's words.
    pub reason: &'a str,
    /// The user who requests the refund.
    pub requester: RefundActor,
    /// The time after which the refund can no longer be approved.
    pub expires_at: Timestamp,
    /// The response body, for the request and for each repetition of it.
    pub answer: String,
}

/// The argument of `reserve_refund_allowance`, without the amount.
#[derive(Debug, Serialize)]
struct ReserveRefundAllowance<'a> {
    actor_id: Uuid,
    at: Timestamptz,
    currency: &'a Currency,
    limit_cents: Cents,
}

/// The argument of `approve_refund`: the columns of `refund_approvals` that change.
#[derive(Debug, Serialize)]
struct ApproveRefund<'a> {
    id: RefundId,
    decided_by: Uuid,
    decided_by_name: &'a str,
    decided_at: Timestamptz,
}

/// The argument of `request_refund_approval`.
#[derive(Debug, Serialize)]
struct RequestRefundApproval<'a> {
    approval: NewApproval<'a>,
    claim: AnsweredClaim<'a>,
}

/// A new row of `refund_approvals`.
#[derive(Debug, Serialize)]
struct NewApproval<'a> {
    id: RefundId,
    order_id: OrderId,
    cents: Cents,
    currency: &'a Currency,
    reason: &'a str,
    requested_by: Uuid,
    requested_by_name: &'a str,
    requested_at: Timestamptz,
    expires_at: Timestamptz,
}

/// The status of a request for approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ApprovalStatus {
    /// Not decided yet.
    AwaitingApproval,
    /// Approved: there is a refund with the same id.
    Approved,
    /// Declined: there is no refund.
    Declined,
    /// Not decided in time: there is no refund.
    Expired,
}

/// A request for a refund that a second person must approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefundApproval {
    /// The request's id, which is the refund's id once it is approved.
    pub id: RefundId,
    /// The order's id.
    pub order_id: OrderId,
    /// The amount, in cents.
    pub amount_cents: Cents,
    /// The currency of the amount.
    pub currency: Currency,
    /// The reason, in the requester's words.
    pub reason: String,
    /// The status.
    pub status: ApprovalStatus,
    /// The requester's id.
    pub requested_by: Uuid,
    /// The requester's e-mail address at that time.
    pub requested_by_name: String,
    /// The time of the request.
    pub requested_at: Timestamp,
    /// The time after which the refund can no longer be approved.
    pub expires_at: Timestamp,
    /// The e-mail address, at that time, of the user who approved or declined it.
    pub decided_by_name: Option<String>,
    /// The time of the approval or the refusal.
    pub decided_at: Option<Timestamp>,
    /// The reason for the refusal.
    pub decision_reason: Option<String>,
}

/// Why a refund was not recorded, or no approval was requested. Nothing was written.
#[derive(Debug, Error)]
pub enum RefundError {
    /// The order could not be changed.
    #[error(transparent)]
    Record(RecordError),
    /// The refund exceeds the daily limit. Holds the cents that are left of it.
    #[error("{} cents are left of the daily limit", .0.get())]
    OverDayLimit(Cents),
    /// The request for approval was decided already, or has expired.
    #[error("the request for approval is closed")]
    ApprovalClosed,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RecordError> for RefundError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => refusal(&error).unwrap_or(Self::Store(error)),
            error => Self::Record(error),
        }
    }
}

/// The start of a page of open approvals.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct ApprovalCursor {
    after: Uuid,
}

impl FromStr for ApprovalCursor {
    type Err = BadCursor;

    /// Continues after the page that returned the cursor.
    fn from_str(cursor: &str) -> Result<Self, BadCursor> {
        cursor::decode(cursor)
    }
}

impl Refunds<'_> {
    /// As [`Orders::record_once`], for a refund. With a `limit`, the amount counts against it in
    /// the same commit, and still counts if the refund later fails at the provider.
    pub async fn record_once(
        self,
        order: OrderId,
        now: Timestamp,
        claim: &Claim,
        limit: Option<DayLimit<'_>>,
        decide: impl Fn(&Order) -> Vec<OrderEvent> + Sync,
        answer: impl Fn(&Order) -> String + Sync,
    ) -> Result<StoredResponse, RefundError> {
        let Some(limit) = limit else {
            let recorded = self
                .0
                .orders()
                .record_once(order, now, claim, decide, answer);
            return Ok(recorded.await?);
        };
        let allowance = Json(ReserveRefundAllowance {
            actor_id: limit.actor,
            at: Timestamptz(now),
            currency: limit.currency,
            limit_cents: limit.cents,
        });
        let recording = Recording {
            statement: RECORD_WITHIN_LIMIT,
            parameters: &[&allowance],
        };
        let recorded = self
            .0
            .orders()
            .record_once_with(order, now, claim, decide, answer, &recording);
        Ok(recorded.await?)
    }

    /// As [`Orders::record_once`], for a refund that `approver` approves in the same commit.
    pub async fn approve_once(
        self,
        approval: &RefundApproval,
        now: Timestamp,
        claim: &Claim,
        approver: &RefundActor,
        answer: impl Fn(&Order) -> String + Sync,
    ) -> Result<StoredResponse, RefundError> {
        let decision = Json(ApproveRefund {
            id: approval.id,
            decided_by: approver.id,
            decided_by_name: &approver.name,
            decided_at: Timestamptz(now),
        });
        let recording = Recording {
            statement: RECORD_APPROVED,
            parameters: &[&decision],
        };
        let decide = |_: &Order| {
            vec![OrderEvent::RefundRequested {
                refund_id: approval.id,
                cents: approval.amount_cents,
                reason: approval.reason.clone(),
            }]
        };
        let order = approval.order_id;
        let recorded = self
            .0
            .orders()
            .record_once_with(order, now, claim, decide, answer, &recording);
        Ok(recorded.await?)
    }

    /// Requests the approval of a refund, once for each claim.
    pub async fn request_approval(
        self,
        request: &ApprovalRequest<'_>,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<StoredResponse, RefundError> {
        let request = Json(RequestRefundApproval {
            approval: NewApproval {
                id: request.id,
                order_id: request.order,
                cents: request.cents,
                currency: request.currency,
                reason: request.reason,
                requested_by: request.requester.id,
                requested_by_name: &request.requester.name,
                requested_at: Timestamptz(now),
                expires_at: Timestamptz(request.expires_at),
            },
            claim: AnsweredClaim::new(claim, &request.answer),
        });
        match self.0.write_one(REQUEST, &[&request]).await {
            Ok(row) => Ok(StoredResponse {
                body: row.try_get("answer").map_err(StoreError::from)?,
                replayed: row.try_get("replayed").map_err(StoreError::from)?,
            }),
            Err(error) => Err(refusal(&error).unwrap_or_else(|| error.into())),
        }
    }

    /// Returns a request for approval, with its status at `now`.
    pub async fn find_approval(
        self,
        id: RefundId,
        now: Timestamp,
    ) -> Result<Option<RefundApproval>, StoreError> {
        let row = self.0.read_optional(BY_ID, &[&id.0]).await?;
        row.map(|row| read(&row, now)).transpose()
    }

    /// Lists the latest requests for approval of an order's refunds, the newest first.
    pub async fn list_approvals_of(
        self,
        order: OrderId,
        now: Timestamp,
    ) -> Result<Vec<RefundApproval>, StoreError> {
        let rows = self
            .0
            .read(OF_ORDER, &[&order.0, &MAX_APPROVALS_OF_ORDER])
            .await?;
        rows.iter().map(|row| read(row, now)).collect()
    }

    /// Lists the refunds that await approval at `now`, the oldest first.
    pub async fn list_open_approvals(
        self,
        from: ApprovalCursor,
        limit: u8,
        now: Timestamp,
    ) -> Result<Page<RefundApproval>, StoreError> {
        let parameters: Parameters<'_> = &[&now, &from.after, &one_more(limit)];
        let rows = self.0.read(OPEN, parameters).await?;
        let read = |row: &Row| read(row, now);
        Page::read(&rows, limit, read, |last| ApprovalCursor {
            after: last.id.0,
        })
    }

    /// Declines a refund. Returns none if no open request has this id.
    pub async fn decline(
        self,
        id: RefundId,
        by: &RefundActor,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<RefundApproval>, StoreError> {
        let parameters: Parameters<'_> = &[&id.0, &by.id, &by.name, &now, &reason];
        let rows = self.0.write(DECLINE, parameters).await?;
        rows.first().map(|row| read(row, now)).transpose()
    }
}

fn read(row: &Row, now: Timestamp) -> Result<RefundApproval, StoreError> {
    let expires_at: Timestamp = row.try_get("expires_at")?;
    let status = match row.try_get::<_, Option<&str>>("decision")? {
        Some(decision) => decision
            .parse()
            .map_err(|error| StoreError::unreadable("refund_approvals.decision", error))?,
        None if expires_at <= now => ApprovalStatus::Expired,
        None => ApprovalStatus::AwaitingApproval,
    };
    Ok(RefundApproval {
        id: RefundId(row.try_get("id")?),
        order_id: OrderId(row.try_get("order_id")?),
        amount_cents: Cents::try_from(row.try_get::<_, i64>("cents")?)
            .map_err(|error| StoreError::unreadable("refund_approvals.cents", error))?,
        currency: row
            .try_get::<_, &str>("currency")?
            .parse()
            .map_err(|error| StoreError::unreadable("refund_approvals.currency", error))?,
        reason: row.try_get("reason")?,
        status,
        requested_by: row.try_get("requested_by")?,
        requested_by_name: row.try_get("requested_by_name")?,
        requested_at: row.try_get("requested_at")?,
        expires_at,
        decided_by_name: row.try_get("decided_by_name")?,
        decided_at: row.try_get("decided_at")?,
        decision_reason: row.try_get("decision_reason")?,
    })
}

/// The refusal that a function of the database raised, if it was one.
fn refusal(error: &StoreError) -> Option<RefundError> {
    let error = error.db_error()?;
    match error.code().code() {
        "CA001" => Some(RefundError::Record(RecordError::KeyReused)),
        "CA011" => {
            let left = error.detail().and_then(|left| left.parse::<i64>().ok());
            let left = left.and_then(|left| Cents::try_from(left).ok());
            Some(RefundError::OverDayLimit(left.unwrap_or(Cents::ZERO)))
        }
        "CA012" => Some(RefundError::ApprovalClosed),
        _ => None,
    }
}
