//! The invariants, as a pure function: it compares what was accepted, and which faults occurred,
//! with all records at the end of a run.
//!
//! It does not trust our own records. The allowed outcomes of an order follow from its request (its
//! card, its address, who cancelled it) and from the faults that struck its calls. The effects are
//! read from the providers' own ledgers. These are the invariants of docs/resilience.md:
//!
//! - **Acceptance.** Each accepted order exists, each order was accepted, and one key creates one
//!   order.
//! - **Intents.** One intent at the storefront results in at most one order, however often its form
//!   is sent, and that order is the one shown.
//! - **Outcomes.** Each order is completed or cancelled. It is completed only if its card can pay
//!   and a carrier delivers to its address. It is cancelled only for a cause: someone requested it,
//!   its card cannot pay, its authorization lapsed, its address is undeliverable, a provider
//!   refused it permanently, or its deadline passed: the short one while its payment is not
//!   authorized, then the long one. No other fault is a cause. Its timeline agrees, with each
//!   milestone once. It is delivered when the carrier has delivered it, unless the carrier's event
//!   is a dead letter by then.
//! - **Effects.** A payment is authorized before a label is bought, and a label is bought before
//!   the capture. Each payment is captured or voided, once. Refunds follow the capture and do not
//!   exceed it. There is one authorization, and one more for each that a fault has hidden: by a
//!   lagging search, an effect after an error, or a forgotten idempotency key. All but the captured
//!   one are voided in the end, or raised if the provider refused to void them.
//! - **Charges.** A completed order is captured once, to the cent. A cancelled order is not
//!   captured.
//! - **Refunds.** Each refund is made once. It may fail if its card returns refunds or the provider
//!   refused it. Each failure is raised. No other refund is made.
//! - **Disputes.** Each dispute is on its order and is raised. Nothing of a chargeback is refunded,
//!   and no refund is accepted once the order shows it.
//! - **Foreign records.** Records of other systems in the same accounts are neither changed nor
//!   raised, and the comparison of the providers' records passes them.
//! - **Labels, stock, parking.** A completed order has one label. A cancelled order has none,
//!   except for labels that were raised. What is not sold is in stock. No finished order is parked,
//!   has a running execution or is in the outbox.

mod disputes;
mod foreign;
mod intent;
mod ledger;
mod outcome;
mod records;
mod refunds;
mod violation;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use orders::{FulfilmentStatus, OrderStatus, PaymentStatus, Provider, RefundStatus};
use uuid::Uuid;

pub use self::{
    foreign::Foreign,
    intent::Intent,
    ledger::{Effect, EffectKind},
    outcome::{
        Accepted, CancelRequest, Cancellation, Card, Deadlines, Dispute, Milestone, RefundRequest,
        Strike,
    },
    violation::Violation,
};

/// All records, once all work is finished.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The orders that the API accepted.
    pub accepted: Vec<Accepted>,
    /// The intents at the storefront.
    pub intents: Vec<Intent>,
    /// The orders in PostgreSQL.
    pub orders: Vec<Recorded>,
    /// The payment service's effects for our shop, the oldest first.
    pub payments: Vec<Effect>,
    /// The shipping service's effects for our shop, the oldest first.
    pub shipping: Vec<Effect>,
    /// The products that were ordered.
    pub stock: Vec<Shelf>,
    /// The task tokens of parked executions.
    pub tokens: Vec<Token>,
    /// The faults that struck the providers' calls.
    pub strikes: Vec<Strike>,
    /// How long orders may wait. None if that is longer than the run.
    pub deadlines: Option<Deadlines>,
    /// The records of other systems in the same accounts.
    pub foreign: Foreign,
    /// The subjects of the attention items.
    pub raised: Vec<String>,
    /// The orders and refunds with a running execution.
    pub running: Vec<Uuid>,
    /// The orders in the outbox, for themselves or for a refund.
    pub unfinished: Vec<Uuid>,
}

