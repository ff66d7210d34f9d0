//! The promise, as a pure function: what was accepted and what befell it, against what everybody's books
//! say in the end.
//!
//! It trusts no book of ours: what an order may come to follows from its fate (its card, its address, who
//! cancelled it) and from the faults that struck its calls, and what was done for it is read from the
//! providers' own ledgers. These are its rules, which docs/resilience.md tells as the invariants:
//!
//! - **Acceptance.** Each accepted order is there, each order was accepted, and one key makes one order.
//! - **Intents.** What one person wants at the storefront is one order at the most, however often its form
//!   is sent, and the order that they are shown is that one.
//! - **Ends.** Each order is completed or cancelled. It is completed only if its card pays and a carrier
//!   goes to its address. It is cancelled only for a cause: it was asked for, its card does not pay, its
//!   hold lapsed, its address is nowhere, a provider refused it for good, or its deadline has passed:
//!   the short one, as long as its money is not authorized, and the long one from then on.
//!   No other fault is a cause. Its timeline tells the same, each milestone once; it is delivered when the
//!   carrier has delivered it, unless the carrier's event is a dead letter by then.
//! - **Effects.** Money is held before a label is bought, and a label is bought before money is captured;
//!   each payment is captured or voided, once; refunds come after the capture and are never more. There is
//!   one hold, and one more for each that a fault has hidden: a search that lagged, an effect that came
//!   after its error, keys forgotten before their time. All but the captured one are voided in the end.
//! - **Charges.** A completed order is captured once, to the cent; a cancelled one not at all.
//! - **Refunds.** Each refund is made once. It may come back if its card returns refunds, and may not be
//!   made if the provider was to refuse it; a person is told of both. No other refund is made.
//! - **Disputes.** Each dispute shows on its order and is raised. Nothing of a chargeback is refunded, and
//!   no refund is promised once the order shows it.
//! - **Foreign records.** What others make in the same accounts is left alone and not raised, and the
//!   comparison of the providers' records gets past it.
//! - **Labels, stock, parking.** A completed order has one label, a cancelled one none that nobody was told
//!   of; what is not sold is on the shelf; nothing is parked, runs or is looked after in vain.

mod disputes;
mod fate;
mod foreign;
mod intent;
mod ledger;
mod refunds;
mod violation;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use orders::{FulfilmentStatus, OrderStatus, PaymentStatus, Provider, RefundStatus};
use uuid::Uuid;

pub use self::{
    fate::{
        Accepted, CancelRequest, Cancellation, Card, Deadlines, Dispute, Milestone, RefundAsked,
        Strike,
    },
    foreign::Foreign,
    intent::Intent,
    ledger::{Effect, EffectKind},
    violation::Violation,
};

/// Everybody's books, when nothing moves any more.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the API told its callers.
    pub accepted: Vec<Accepted>,
    /// What people wanted at the storefront.
    pub intents: Vec<Intent>,
    /// What PostgreSQL holds.
    pub orders: Vec<Recorded>,
    /// What the payment service did for our shop, the oldest first.
    pub payments: Vec<Effect>,
    /// What the shipping service did for our shop, the oldest first.
    pub shipping: Vec<Effect>,
    /// The products that can be ordered.
    pub stock: Vec<Shelf>,
    /// The tokens of parked executions.
    pub tokens: Vec<Token>,
    /// The faults that struck the providers' calls.
    pub strikes: Vec<Strike>,
    /// How long orders may wait; none if longer than any of them has.
    pub deadlines: Option<Deadlines>,
    /// What others made in the same accounts.
    pub foreign: Foreign,
    /// What a person was told to look at, by the name of what it is about.
    pub raised: Vec<String>,
    /// The orders, and refunds, whose execution runs.
    pub running: Vec<Uuid>,
    /// The orders that the outbox holds, for themselves or for a refund, as not finished.
    pub unfinished: Vec<Uuid>,
}

