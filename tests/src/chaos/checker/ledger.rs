//! Checks the order of the providers' effects.

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
    /// The kind of effect.
    #[serde(rename = "effect")]
    pub kind: EffectKind,
    /// The time of the effect.
    pub at: Timestamp,
    /// The provider's id of the payment, refund or label.
    pub id: String,
    /// The order in the call's metadata.
    pub order_id: Option<String>,
    /// The refund in the call's metadata, for refunds.
    #[serde(default)]
    pub refund_id: Option<String>,
    /// The refunded payment, for refunds.
    #[serde(default)]
    pub payment_intent: Option<String>,
    /// The shop in the call's metadata.
    #[serde(default)]
    pub shop: Option<String>,
    /// The amount.
    pub cents: i64,
    /// The currency of the amount.
    pub currency: String,
}

/// A kind of effect on the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A payment was authorized.
    Authorized,
    /// The bank declined a payment.
    Declined,
    /// A payment was captured.
    Captured,
    /// An authorization was voided.
    Canceled,
    /// A payment was refunded.
    Refunded,
    /// A refund failed, and the money came back.
    RefundFailed,
    /// A label was bought.
    LabelBought,
    /// A label was voided.
    LabelVoided,
    /// A parcel was delivered.
    Delivered,
}

impl Effect {
    /// The order of the effect, if it names one.
    pub fn order(&self) -> Option<Uuid> {
        self.order_id.as_ref()?.parse().ok()
    }

    /// Whether its shop is not ours, or unknown.
    pub(crate) fn is_foreign(&self) -> bool {
        self.shop.as_deref() != Some(SHOP_ID)
    }

    /// The refund of the effect, if it names one of ours.
    pub fn refund(&self) -> Option<Uuid> {
        self.refund_id.as_ref()?.parse().ok()
    }
}

/// Checks that the effects in both ledgers are in order, and that no authorization is unexplained.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut totals = Totals::default();
    let mut violations = Vec::new();
    for effect in case.effects() {
        if !totals.apply(effect) {
            violations.push(Violation::OutOfOrder {
                order: case.order.id,
                kind: effect.kind,
                id: effect.id.clone(),
            });
        }
    }
    violations.extend(excess_authorizations(case));
    violations
}

/// The sum of an order's effects so far.
#[derive(Default)]
struct Totals<'a> {
    /// The payments that were ever authorized.
    authorized: HashSet<&'a str>,
    /// The payments whose money is held, with the amounts.
    held: HashMap<&'a str, i64>,
    captured: i64,
    refunds: HashSet<&'a str>,
    refunded: i64,
    labels: HashSet<&'a str>,
}

impl<'a> Totals<'a> {
    /// Adds an effect. Returns whether it is allowed after the previous ones.
    fn apply(&mut self, effect: &'a Effect) -> bool {
        let Effect { id, cents, .. } = effect;
        match effect.kind {
            EffectKind::Declined => !self.authorized.contains(id.as_str()),
            EffectKind::Authorized => {
                self.held.insert(id, *cents);
                self.authorized.insert(id)
            }
            // No capture without a label.
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
            // No label without an authorization, which may have lapsed since.
            EffectKind::LabelBought => self.labels.insert(id) && !self.authorized.is_empty(),
            EffectKind::LabelVoided => self.labels.remove(id.as_str()),
            EffectKind::Delivered => self.labels.contains(id.as_str()),
        }
    }
}

/// An order is authorized once with one key, and again only after a look-up has found nothing. So a
/// fault must have hidden each authorization beyond the first. A lost response or a killed program
/// alone explains none: the key is the same, or the look-up finds the authorization.
fn excess_authorizations(case: &Case<'_>) -> Option<Violation> {
    let authorized = |effect: &&&Effect| effect.kind == EffectKind::Authorized;
    let times = case.payments.iter().filter(authorized).count() as u64;
    let hidden = case
        .strikes
        .iter()
        .map(|strike| strike.hidden_authorizations());
    // The payment service may forget a key during a call for any order.
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
