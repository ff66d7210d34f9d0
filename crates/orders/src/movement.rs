//! Where an order's money went, as its events tell it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    dispute::DisputedFunds,
    event::{OrderEvent, TimelineEntry},
    ids::{PaymentId, RefundId},
    money::Cents,
};

/// Money that was authorized, captured, voided or refunded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Movement {
    /// When.
    pub at: Timestamp,
    /// Which way.
    pub kind: MovementKind,
    /// How much, in cents of the order's currency.
    pub cents: Cents,
    /// Which refund, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// The provider's name for the payment or the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
}

/// Which way money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Held on the card.
    Held,
    /// Taken from the card.
    Taken,
    /// No longer held, and not taken.
    LetGo,
    /// Given back of what was taken.
    GivenBack,
    /// Given back, and sent back to the shop by the bank.
    CameBack,
    /// Withdrawn from the shop's account, because the payment is disputed.
    Withdrawn,
    /// Back in the shop's account after it was withdrawn.
    Reinstated,
}

/// The movements of the money of an order that costs `total`, the oldest first. What is only asked for
/// is none yet.
pub fn movements(total: Cents, events: &[TimelineEntry]) -> Vec<Movement> {
    let mut so_far = SoFar {
        total,
        payment_id: None,
        is_held: false,
        refunds: HashMap::new(),
        disputes: HashMap::new(),
    };
    let moved = events.iter().filter_map(|event| so_far.moved_by(event));
    moved.collect()
}

/// What earlier events tell of a later one's money.
struct SoFar<'a> {
    total: Cents,
    payment_id: Option<&'a PaymentId>,
    is_held: bool,
    refunds: HashMap<RefundId, AskedFor<'a>>,
    disputes: HashMap<&'a str, DisputedFunds>,
}

/// A refund.
#[derive(Clone, Copy)]
struct AskedFor<'a> {
    cents: Cents,
    provider_id: Option<&'a str>,
}

impl<'a> SoFar<'a> {
    fn moved_by(&mut self, event: &'a TimelineEntry) -> Option<Movement> {
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
                self.payment_id = Some(payment_id);
                self.is_held = true;
                movement(
                    MovementKind::Held,
                    self.total,
                    None,
                    self.payment_id.map(PaymentId::as_str),
                )
            }
            OrderEvent::PaymentCaptured {} => movement(
                MovementKind::Taken,
                self.total,
                None,
                self.payment_id.map(PaymentId::as_str),
            ),
            // Nothing is known to have been held where only a person's consent was missing.
            OrderEvent::PaymentVoided {} if self.is_held => movement(
                MovementKind::LetGo,
                self.total,
                None,
                self.payment_id.map(PaymentId::as_str),
            ),
            OrderEvent::RefundRequested {
                refund_id, cents, ..
            } => {
                let asked_for = AskedFor {
                    cents: *cents,
                    provider_id: None,
                };
                self.refunds.insert(*refund_id, asked_for);
                None
            }
            OrderEvent::RefundedElsewhere {
                refund_id,
                cents,
                provider_id,
            } => {
                let made = AskedFor {
                    cents: *cents,
                    provider_id: Some(provider_id),
                };
                self.refunds.insert(*refund_id, made);
                let kind = MovementKind::GivenBack;
                movement(kind, *cents, Some(*refund_id), Some(provider_id))
            }
            OrderEvent::Refunded {
                refund_id,
                provider_id,
            } => {
                let refund = self.refunds.get_mut(refund_id)?;
                refund.provider_id = Some(provider_id);
                let kind = MovementKind::GivenBack;
                movement(kind, refund.cents, Some(*refund_id), refund.provider_id)
            }
            OrderEvent::RefundFailed { refund_id, .. } => {
                // One that was never given back has moved nothing.
                let refund = self.refunds.get(refund_id)?;
                let provider_id = refund.provider_id?;
                let kind = MovementKind::CameBack;
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

    /// What the events of an order of 1000 cents, a second apart, tell.
    fn recorded(kinds: impl IntoIterator<Item = OrderEvent>) -> Vec<(MovementKind, i64, i64)> {
        let events = kinds
            .into_iter()
            .zip(0..)
            .map(|(kind, second)| TimelineEntry {
                at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
                kind,
            });
        let events: Vec<TimelineEntry> = events.collect();
        let movements = movements(cents(1_000), &events);
        let recorded = movements
            .iter()
            .map(|it| (it.kind, it.cents.get(), it.at.as_second()));
        recorded.collect()
    }

    fn authorized() -> OrderEvent {
        OrderEvent::PaymentAuthorized {
            payment_id: "pi_1".parse().unwrap(),
            capture_before: None,
        }
    }

    #[test]
    fn what_is_held_is_taken_or_let_go() {
        use MovementKind::{Held, LetGo, Taken};
        assert_eq!(
            recorded([
                OrderEvent::Accepted {},
                authorized(),
                OrderEvent::PaymentCaptured {}
            ]),
            [(Held, 1_000, 1), (Taken, 1_000, 2)]
        );
        let cancelled = OrderEvent::cancelled_by(CancelledBy::Staff);
        assert_eq!(
            recorded([authorized(), cancelled, OrderEvent::PaymentVoided {}]),
            [(Held, 1_000, 0), (LetGo, 1_000, 2)]
        );
    }

    #[test]
    fn what_was_not_seen_to_be_held_is_not_let_go() {
        let asked = OrderEvent::PaymentRequiresAction {
            payment_id: "pi_1".parse().unwrap(),
        };
        assert_eq!(recorded([asked, OrderEvent::PaymentVoided {}]), []);
    }

    #[test]
    fn a_refund_counts_when_it_is_done_and_again_when_it_comes_back() {
        use MovementKind::{CameBack, GivenBack};
        let (done, failed) = (RefundId::generate(), RefundId::generate());
        let asked = |refund_id, amount| OrderEvent::RefundRequested {
            refund_id,
            cents: cents(amount),
            reason: "broken".to_owned(),
        };
        let fails = |refund_id| OrderEvent::RefundFailed {
            refund_id,
            code: "declined".to_owned(),
        };
        let events = [
            asked(done, 300),
            asked(failed, 200),
            fails(failed),
            OrderEvent::Refunded {
                refund_id: done,
                provider_id: "re_1".to_owned(),
            },
            fails(done),
        ];
        assert_eq!(recorded(events), [(GivenBack, 300, 3), (CameBack, 300, 4)]);
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
            recorded(events),
            [(Withdrawn, 400, 1), (Reinstated, 400, 3)]
        );
    }
}
