//! The promise, as a pure function: what was accepted, against what everybody's books say in the end.
//!
//! It trusts no book of ours: that money was taken once, and one label bought, is read from the
//! providers' own ledgers.

use std::collections::{BTreeMap, HashMap, HashSet};

use orders::{FulfilmentStatus, OrderStatus, PaymentStatus, Provider};
use serde::Deserialize;
use thiserror::Error;
use uuid::Uuid;

/// Everybody's books, when nothing moves any more.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the API told its callers.
    pub accepted: Vec<Accepted>,
    /// What PostgreSQL holds.
    pub orders: Vec<Recorded>,
    /// What the payment service did, the oldest first.
    pub payments: Vec<Effect>,
    /// What the shipping service did, the oldest first.
    pub shipping: Vec<Effect>,
    /// The products that can be ordered.
    pub stock: Vec<Shelf>,
    /// The tokens of parked executions.
    pub tokens: Vec<Token>,
    /// What a person was told to look at, by the name of what it is about.
    pub raised: Vec<String>,
    /// The orders, and refunds, whose execution runs.
    pub running: Vec<Uuid>,
    /// The orders that the outbox holds, for themselves or for a refund, as not finished.
    pub unfinished: Vec<Uuid>,
}

/// An order that the API answered with 201.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The order.
    pub order: Uuid,
    /// The idempotency key that it was asked for under.
    pub key: String,
    /// Whether its shopper was told that it is called off.
    pub called_off: bool,
    /// What staff was told will be given back, in cents.
    pub refunded_cents: i64,
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
    /// The refunds that the provider would not make, and of how many cents each.
    pub failed_refunds: Vec<(Uuid, i64)>,
    /// What was ordered: products and how many.
    pub lines: Vec<(String, i64)>,
}

/// One line of a provider's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Effect {
    /// What was done.
    #[serde(rename = "effect")]
    pub kind: EffectKind,
    /// The provider's name for the payment or the label.
    pub id: String,
    /// The order, as the provider was told.
    pub order_id: Option<String>,
    /// How much, in cents.
    pub cents: i64,
    /// Of which currency.
    pub currency: String,
}

/// What a provider can do to the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Money was held.
    Authorized,
    /// The bank said no.
    Declined,
    /// Held money was taken.
    Captured,
    /// Held money was let go.
    Canceled,
    /// Taken money was given back.
    Refunded,
    /// Money that was given back did not arrive, and is taken again.
    RefundFailed,
    /// A label was paid for.
    LabelBought,
    /// A label was given back.
    LabelVoided,
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

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum Violation {
    #[error("{order} was accepted and is lost")]
    Lost { order: Uuid },
    #[error("{order} is there, but nobody was told that it was accepted")]
    Unasked { order: Uuid },
    #[error("one idempotency key made two orders: {first} and {second}")]
    AcceptedTwice { first: Uuid, second: Uuid },
    #[error("{order} came to no end: it is {status}, {payment} and {fulfilment}")]
    Unfinished {
        order: Uuid,
        status: OrderStatus,
        payment: PaymentStatus,
        fulfilment: FulfilmentStatus,
    },
    #[error("{order} was called off, its shopper was told so, and it is {status}")]
    NotCalledOff { order: Uuid, status: OrderStatus },
    #[error("{order} is over, but its execution runs")]
    StillRunning { order: Uuid },
    #[error("{order} is over, but is looked after as if it were not")]
    StillLookedAfter { order: Uuid },
    #[error("{order} was charged {times} times")]
    ChargedTwice { order: Uuid, times: usize },
    #[error("{order} was charged {captured} instead of {due} cents")]
    WrongCharge {
        order: Uuid,
        captured: i64,
        due: i64,
    },
    #[error(
        "{order}: of {authorized} cents that were held, {captured} were taken, {released} let go"
    )]
    HoldNotSettled {
        order: Uuid,
        authorized: i64,
        captured: i64,
        released: i64,
    },
    #[error(
        "{order} was given back {refunded} cents of {captured}, where {promised} were promised and it is {payment}"
    )]
    WrongRefund {
        order: Uuid,
        refunded: i64,
        captured: i64,
        promised: i64,
        payment: PaymentStatus,
    },
    #[error("the refund {refund} of {order} failed, and nobody was told")]
    RefundFailedUnseen { order: Uuid, refund: Uuid },
    #[error("{order} is in {expected}, but {found} moved")]
    WrongCurrency {
        order: Uuid,
        expected: String,
        found: String,
    },
    #[error("{order} was paid by {found:?}, but says {recorded:?}")]
    OtherPayment {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("{order}: a label was bought while there was one")]
    LabelBoughtTwice { order: Uuid },
    #[error("{order} has {live} labels instead of {due}")]
    WrongLabels {
        order: Uuid,
        live: usize,
        due: usize,
    },
    #[error("{order} travels under {found:?}, but says {recorded:?}")]
    OtherLabel {
        order: Uuid,
        recorded: Option<String>,
        found: Option<String>,
    },
    #[error("there are {found} of {sku} instead of {expected}")]
    WrongStock {
        sku: String,
        expected: i64,
        found: i64,
    },
    #[error("{order} is parked without a token")]
    ParkedWithoutToken { order: Uuid },
    #[error("{order} has a token for {provider}, but is not parked")]
    TokenWithoutOrder { order: Uuid, provider: Provider },
    #[error("a provider did something ({kind:?} {id}) for an order that is not there: {order:?}")]
    EffectForNobody {
        order: Option<String>,
        kind: EffectKind,
        id: String,
    },
}

