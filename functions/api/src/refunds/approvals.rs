//! Refunds that a second person approves or declines.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use orders::{Cents, Order, RefundId};
use serde::{Deserialize, Serialize};
use store::{
    ApprovalCursor, ApprovalRequest, ApprovalStatus, Claim, RecordError, RefundApproval,
    RefundError, StoredResponse, Work,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RefundDesk, RefundRequest, RequestedRefund, actor, check_not_own, respond_accepted};
use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    orders::{replay, start_execution},
    page::PageQuery,
    problem::{Problem, ProblemType},
    query::Query,
    request::{Body, Key, Reason},
};

/// The time until a request for approval expires.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A page of refunds that await approval, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefundApprovalList {
    items: Vec<RefundApproval>,
    /// The `cursor` of the next page, if there is one.
    next_cursor: Option<String>,
}

/// The reason for declining a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclineRequest {
    reason: Reason,
}

/// The refunds that await approval, the oldest first.
#[utoipa::path(get, path = "/v1/refund-approvals", operation_id = "list_refund_approvals", tag = "orders",
    params(PageQuery), responses((status = 200, body = RefundApprovalList), Failures))]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<RefundApprovalList>, Problem> {
    let (from, limit) = page.resolve(ApprovalCursor::default())?;
    let now = Timestamp::now();
    let page = state
        .database
        .refunds()
        .list_open_approvals(from, limit, now);
    let page = page.await?;
    Ok(Json(RefundApprovalList {
        items: page.items,
        next_cursor: page.next_cursor,
    }))
}

/// Approves a refund that another person has requested.
///
/// If the order no longer has that much to refund, the request stays open until it is declined or
/// expires. A repeated request with the same key gets the first response again.
///
/// `403 own-refund-request` for the caller's own request, `403 own-order` for a refund of the
/// caller's own order, `409 refund-approval-closed` if it was decided or has expired.
#[utoipa::path(post, path = "/v1/refund-approvals/{id}/approve", operation_id = "approve_refund", tag = "orders",
    params(("id" = RefundId, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 202, body = RequestedRefund), Failures))]
pub(crate) async fn approve(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
) -> Result<Response, Problem> {
    let approval = state.refund_desk().find_approval(&id).await?;
    let claim = key.claim(
        caller.id,
        "POST /v1/refund-approvals/{id}/approve",
        &approval.id,
    );
    let answer = match replay(&state.database, &claim).await? {
        Some(answer) => answer,
        None => {
            state
                .refund_desk()
                .approve(&caller, &approval, &claim)
                .await?
        }
    };
    Ok(respond_accepted(&approval, answer))
}

/// Declines a refund. Its requester can withdraw it in this way.
///
/// `409 refund-approval-closed` if it was decided or has expired.
#[utoipa::path(post, path = "/v1/refund-approvals/{id}/decline", operation_id = "decline_refund", tag = "orders", request_body = DeclineRequest,
    params(("id" = RefundId, Path)), responses((status = 200, body = RefundApproval), Failures))]
pub(crate) async fn decline(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<DeclineRequest>,
) -> Result<(Extension<Changed>, Json<RefundApproval>), Problem> {
    let approval = state.refund_desk().find_approval(&id).await?;
    let (by, reason) = (actor(&caller), request.reason.as_str());
    let now = Timestamp::now();
    let declined = state
        .database
        .refunds()
        .decline(approval.id, &by, reason, now);
    let declined = declined.await?.ok_or_else(closed)?;
    let changed = Changed::new(&approval, &declined);
    Ok((Extension(changed), Json(declined)))
}

pub(super) fn closed() -> Problem {
    let detail = "It was approved or declined before, or it has expired.";
    Problem::new(ProblemType::RefundApprovalClosed, detail)
}

fn check_open(approval: &RefundApproval) -> Result<(), Problem> {
    match approval.status {
        ApprovalStatus::AwaitingApproval => Ok(()),
        ApprovalStatus::Approved | ApprovalStatus::Declined | ApprovalStatus::Expired => {
            Err(closed())
        }
    }
}

/// Compares ids, because e-mail addresses change.
fn check_second_person(caller: &Caller, approval: &RefundApproval) -> Result<(), Problem> {
    if approval.requested_by == caller.id.0 {
        let detail = "You requested this refund. Ask a colleague to approve it.";
        return Err(Problem::new(ProblemType::OwnRefundRequest, detail));
    }
    Ok(())
}

impl RefundDesk<'_> {
    /// The request for approval. 404 if the id is not a UUID.
    async fn find_approval(&self, id: &str) -> Result<RefundApproval, Problem> {
        let unknown = || Problem::not_found("request for approval");
        let id: Uuid = id.parse().map_err(|_| unknown())?;
        let approval = self
            .database
            .refunds()
            .find_approval(RefundId(id), Timestamp::now());
        approval.await?.ok_or_else(unknown)
    }

    /// Stores a refund until a second person decides about it.
    pub(super) async fn request_approval(
        &self,
        caller: &Caller,
        order: &Order,
        cents: Cents,
        request: &RefundRequest,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        let (id, now) = (RefundId::generate(), Timestamp::now());
        let request = ApprovalRequest {
            id,
            order: order.id,
            cents,
            currency: &order.currency,
            reason: request.reason.as_str(),
            requester: actor(caller),
            expires_at: now + OPEN_FOR,
            answer: RequestedRefund::json_awaiting_approval(id, cents),
        };
        let requested = self
            .database
            .refunds()
            .request_approval(&request, claim, now);
        Ok(requested.await?)
    }

    /// Records the refund and starts its execution.
    async fn approve(
        &self,
        caller: &Caller,
        approval: &RefundApproval,
        claim: &Claim,
    ) -> Result<StoredResponse, Problem> {
        check_open(approval)?;
        check_second_person(caller, approval)?;
        check_not_own(caller, &self.order(approval.order_id).await?)?;
        let body = |order: &Order| RequestedRefund::json_of(order, approval.id);
        let (approver, now) = (actor(caller), Timestamp::now());
        let recorded = self
            .database
            .refunds()
            .approve_once(approval, now, claim, &approver, body)
            .await;
        if let Err(RefundError::Record(RecordError::NotAllowed(_))) = recorded {
            return Err(self.explain_refusal(approval).await?);
        }
        let answer = recorded?;
        if !answer.replayed {
            start_execution(
                self.executions,
                Work::Refund(approval.order_id, approval.id),
            )
            .await;
        }
        Ok(answer)
    }

    /// Why the order refused the refund: the request was decided, or too little money is left.
    async fn explain_refusal(&self, approval: &RefundApproval) -> Result<Problem, Problem> {
        check_open(&self.find_approval(&approval.id.to_string()).await?)?;
        let order = self.order(approval.order_id).await?;
        let amount = Some(approval.amount_cents);
        Ok(match order.refund_of(amount, &approval.currency, None) {
            Err(reason) => reason.into(),
            Ok(_) => RecordError::Contended.into(),
        })
    }
}
