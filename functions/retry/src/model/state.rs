//! The state of the model: the order, the providers, the executions, and how much may still happen.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use orders::{
    CancelledBy, Cents, Order, OrderEvent, OrderStatus, PaymentStatus, Provider, RefundId,
    RefundStatus, Wait,
};
use store::{AttentionKind, OrderWithWork, RecordError};

use super::{
    Budget, Fate, Fix, MAX_UNAUTHORIZED_WAIT, MAX_WAIT, ORDER, OUTAGES_END, REFUNDED, REFUNDS,
    Rules, SHORT_WAIT, UNIT, at,
    machine::{Execution, Place},
    providers,
};
use crate::jobs::{Gate, may_resume};

/// One state of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) rules: Rules,
    /// The units of time since the order was placed.
    pub(super) now: u8,
    pub(super) order: Order,
    /// Whether the order is in the outbox.
    pub(super) unfinished: bool,
    pub(super) has_requested_label: bool,
    pub(super) raised: BTreeSet<(String, String)>,
    pub(super) payments: providers::Payments,
    pub(super) shipping: providers::Shipping,
    /// The provider that does not respond at all, if any.
    pub(super) down: Option<Provider>,
    pub(super) execution: Execution,
    pub(super) refund: Option<Execution>,
    /// Whether a command to resume the cancelled order is on its way.
    pub(super) undo_is_asked: bool,
    pub(super) cancelled_by: Option<CancelledBy>,
    /// What was done too early or in the wrong order.
    pub(super) wrongs: BTreeSet<&'static str>,
    /// The rest of the budget: how much may still happen.
    pub(super) left: Budget,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Order {
            status,
            payment,
            fulfilment,
            wait,
            refunds,
            label,
            ..
        } = &self.order;
        (status, payment, fulfilment).hash(hasher);
        self.order.last_called().hash(hasher);
        format!("{wait:?}{refunds:?}{label:?}").hash(hasher);
        (
            self.rules,
            self.now,
            self.unfinished,
            self.has_requested_label,
        )
            .hash(hasher);
        (&self.raised, &self.payments, &self.shipping).hash(hasher);
        (self.down, &self.execution, &self.refund, self.undo_is_asked).hash(hasher);
        self.cancelled_by.map(|by| format!("{by:?}")).hash(hasher);
        self.wrongs.hash(hasher);
        self.left.hash(hasher);
    }
}

impl State {
    /// The state in which an order has just been accepted.
    pub(super) fn new(rules: Rules, budget: Budget) -> Self {
        Self {
            rules,
            now: 0,
            order: Order {
                id: ORDER,
                placed_at: at(0),
                updated_at: at(0),
                ..crate::records::tests::order(OrderStatus::Pending, PaymentStatus::NotPaid)
            },
            unfinished: true,
            has_requested_label: false,
            raised: BTreeSet::new(),
            payments: providers::Payments::default(),
            shipping: providers::Shipping::default(),
            down: None,
            execution: rules.machine().start(),
            refund: None,
            undo_is_asked: false,
            cancelled_by: None,
            wrongs: BTreeSet::new(),
            left: budget,
        }
    }