/// An order in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The order.
    pub id: Uuid,
    /// Where it stands as a whole.
    pub status: OrderStatus,
    /// Where its money stands.
    pub payment: PaymentStatus,
    /// Where its parcel stands.
    pub fulfilment: FulfilmentStatus,
    /// Whether it waits for a provider.
    pub held: bool,
    /// What it costs, in cents.
    pub total_cents: i64,
    /// Of which currency.
    pub currency: String,
    /// The payment that it knows of.
    pub payment_id: Option<String>,
    /// The label that it knows of.
    pub label_id: Option<String>,
    /// Its refunds, and where each stands.
    pub refunds: Vec<(Uuid, RefundStatus)>,
    /// The ids of its payment's disputes.
    pub disputes: Vec<String>,
    /// What its timeline tells, the oldest first.
    pub milestones: Vec<Milestone>,
    /// How it was cancelled, if it was.
    pub cancellation: Option<Cancellation>,
    /// What was ordered: products and how many.
    pub lines: Vec<(String, i64)>,
    /// The first line of the address that it goes to.
    pub address_line: String,
}

/// A product, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// What.
    pub sku: String,
    /// How many there were.
    pub seeded: i64,
    /// How many there are now.
    pub available: i64,
}

/// What a parked execution waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whom it waits for.
    pub provider: Provider,
    /// Whose it is.
    pub order: Uuid,
}

impl Snapshot {
    /// How many orders came to which end.
    pub fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for order in &self.orders {
            let (status, payment, fulfilment) = (order.status, order.payment, order.fulfilment);
            let by = order.cancellation.map(|it| format!(" by {:?}", it.by));
            let by = by.unwrap_or_default();
            let outcome = format!("{status}{by}, {payment}, {fulfilment}");
            *outcomes.entry(outcome).or_default() += 1;
        }
        outcomes
    }

    /// How many orders had more than one hold, because a fault hid the first.
    pub fn orders_held_again(&self) -> usize {
        let held = self.payments.iter();
        let mut holds: HashMap<Option<Uuid>, usize> = HashMap::new();
        for effect in held.filter(|effect| effect.kind == EffectKind::Authorized) {
            *holds.entry(effect.order()).or_default() += 1;
        }
        holds.values().filter(|holds| **holds > 1).count()
    }
}

/// An order, and all that is known of it.
struct Case<'a> {
    order: &'a Recorded,
    accepted: Option<&'a Accepted>,
    payments: Vec<&'a Effect>,
    shipping: Vec<&'a Effect>,
    /// The faults that struck its calls.
    strikes: Vec<&'a Strike>,
    snapshot: &'a Snapshot,
}

impl Case<'_> {
    /// How much money the payment service has moved so.
    fn cents(&self, kind: EffectKind) -> i64 {
        let effects = self.payments.iter().filter(|it| it.kind == kind);
        effects.map(|effect| effect.cents).sum()
    }

    /// When a provider first did this for the order.
    fn first(&self, kind: EffectKind) -> Option<Timestamp> {
        let mut effects = self.payments.iter().chain(&self.shipping);
        effects
            .find(|effect| effect.kind == kind)
            .map(|effect| effect.at)
    }
}

/// Every promise that was broken.
pub fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let mut violations = acceptance(snapshot);
    violations.extend(intent::check(snapshot));
    for case in cases(snapshot) {
        violations.extend(fate::check(&case));
        violations.extend(ledger::check(&case));
        violations.extend(money(&case));
        violations.extend(refunds::check(&case));
        violations.extend(disputes::check(&case));
        violations.extend(labels(&case));
    }
    violations.extend(stock(snapshot));
    violations.extend(parking(snapshot));
    violations.extend(strangers(snapshot));
    violations.extend(foreign::check(snapshot));
    violations
}

fn cases(snapshot: &Snapshot) -> impl Iterator<Item = Case<'_>> {
    let mut accepted = by_order(&snapshot.accepted, |accepted| Some(accepted.order));
    let mut payments = by_order(&snapshot.payments, Effect::order);
    let mut shipping = by_order(&snapshot.shipping, Effect::order);
    let mut strikes = by_order(&snapshot.strikes, Strike::order);
    snapshot.orders.iter().map(move |order| Case {
        order,
        accepted: accepted
            .remove(&order.id)
            .and_then(|all| all.first().copied()),
        payments: payments.remove(&order.id).unwrap_or_default(),
        shipping: shipping.remove(&order.id).unwrap_or_default(),
        strikes: strikes.remove(&order.id).unwrap_or_default(),
        snapshot,
    })
}

