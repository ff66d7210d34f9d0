//! What the providers did to the outside world, in the order in which they did it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use orders::Provider;
use serde::Deserialize;
use uuid::Uuid;

use super::{Case, Strike, Violation};
use crate::SHOP_ID;

/// One line of a provider's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Effect {
    /// What was done.
    #[serde(rename = "effect")]
    pub kind: EffectKind,
    /// When.
    pub at: Timestamp,
    /// The provider's name for the payment, the refund or the label.
    pub id: String,
    /// The order that the call named.
    pub order_id: Option<String>,
    /// The refund that the call named, if it is one.
    #[serde(default)]
    pub refund_id: Option<String>,
    /// The payment that is refunded, if it is a refund.
    #[serde(default)]
    pub payment_intent: Option<String>,
    /// The shop whose mark it has.
    #[serde(default)]
    pub shop: Option<String>,
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
    /// Held money was voided.
    Canceled,
    /// Captured money was refunded.
    Refunded,
    /// Money that was refunded did not arrive, and came back.
    RefundFailed,
    /// A label was paid for.
    LabelBought,
    /// A label was voided.
    LabelVoided,
    /// A parcel has arrived.
    Delivered,
}

impl Effect {
    /// The order that it was done for, if it names one.
    pub fn order(&self) -> Option<Uuid> {
        self.order_id.as_ref()?.parse().ok()
    }

    /// Whether it has another mark than our shop's, or none.
    pub(crate) fn is_foreign(&self) -> bool {
        self.shop.as_deref() != Some(SHOP_ID)
    }

    /// The refund that it was done for, if it names one of ours.
    pub fn refund(&self) -> Option<Uuid> {
        self.refund_id.as_ref()?.parse().ok()
    }
}

/// Whether both ledgers' effects follow from each other, and no hold is one too many.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut effects: Vec<&Effect> = case.payments.clone();
    effects.extend(&case.shipping);
    effects.sort_by_key(|effect| effect.at);
    let mut so_far = SoFar::default();
    let mut violations = Vec::new();
    for effect in effects {
        if !so_far.takes(effect) {
            violations.push(Violation::OutOfOrder {
                order: case.order.id,
                kind: effect.kind,
                id: effect.id.clone(),
            });
        }
    }
    violations.extend(authorized_twice(case));
    violations
}

/// What was done for an order so far.
#[derive(Default)]
struct SoFar<'a> {
    /// The payments that were ever authorized.
    authorized: HashSet<&'a str>,
    /// Of these, the ones that are held, and how much.
    held: HashMap<&'a str, i64>,
    captured: i64,
    refunds: HashSet<&'a str>,
    refunded: i64,
    labels: HashSet<&'a str>,
}

impl<'a> SoFar<'a> {
    /// Does this, too, and says whether it follows from what was done before.
    fn takes(&mut self, effect: &'a Effect) -> bool {
        let Effect { id, cents, .. } = effect;
        match effect.kind {
            EffectKind::Declined => !self.authorized.contains(id.as_str()),
            EffectKind::Authorized => {
                self.held.insert(id, *cents);
                self.authorized.insert(id)
            }
            // No money without a label.
            EffectKind::Captured => {
                self.captured += cents;
                let held = self.held.remove(id.as_str());
                held.is_some_and(|held| held >= *cents) && !self.labels.is_empty()
            }
            EffectKind::Canceled => self.held.remove(id.as_str()) == Some(*cents),
            EffectKind::Refunded => {
                self.refunded += cents;
                self.refunds.insert(id) && self.refunded <= self.captured
            }
            EffectKind::RefundFailed => {
                self.refunded -= cents;
                self.refunds.contains(id.as_str())
            }
            // No label without money. The hold may have lapsed meanwhile.
            EffectKind::LabelBought => self.labels.insert(id) && !self.authorized.is_empty(),
            EffectKind::LabelVoided => self.labels.remove(id.as_str()),
            EffectKind::Delivered => self.labels.contains(id.as_str()),
        }
    }
}

/// An order is authorized once, under one key, and again only after a look-up has found nothing. So
/// each hold beyond the first must have been hidden by a fault. A lost answer or a killed program alone
/// explains none: the key is the same, or the look-up finds the hold.
fn authorized_twice(case: &Case<'_>) -> Option<Violation> {
    let authorized = |effect: &&&Effect| effect.kind == EffectKind::Authorized;
    let times = case.payments.iter().filter(authorized).count() as u64;
    let hidden = case.strikes.iter().map(|strike| strike.hides_holds());
    // A key may be forgotten with any call, also one for another order.
    let forgets =
        |strike: &Strike| strike.provider == Provider::Payments && strike.mode == "forget_keys";
    let forgotten = u64::from(case.snapshot.strikes.iter().any(forgets));
    let allowed = 1 + hidden.sum::<u64>() + forgotten;
    (times > allowed).then_some(Violation::AuthorizedTwice {
        order: case.order.id,
        times,
        allowed,
    })
}