    /// Records an event of the order.
    pub(super) fn record(&mut self, event: &OrderEvent) -> Result<(), RecordError> {
        let was_undecided = self.order.is_undecided();
        self.order = self.order.clone().after(event, at(self.now))?;
        match event {
            OrderEvent::Cancelled { by, .. } => {
                self.cancelled_by = Some(*by);
                let is_early = *by == CancelledBy::Deadline && self.now < MAX_WAIT;
                if is_early && !was_undecided {
                    self.wrongs
                        .insert("an authorized order was cancelled at the early deadline");
                }
            }
            OrderEvent::LabelRequested {} => self.has_requested_label = true,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn has_lapsed(&self) -> bool {
        self.payments.intents.iter().any(|intent| intent.has_lapsed)
    }

    pub(super) fn check_label(&mut self) {
        if self.payments.count("requires_capture") == 0 && !self.has_lapsed() {
            self.wrongs.insert("a label was bought without a hold");
        }
    }

    pub(super) fn check_capture(&mut self) {
        if self.shipping.live().count() == 0 {
            self.wrongs.insert("money was captured without a label");
        }
        if self.order.status == OrderStatus::Cancelled {
            self.wrongs
                .insert("money of a cancelled order was captured");
        }
    }

    /// Resumes the execution if it waits for this provider.
    pub(super) fn wake(&mut self, provider: Provider) {
        if self.is_parked_for(provider) {
            self.execution = self.rules.machine().resumed(&self.execution);
        }
    }

    pub(super) fn is_raised(&self, kind: AttentionKind) -> bool {
        self.raised
            .iter()
            .any(|(_, raised)| *raised == kind.to_string())
    }

    pub(super) fn is_parked_for(&self, provider: Provider) -> bool {
        matches!(&self.execution.place, Place::Parked { wait, .. }
            if read_wait(wait).provider == provider)
    }

    /// Whether everything that was started has ended.
    pub(super) fn is_over(&self) -> bool {
        let has_ended = |execution: &Execution| execution.place == Place::Ended;
        has_ended(&self.execution)
            && self.refund.as_ref().is_none_or(has_ended)
            && self.payments.late.is_empty()
            && self.shipping.is_settled()
    }

    pub(super) fn records(&self) -> usize {
        self.payments.intents.len() + self.payments.refunds.len() + self.shipping.labels.len()
    }

    /// Whether an execution runs a task, or is parked and due.
    pub(super) fn can_go_on(&self, execution: &Execution) -> bool {
        matches!(execution.place, Place::Task(_)) || self.is_due(execution)
    }

    pub(super) fn is_due(&self, execution: &Execution) -> bool {
        let Place::Parked { wait, .. } = &execution.place else {
            return false;
        };
        let wait = read_wait(wait);
        let gate = if self.down == Some(wait.provider) {
            Gate::Closed
        } else {
            Gate::Open
        };
        may_resume(&wait, gate, at(self.now) + SHORT_WAIT)
    }

    pub(super) fn ask_for_refund(&mut self) {
        self.left.refunds -= 1;
        let milliseconds = u64::try_from(at(self.now).as_millisecond()).unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &[1; 10]).into_uuid();
        let event = OrderEvent::RefundRequested {
            refund_id: RefundId(id),
            cents: Cents::try_from(REFUNDED).unwrap(),
            reason: String::new(),
        };
        self.record(&event).unwrap();
        self.refund = Some(REFUNDS.start());
    }

    pub(super) fn pass(&mut self) {
        self.now += 1;
        self.payments.pass(self.now);
        self.shipping.pass();
        if self.now >= OUTAGES_END {
            self.down = None;
        }
        let seconds = UNIT.as_secs().unsigned_abs();
        self.execution = self.rules.machine().timed_out(&self.execution, seconds);
    }

    pub(super) fn is_cancelled_for_a_reason(&self) -> bool {
        match self.cancelled_by {
            None | Some(CancelledBy::Shopper | CancelledBy::Staff) => true,
            Some(CancelledBy::Payments) => {
                matches!(self.rules.fate, Fate::Declined | Fate::RequiresAction)
                    || self.has_lapsed()
            }
            Some(CancelledBy::Shipping) => self.rules.fate == Fate::GoesNowhere,
            Some(CancelledBy::Deadline) => self.now >= MAX_UNAUTHORIZED_WAIT,
        }
    }

    /// Whether the providers have nothing left that they should not have, except what is raised for
    /// a person.
    pub(super) fn is_clean(&self) -> bool {
        let (is_shipped, labels) = (
            self.order.status == OrderStatus::Completed,
            self.shipping.live().count(),
        );
        let payments_are_final = self
            .payments
            .intents
            .iter()
            .all(providers::Intent::is_final)
            || self.is_raised(AttentionKind::AuthorizationNotVoided);
        let captured = self.payments.count("succeeded");
        let refunds_ended = self
            .order
            .refunds
            .iter()
            .all(|refund| refund.status != RefundStatus::Pending);
        let refunded = self.order.refunds.iter();
        let refunded = refunded.filter(|refund| refund.status == RefundStatus::Succeeded);
        payments_are_final
            && refunds_ended
            && refunded.count() == self.payments.refunds.len()
            && if is_shipped {
                captured == 1 && labels == 1
            } else {
                self.order.status == OrderStatus::Cancelled
                    && (captured == 0 || self.is_raised(AttentionKind::CapturedForCancelledOrder))
                    && (labels == 0 || self.is_raised(AttentionKind::LabelNotVoided))
            }
    }

    pub(super) fn may_cancel(&self) -> bool {
        self.left.cancels > 0 && self.order.can_be_cancelled()
    }

    /// Cancels the order for the shopper, as the API does.
    pub(super) fn cancel(&mut self) {
        self.left.cancels -= 1;
        let event = OrderEvent::cancelled_by(CancelledBy::Shopper);
        self.record(&event).unwrap();
        self.undo_is_asked = !self.rules.lacks(Fix::CancelResumes);
    }

    /// The ids of the payments that a webhook may report: those with money on hold.
    pub(super) fn told_by_webhooks(&self) -> Vec<String> {
        if self.left.interruptions == 0 {
            return Vec::new();
        }
        let held = |intent: &&providers::Intent| intent.status == "requires_capture";
        let intents = self.payments.intents.iter().filter(held);
        intents.map(|intent| intent.id.clone()).collect()
    }

    pub(super) fn known(&self) -> OrderWithWork {
        OrderWithWork {
            order: self.order.clone(),
            unfinished: self.unfinished,
        }
    }
}

fn read_wait(json: &str) -> Wait {
    serde_json::from_str(json).unwrap()
}