impl Snapshot {
    /// How many orders came to which end.
    pub fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for order in &self.orders {
            let (status, payment, fulfilment) = (order.status, order.payment, order.fulfilment);
            let outcome = format!("{status}, {payment}, {fulfilment}");
            *outcomes.entry(outcome).or_default() += 1;
        }
        outcomes
    }
}

/// Every promise that was broken.
pub fn check(snapshot: &Snapshot) -> Vec<Violation> {
    let mut violations = acceptance(snapshot);
    let (payments, shipping) = (by_order(&snapshot.payments), by_order(&snapshot.shipping));
    let accepted: HashMap<Uuid, &Accepted> = snapshot
        .accepted
        .iter()
        .map(|accepted| (accepted.order, accepted))
        .collect();
    for order in &snapshot.orders {
        let effects = |of: &HashMap<Uuid, Vec<_>>| of.get(&order.id).cloned().unwrap_or_default();
        let accepted = accepted.get(&order.id).copied();
        violations.extend(end(order, accepted));
        violations.extend(money(order, accepted, &effects(&payments)));
        violations.extend(failed_refunds(order, &snapshot.raised));
        violations.extend(labels(order, &effects(&shipping), &snapshot.raised));
    }
    violations.extend(stock(snapshot));
    violations.extend(parking(snapshot));
    violations.extend(strangers(snapshot));
    violations
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
        let sent = matches!(
            self.fulfilment,
            Fulfilment::Shipped | Fulfilment::Delivered | Fulfilment::Returned
        );
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

fn end(order: &Recorded, accepted: Option<&Accepted>) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !order.is_over() {
        violations.push(Violation::Unfinished {
            order: order.id,
            status: order.status,
            payment: order.payment,
            fulfilment: order.fulfilment,
        });
    }
    if accepted.is_some_and(|it| it.called_off) && order.status != OrderStatus::Cancelled {
        violations.push(Violation::NotCalledOff {
            order: order.id,
            status: order.status,
        });
    }
    violations
}

fn money(order: &Recorded, accepted: Option<&Accepted>, effects: &[&Effect]) -> Vec<Violation> {
    let id = order.id;
    let all = |kind: EffectKind| effects.iter().filter(move |it| it.kind == kind);
    let sum = |kind: EffectKind| all(kind).map(|effect| effect.cents).sum::<i64>();
    let authorized = sum(EffectKind::Authorized);
    let captured = sum(EffectKind::Captured);
    let released = sum(EffectKind::Canceled);
    let refunded = sum(EffectKind::Refunded) - sum(EffectKind::RefundFailed);

    let mut violations = Vec::new();
    if let Some(other) = effects.iter().find(|it| it.currency != order.currency) {
        violations.push(Violation::WrongCurrency {
            order: id,
            expected: order.currency.clone(),
            found: other.currency.clone(),
        });
    }
    let times = all(EffectKind::Captured).count();
    if times > 1 {
        violations.push(Violation::ChargedTwice { order: id, times });
    }
    if !order.is_over() {
        return violations;
    }
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
    let failed: i64 = order.failed_refunds.iter().map(|(_, cents)| cents).sum();
    let promised = accepted.map_or(0, |it| it.refunded_cents) - failed;
    let status = match refunded {
        0 => PaymentStatus::Captured,
        part if part < captured => PaymentStatus::PartiallyRefunded,
        _ => PaymentStatus::Refunded,
    };
    if refunded != promised || refunded > captured || (completed && order.payment != status) {
        violations.push(Violation::WrongRefund {
            order: id,
            refunded,
            captured,
            promised,
            payment: order.payment,
        });
    }
    let payment = all(EffectKind::Captured).map(|effect| &effect.id).next();
    if completed && order.payment_id.as_ref() != payment {
        violations.push(Violation::OtherPayment {
            order: id,
            recorded: order.payment_id.clone(),
            found: payment.cloned(),
        });
    }
    violations
}

/// A promised refund may fail, but then a person takes over.
fn failed_refunds(order: &Recorded, raised: &[String]) -> Vec<Violation> {
    let refunds = order.failed_refunds.iter().map(|(refund, _)| *refund);
    refunds
        .filter(|refund| !raised.contains(&refund.to_string()))
        .map(|refund| Violation::RefundFailedUnseen {
            order: order.id,
            refund,
        })
        .collect()
}

fn labels(order: &Recorded, effects: &[&Effect], raised: &[String]) -> Vec<Violation> {
    let id = order.id;
    let mut violations = Vec::new();
    let mut live: Vec<&String> = Vec::new();
    for effect in effects {
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
        live.retain(|label| !raised.contains(label));
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

fn by_order(effects: &[Effect]) -> HashMap<Uuid, Vec<&Effect>> {
    let mut by_order: HashMap<Uuid, Vec<&Effect>> = HashMap::new();
    for effect in effects {
        if let Some(order) = effect.order() {
            by_order.entry(order).or_default().push(effect);
        }
    }
    by_order
}

impl Effect {
    /// The order that it was done for, if it names one.
    pub fn order(&self) -> Option<Uuid> {
        self.order_id.as_ref()?.parse().ok()
    }
}
