//! The movements of an order's money, from its events.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    dispute::DisputedFunds,
    event::{OrderEvent, TimelineEntry},
    ids::RefundId,
    money::Cents,
};

/// Money that was authorized, captured, voided, refunded or disputed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Movement {
    /// The time of the movement.
    pub at: Timestamp,
    /// The kind of movement.
    pub kind: MovementKind,
    /// The amount, in cents of the order's currency.
    pub cents: Cents,
    /// The refund's id, if this is a movement of a refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// The provider's id of the payment, the refund or the dispute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
}

/// The kind of a movement of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Authorized: held on the card.
    Held,
    /// Captured.
    Captured,
    /// The authorization was voided.
    Voided,
    /// Refunded.
    Refunded,
    /// Refunded, and returned to the shop by the shopper's bank.
    RefundReturned,
    /// Withdrawn from the shop's account, because the payment is disputed.
    Withdrawn,
    /// Reinstated in the shop's account after it was withdrawn.
    Reinstated,
}

/// Returns the movements of the money of an order that costs `total`, oldest first. A request, for
/// instance of a refund, is not a movement.
pub fn movements(total: Cents, events: &[TimelineEntry]) -> Vec<Movement> {
    let mut ledger = Ledger {
        total,
        payment_id: None,
        is_held: false,
        refunds: HashMap::new(),
        disputes: HashMap::new(),
    };
    let movements = events.iter().filter_map(|event| ledger.movement_of(event));
    movements.collect()
}

/// The payment, the refunds and the disputes in the events so far.
struct Ledger<'a> {
    total: Cents,
    payment_id: Option<&'a str>,
    is_held: bool,
    refunds: HashMap<RefundId, KnownRefund<'a>>,
    disputes: HashMap<&'a str, DisputedFunds>,
}

#[derive(Clone, Copy)]
struct KnownRefund<'a> {
    cents: Cents,
    provider_id: Option<&'a str>,
}