/// An order in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The order's id.
    pub id: Uuid,
    /// The status of the order.
    pub status: OrderStatus,
    /// The status of its payment.
    pub payment: PaymentStatus,
    /// The status of its shipment.
    pub fulfilment: FulfilmentStatus,
    /// Whether it waits for a provider.
    pub is_waiting: bool,
    /// The total, in cents.
    pub total_cents: i64,
    /// The currency of the total.
    pub currency: String,
    /// The recorded payment.
    pub payment_id: Option<String>,
    /// The recorded label.
    pub label_id: Option<String>,
    /// Its refunds with their statuses.
    pub refunds: Vec<(Uuid, RefundStatus)>,
    /// The ids of its payment's disputes.
    pub disputes: Vec<String>,
    /// The milestones in its timeline, the oldest first.
    pub milestones: Vec<Milestone>,
    /// How it was cancelled, if it was.
    pub cancellation: Option<Cancellation>,
    /// The SKUs and quantities of its lines.
    pub lines: Vec<(String, i64)>,
    /// The first line of its shipping address.
    pub address_line: String,
}

/// The stock of a product before and after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// The product.
    pub sku: String,
    /// The stock before the run.
    pub seeded: i64,
    /// The stock after the run.
    pub available: i64,
}

/// The task token of a parked execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The provider that it waits for.
    pub provider: Provider,
    /// The order of the execution.
    pub order: Uuid,
}

impl Snapshot {
    /// The number of orders by outcome.
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

    /// The number of orders that were authorized more than once, because a fault hid the first.
    pub fn reauthorized_orders(&self) -> usize {
        let effects = self.payments.iter();
        let mut times: HashMap<Option<Uuid>, usize> = HashMap::new();
        for effect in effects.filter(|effect| effect.kind == EffectKind::Authorized) {
            *times.entry(effect.order()).or_default() += 1;
        }
        times.values().filter(|times| **times > 1).count()
    }
}

/// An order with all records about it.
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
    /// The sum of the payment effects of this kind, in cents.
    fn cents(&self, kind: EffectKind) -> i64 {
        let effects = self.payments.iter().filter(|it| it.kind == kind);
        effects.map(|effect| effect.cents).sum()
    }

    /// The effects at both providers, the oldest first.
    fn effects(&self) -> Vec<&Effect> {
        let mut effects = self.payments.clone();
        effects.extend(&self.shipping);
        effects.sort_by_key(|effect| effect.at);
        effects
    }

    /// The sum of the authorizations that are still held, and were raised because the provider
    /// refused to void them.
    fn raised_cents(&self) -> i64 {
        let is_settled = |id: &String| {
            let ends = [EffectKind::Captured, EffectKind::Canceled];
            self.payments
                .iter()
                .any(|effect| effect.id == *id && ends.contains(&effect.kind))
        };
        let is_raised = |id: &String| {
            self.snapshot.raised.contains(id)
                && self.strikes.iter().any(|strike| strike.refuses_void_of(id))
        };
        let authorized = self.payments.iter();
        let authorized = authorized.filter(|effect| effect.kind == EffectKind::Authorized);
        authorized
            .filter(|effect| !is_settled(&effect.id) && is_raised(&effect.id))
            .map(|effect| effect.cents)
            .sum()
    }

    /// The time of the order's first effect of this kind.
    fn first(&self, kind: EffectKind) -> Option<Timestamp> {
        let mut effects = self.payments.iter().chain(&self.shipping);
        effects
            .find(|effect| effect.kind == kind)
            .map(|effect| effect.at)
    }
}

/// Returns every violation of an invariant.
pub fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let mut violations = acceptance(snapshot);
    violations.extend(intent::check(snapshot));
    for case in cases(snapshot) {
        violations.extend(outcome::check(&case));
        violations.extend(ledger::check(&case));
        violations.extend(money(&case));
        violations.extend(refunds::check(&case));
        violations.extend(disputes::check(&case));
        violations.extend(labels(&case));
    }
    violations.extend(stock(snapshot));
    violations.extend(parking(snapshot));
    violations.extend(effects_without_order(snapshot));
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
    /// Whether the order is completed or cancelled, and its payment and shipment agree.
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
        let unsent = self.fulfilment == Fulfilment::Cancelled;
        match self.status {
            OrderStatus::Completed => paid && sent,
            OrderStatus::Cancelled => unpaid && unsent,
            OrderStatus::Pending | OrderStatus::Confirmed => false,
        }
    }
}

