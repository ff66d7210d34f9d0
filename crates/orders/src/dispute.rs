//! Disputes: the cardholder contests a payment, and the bank withdraws it (a chargeback) or first
//! asks the shop about it (an inquiry).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use utoipa::ToSchema;

use crate::{money::Cents, order::Order};

/// A dispute of an order's payment, as the payment provider last described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// The disputed amount, in cents of the order's currency.
    pub cents: Cents,
    /// The cardholder's reason, by the provider's code, such as `fraudulent`.
    pub reason: String,
    /// Its status.
    pub status: DisputeStatus,
    /// The deadline for evidence; `null` if the bank accepts no evidence.
    pub evidence_due_by: Option<Timestamp>,
    /// Whether the disputed amount has left the account.
    pub funds: DisputedFunds,
}

/// The status of a dispute, by the payment provider's codes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry: the bank asks before it disputes.
    WarningNeedsResponse,
    /// An inquiry that was answered.
    WarningUnderReview,
    /// An inquiry that did not become a chargeback.
    WarningClosed,
    /// A chargeback: evidence is due.
    NeedsResponse,
    /// The bank examines the evidence.
    UnderReview,
    /// The bank decided for the shop.
    Won,
    /// The bank decided for the cardholder.
    Lost,
    /// The payment was refunded before it became a chargeback.
    Prevented,
    /// An unknown status.
    #[serde(other)]
    Other,
}

/// Where the disputed amount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputedFunds {
    /// Still in the shop's account.
    NotWithdrawn,
    /// Withdrawn from the shop's account.
    Withdrawn,
    /// Returned to the shop's account.
    Reinstated,
}

impl DisputeStatus {
    /// Whether the shop has to answer before the deadline.
    pub const fn needs_response(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::NeedsResponse)
    }

    /// Whether the status is final. A closed inquiry is not: it can still become a chargeback.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }

    /// Whether a dispute with this status can change to `next`. If not, `next` is outdated: it was
    /// read earlier and arrived late. An inquiry can become a chargeback, even after it was closed;
    /// a chargeback never becomes an inquiry.
    const fn can_become(self, next: Self) -> bool {
        match self {
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::Other => true,
            Self::WarningClosed | Self::Prevented => {
                !matches!(next, Self::WarningNeedsResponse | Self::WarningUnderReview)
            }
            Self::NeedsResponse | Self::UnderReview => !matches!(
                next,
                Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed
            ),
            Self::Won | Self::Lost => next.is_final(),
        }
    }

    /// Whether the provider refuses to refund the disputed amount, because the cardholder gets it,
    /// or may get it, from the bank. An inquiry can still be answered with a refund.
    pub const fn blocks_refunds(self) -> bool {
        matches!(
            self,
            Self::NeedsResponse | Self::UnderReview | Self::Lost | Self::Other
        )
    }
}

impl Order {
    /// Returns the dispute with this id.
    pub fn dispute(&self, id: &str) -> Option<&Dispute> {
        self.disputes.iter().find(|dispute| dispute.id == id)
    }

    /// The amount that cannot be refunded because it is disputed.
    pub fn disputed(&self) -> Cents {
        let blocking = self
            .disputes
            .iter()
            .filter(|dispute| dispute.status.blocks_refunds());
        blocking.fold(Cents::ZERO, |sum, dispute| {
            sum.checked_add(dispute.cents).unwrap_or(Cents::MAX)
        })
    }

    /// Whether the dispute is new, or differs from the known one and is not outdated.
    pub(crate) fn allows_dispute(&self, dispute: &Dispute) -> bool {
        self.payment.id().is_some()
            && self
                .dispute(&dispute.id)
                .is_none_or(|known| known != dispute && known.status.can_become(dispute.status))
    }

    pub(crate) fn set_dispute(&mut self, dispute: &Dispute) {
        match self.disputes.iter_mut().find(|it| it.id == dispute.id) {
            Some(known) => known.clone_from(dispute),
            None => self.disputes.push(dispute.clone()),
        }
    }
}