fn by_order<T>(items: &[T], order: impl Fn(&T) -> Option<Uuid>) -> HashMap<Uuid, Vec<&T>> {
    let mut by_order: HashMap<Uuid, Vec<&T>> = HashMap::new();
    for item in items {
        if let Some(order) = order(item) {
            by_order.entry(order).or_default().push(item);
        }
    }
    by_order
}

impl Recorded {
    /// Whether it stands where an order may stand for good.
    pub fn is_over(&self) -> bool {
        use FulfilmentStatus as Fulfilment;
        use PaymentStatus as Payment;

        let paid = matches!(
            self.payment,
            Payment::Captured | Payment::PartiallyRefunded | Payment::Refunded
        );
        let unpaid = matches!(
            self.payment,
            Payment::NotPaid | Payment::Failed | Payment::Voided
        );
        let sent = matches!(self.fulfilment, Fulfilment::Shipped | Fulfilment::Delivered);
        let kept = self.fulfilment == Fulfilment::Cancelled;
        match self.status {
            OrderStatus::Completed => paid && sent,
            OrderStatus::Cancelled => unpaid && kept,
            OrderStatus::Pending | OrderStatus::Confirmed => false,
        }
    }
}

/// Whether what was accepted and what is there are the same orders.
fn acceptance(snapshot: &Snapshot) -> Vec<Violation> {
    let there: HashSet<Uuid> = snapshot.orders.iter().map(|order| order.id).collect();
    let mut by_key: HashMap<&str, Uuid> = HashMap::new();
    let mut violations = Vec::new();
    for Accepted { order, key, .. } in &snapshot.accepted {
        if !there.contains(order) {
            violations.push(Violation::Lost { order: *order });
        }
        let first = *by_key.entry(key).or_insert(*order);
        if first != *order {
            let second = *order;
            violations.push(Violation::AcceptedTwice { first, second });
        }
    }
    let accepted: HashSet<Uuid> = snapshot.accepted.iter().map(|it| it.order).collect();
    let unasked = there.difference(&accepted);
    violations.extend(unasked.map(|order| Violation::Unasked { order: *order }));
    violations
}

/// What was held, captured and voided, and under which name.
fn money(case: &Case<'_>) -> Vec<Violation> {
    let (order, id) = (case.order, case.order.id);
    let mut violations = Vec::new();
    if let Some(other) = case
        .payments
        .iter()
        .find(|it| it.currency != order.currency)
    {
        violations.push(Violation::WrongCurrency {
            order: id,
            expected: order.currency.clone(),
            found: other.currency.clone(),
        });
    }
    let mut taken = case
        .payments
        .iter()
        .filter(|it| it.kind == EffectKind::Captured);
    let times = taken.clone().count();
    if times > 1 {
        violations.push(Violation::ChargedTwice { order: id, times });
    }
    if !order.is_over() {
        return violations;
    }
    let authorized = case.cents(EffectKind::Authorized);
    let captured = case.cents(EffectKind::Captured);
    let released = case.cents(EffectKind::Canceled);
    if authorized != captured + released {
        violations.push(Violation::HoldNotSettled {
            order: id,
            authorized,
            captured,
            released,
        });
    }
    let completed = order.status == OrderStatus::Completed;
    let due = if completed { order.total_cents } else { 0 };
    if captured != due {
        violations.push(Violation::WrongCharge {
            order: id,
            captured,
            due,
        });
    }
    let payment = taken.next().map(|effect| &effect.id);
    if completed && order.payment_id.as_ref() != payment {
        violations.push(Violation::OtherPayment {
            order: id,
            recorded: order.payment_id.clone(),
            found: payment.cloned(),
        });
    }
    violations
}