/// Checks that the accepted orders are the recorded ones.
fn acceptance(snapshot: &Snapshot) -> Vec<Violation> {
    let recorded: HashSet<Uuid> = snapshot.orders.iter().map(|order| order.id).collect();
    let mut by_key: HashMap<&str, Uuid> = HashMap::new();
    let mut violations = Vec::new();
    for Accepted { order, key, .. } in &snapshot.accepted {
        if !recorded.contains(order) {
            violations.push(Violation::Lost { order: *order });
        }
        let first = *by_key.entry(key).or_insert(*order);
        if first != *order {
            let second = *order;
            violations.push(Violation::AcceptedTwice { first, second });
        }
    }
    let accepted: HashSet<Uuid> = snapshot.accepted.iter().map(|it| it.order).collect();
    let unrequested = recorded.difference(&accepted);
    violations.extend(unrequested.map(|order| Violation::Unrequested { order: *order }));
    violations
}

/// Checks the amounts that were authorized, captured and voided, and the recorded payment.
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
    let mut charges = case
        .payments
        .iter()
        .filter(|it| it.kind == EffectKind::Captured);
    let times = charges.clone().count();
    if times > 1 {
        violations.push(Violation::ChargedTwice { order: id, times });
    }
    if !order.is_over() {
        return violations;
    }
    let authorized = case.cents(EffectKind::Authorized);
    let captured = case.cents(EffectKind::Captured);
    let voided = case.cents(EffectKind::Canceled);
    if authorized != captured + voided + case.raised_cents() {
        violations.push(Violation::AuthorizationNotSettled {
            order: id,
            authorized,
            captured,
            voided,
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
    let payment = charges.next().map(|effect| &effect.id);
    if completed && order.payment_id.as_ref() != payment {
        violations.push(Violation::WrongPayment {
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
        // A label that the carrier did not void is allowed once it has been raised.
        live.retain(|label| !case.snapshot.raised.contains(label));
    }
    if live.len() != due {
        violations.push(Violation::WrongLabels {
            order: id,
            live: live.len(),
            due,
        });
    } else if due == 1 && order.label_id.as_ref() != live.first().copied() {
        violations.push(Violation::WrongLabel {
            order: id,
            recorded: order.label_id.clone(),
            found: live.first().copied().cloned(),
        });
    }
    violations
}

/// Checks that the initial stock is still in stock, or in an order that was not cancelled.
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

/// Checks that each waiting order has a task token and vice versa, and that no finished order has a
/// running execution or is in the outbox.
fn parking(snapshot: &Snapshot) -> Vec<Violation> {
    let tokens: HashSet<Uuid> = snapshot.tokens.iter().map(|token| token.order).collect();
    let waiting = snapshot.orders.iter().filter(|order| order.is_waiting);
    let waiting: HashSet<Uuid> = waiting.map(|order| order.id).collect();
    let over = snapshot.orders.iter().filter(|order| order.is_over());
    let over: HashSet<Uuid> = over.map(|order| order.id).collect();

    let without_token = waiting
        .difference(&tokens)
        .map(|order| Violation::ParkedWithoutToken { order: *order });
    let without_order = snapshot
        .tokens
        .iter()
        .filter(|token| !waiting.contains(&token.order))
        .map(|token| Violation::TokenWithoutParkedOrder {
            order: token.order,
            provider: token.provider,
        });
    let running = snapshot.running.iter().filter(|order| over.contains(order));
    let running = running.map(|order| Violation::StillRunning { order: *order });
    let unfinished = snapshot.unfinished.iter();
    let in_outbox = unfinished
        .filter(|order| over.contains(order))
        .map(|order| Violation::StillInOutbox { order: *order });
    without_token
        .chain(without_order)
        .chain(running)
        .chain(in_outbox)
        .collect()
}

/// Checks that each effect belongs to a recorded order.
fn effects_without_order(snapshot: &Snapshot) -> Vec<Violation> {
    let recorded: HashSet<Uuid> = snapshot.orders.iter().map(|order| order.id).collect();
    let known = |effect: &&Effect| effect.order().is_some_and(|id| recorded.contains(&id));
    let effects = snapshot.payments.iter().chain(&snapshot.shipping);
    effects
        .filter(|effect| !known(effect))
        .map(|effect| Violation::EffectWithoutOrder {
            order: effect.order_id.clone(),
            kind: effect.kind,
            id: effect.id.clone(),
        })
        .collect()
}