impl<'a> Ledger<'a> {
    /// Records an event. Returns its movement, if it moves money.
    fn movement_of(&mut self, event: &'a TimelineEntry) -> Option<Movement> {
        let movement = |kind, cents, refund_id, provider_id: Option<&str>| {
            Some(Movement {
                at: event.at,
                kind,
                cents,
                refund_id,
                provider_id: provider_id.map(str::to_owned),
            })
        };
        match &event.kind {
            OrderEvent::PaymentAuthorized { payment_id, .. } => {
                self.payment_id = Some(payment_id.as_str());
                self.is_held = true;
                movement(MovementKind::Held, self.total, None, self.payment_id)
            }
            OrderEvent::PaymentCaptured {} => {
                movement(MovementKind::Captured, self.total, None, self.payment_id)
            }
            // A payment that only required an action of the shopper is not known to have been held.
            OrderEvent::PaymentVoided {} if self.is_held => {
                movement(MovementKind::Voided, self.total, None, self.payment_id)
            }
            OrderEvent::RefundRequested {
                refund_id, cents, ..
            } => {
                let requested = KnownRefund {
                    cents: *cents,
                    provider_id: None,
                };
                self.refunds.insert(*refund_id, requested);
                None
            }
            OrderEvent::RefundedElsewhere {
                refund_id,
                cents,
                provider_id,
            } => {
                let refunded = KnownRefund {
                    cents: *cents,
                    provider_id: Some(provider_id),
                };
                self.refunds.insert(*refund_id, refunded);
                let kind = MovementKind::Refunded;
                movement(kind, *cents, Some(*refund_id), Some(provider_id))
            }
            OrderEvent::Refunded {
                refund_id,
                provider_id,
            } => {
                let refund = self.refunds.get_mut(refund_id)?;
                refund.provider_id = Some(provider_id);
                let kind = MovementKind::Refunded;
                movement(kind, refund.cents, Some(*refund_id), refund.provider_id)
            }
            OrderEvent::RefundFailed { refund_id, .. } => {
                // A refund without a provider's id has moved no money.
                let refund = self.refunds.get(refund_id)?;
                let provider_id = refund.provider_id?;
                let kind = MovementKind::RefundReturned;
                movement(kind, refund.cents, Some(*refund_id), Some(provider_id))
            }
            OrderEvent::Disputed(dispute) => {
                let before = self.disputes.insert(&dispute.id, dispute.funds);
                let kind = match (before, dispute.funds) {
                    (None | Some(DisputedFunds::NotWithdrawn), DisputedFunds::Withdrawn) => {
                        MovementKind::Withdrawn
                    }
                    (Some(DisputedFunds::Withdrawn), DisputedFunds::Reinstated) => {
                        MovementKind::Reinstated
                    }
                    _ => return None,
                };
                movement(kind, dispute.cents, None, Some(&dispute.id))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        dispute::{Dispute, DisputeStatus},
        event::CancelledBy,
    };

    fn cents(cents: i64) -> Cents {
        Cents::try_from(cents).unwrap()
    }

    /// The movements in the events of an order of 1000 cents, one event per second: their kinds,
    /// amounts and seconds.
    fn movements_of(kinds: impl IntoIterator<Item = OrderEvent>) -> Vec<(MovementKind, i64, i64)> {
        let events = kinds
            .into_iter()
            .zip(0..)
            .map(|(kind, second)| TimelineEntry {
                at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
                kind,
            });
        let events: Vec<TimelineEntry> = events.collect();
        let movements = movements(cents(1_000), &events);
        movements
            .iter()
            .map(|it| (it.kind, it.cents.get(), it.at.as_second()))
            .collect()
    }

    fn authorized() -> OrderEvent {
        OrderEvent::PaymentAuthorized {
            payment_id: "pi_1".parse().unwrap(),
            capture_before: None,
        }
    }

    #[test]
    fn an_authorization_is_captured_or_voided() {
        use MovementKind::{Captured, Held, Voided};
        assert_eq!(
            movements_of([
                OrderEvent::Accepted {},
                authorized(),
                OrderEvent::PaymentCaptured {}
            ]),
            [(Held, 1_000, 1), (Captured, 1_000, 2)]
        );
        let cancelled = OrderEvent::cancelled_by(CancelledBy::Staff);
        assert_eq!(
            movements_of([authorized(), cancelled, OrderEvent::PaymentVoided {}]),
            [(Held, 1_000, 0), (Voided, 1_000, 2)]
        );
    }

    #[test]
    fn voiding_a_payment_that_was_never_authorized_moves_nothing() {
        let requires_action = OrderEvent::PaymentRequiresAction {
            payment_id: "pi_1".parse().unwrap(),
        };
        assert_eq!(
            movements_of([requires_action, OrderEvent::PaymentVoided {}]),
            []
        );
    }

    #[test]
    fn a_refund_moves_money_when_it_is_completed_and_when_the_bank_returns_it() {
        use MovementKind::{RefundReturned, Refunded};
        let (completed, failed) = (RefundId::generate(), RefundId::generate());
        let request = |refund_id, amount| OrderEvent::RefundRequested {
            refund_id,
            cents: cents(amount),
            reason: "broken".to_owned(),
        };
        let failure = |refund_id| OrderEvent::RefundFailed {
            refund_id,
            code: "declined".to_owned(),
        };
        let events = [
            request(completed, 300),
            request(failed, 200),
            failure(failed),
            OrderEvent::Refunded {
                refund_id: completed,
                provider_id: "re_1".to_owned(),
            },
            failure(completed),
        ];
        assert_eq!(
            movements_of(events),
            [(Refunded, 300, 3), (RefundReturned, 300, 4)]
        );
    }

    #[test]
    fn a_dispute_moves_money_when_its_funds_move() {
        use DisputedFunds as Funds;
        use MovementKind::{Reinstated, Withdrawn};
        let disputed = |status, funds| {
            OrderEvent::Disputed(Dispute {
                id: "du_1".to_owned(),
                cents: cents(400),
                reason: "general".to_owned(),
                status,
                evidence_due_by: None,
                funds,
            })
        };
        let events = [
            disputed(DisputeStatus::WarningNeedsResponse, Funds::NotWithdrawn),
            disputed(DisputeStatus::NeedsResponse, Funds::Withdrawn),
            disputed(DisputeStatus::UnderReview, Funds::Withdrawn),
            disputed(DisputeStatus::Won, Funds::Reinstated),
        ];
        assert_eq!(
            movements_of(events),
            [(Withdrawn, 400, 1), (Reinstated, 400, 3)]
        );
    }
}