fn labels(case: &Case<'_>) -> Vec<Violation> {
    let (order, id) = (case.order, case.order.id);
    let mut violations = Vec::new();
    let mut live: Vec<&String> = Vec::new();
    for effect in &case.shipping {
        match effect.kind {
            EffectKind::LabelBought => {
                if !live.is_empty() {
                    violations.push(Violation::LabelBoughtTwice { order: id });
                }
                live.push(&effect.id);
            }
            EffectKind::LabelVoided => live.retain(|label| **label != effect.id),
            _ => {}
        }
    }
    if !order.is_over() {
        return violations;
    }
    let due = usize::from(order.status == OrderStatus::Completed);
    if due == 0 {
        // What the carrier will not take back is a person's, once one was told.
        live.retain(|label| !case.snapshot.raised.contains(label));
    }
    if live.len() != due {
        violations.push(Violation::WrongLabels {
            order: id,
            live: live.len(),
            due,
        });
    } else if due == 1 && order.label_id.as_ref() != live.first().copied() {
        violations.push(Violation::OtherLabel {
            order: id,
            recorded: order.label_id.clone(),
            found: live.first().copied().cloned(),
        });
    }
    violations
}

/// What was seeded is on the shelf or in an order that was not cancelled.
fn stock(snapshot: &Snapshot) -> Vec<Violation> {
    let mut sold: HashMap<&str, i64> = HashMap::new();
    let open_or_sold = |order: &&Recorded| order.status != OrderStatus::Cancelled;
    let orders = snapshot.orders.iter().filter(open_or_sold);
    for (sku, quantity) in orders.flat_map(|order| &order.lines) {
        *sold.entry(sku).or_default() += quantity;
    }
    let wrong = |shelf: &Shelf| {
        let expected = shelf.seeded - sold.get(shelf.sku.as_str()).copied().unwrap_or_default();
        (shelf.available != expected).then(|| Violation::WrongStock {
            sku: shelf.sku.clone(),
            expected,
            found: shelf.available,
        })
    };
    snapshot.stock.iter().filter_map(wrong).collect()
}

/// A parked order has a token, and a token a parked order; what is over runs no more, and is not
/// looked after any more.
fn parking(snapshot: &Snapshot) -> Vec<Violation> {
    let tokens: HashSet<Uuid> = snapshot.tokens.iter().map(|token| token.order).collect();
    let held = snapshot.orders.iter().filter(|order| order.held);
    let held: HashSet<Uuid> = held.map(|order| order.id).collect();
    let over = snapshot.orders.iter().filter(|order| order.is_over());
    let over: HashSet<Uuid> = over.map(|order| order.id).collect();

    let without_token = held
        .difference(&tokens)
        .map(|order| Violation::ParkedWithoutToken { order: *order });
    let without_order = snapshot
        .tokens
        .iter()
        .filter(|token| !held.contains(&token.order))
        .map(|token| Violation::TokenWithoutOrder {
            order: token.order,
            provider: token.provider,
        });
    let running = snapshot.running.iter().filter(|order| over.contains(order));
    let running = running.map(|order| Violation::StillRunning { order: *order });
    let unfinished = snapshot.unfinished.iter();
    let looked_after = unfinished
        .filter(|order| over.contains(order))
        .map(|order| Violation::StillLookedAfter { order: *order });
    without_token
        .chain(without_order)
        .chain(running)
        .chain(looked_after)
        .collect()
}

/// Nothing was done for an order that is not there.
fn strangers(snapshot: &Snapshot) -> Vec<Violation> {
    let there: HashSet<Uuid> = snapshot.orders.iter().map(|order| order.id).collect();
    let known = |effect: &&Effect| effect.order().is_some_and(|id| there.contains(&id));
    let effects = snapshot.payments.iter().chain(&snapshot.shipping);
    effects
        .filter(|effect| !known(effect))
        .map(|effect| Violation::EffectForNobody {
            order: effect.order_id.clone(),
            kind: effect.kind,
            id: effect.id.clone(),
        })
        .collect()
}
