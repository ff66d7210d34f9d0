//! One run of the worker in the model: the current state of the order and the providers, and a
//! script that makes every choice of the run.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Refund, RefundCall,
    ShipmentLookup, VoidReason,
};
use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use orders::{LabelId, Order, OrderEvent, OrderId, PaymentId, Provider, ShipmentId, ShopId, Wait};
use store::{NewAttention, RecordError, StoreError, Work};

use super::{
    Fate, Fix, at,
    providers::{Effect, LabelFault, Shipping, bought, reason_code, rejected},
    state::State,
    steps::compare_record,
    worker,
};
use crate::{
    Failure, Steps,
    guard::worse,
    services::{Books, Guarded, PaymentCalls, ShippingCalls},
};

/// The maximum number of attempts of one guarded call.
const MAX_TRIES: u32 = 2;

/// The worker's services during a run: a state of the model that the run changes.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Run>>);

struct Run {
    state: State,
    script: Script,
    /// Whether another run is interrupting this one.
    is_interrupted: bool,
    searches: u32,
}

/// The choices of a run: first those that are given, then option 0 each time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Script {
    choices: Vec<u8>,
    widths: Vec<u8>,
}

impl Script {
    fn choose(&mut self, width: u8) -> u8 {
        let position = self.widths.len();
        self.widths.push(width);
        if position == self.choices.len() {
            self.choices.push(0);
        }
        self.choices[position]
    }

    /// Returns the script to try after this one has run, or `None` after the last.
    fn next(mut self) -> Option<Self> {
        while let (Some(choice), Some(width)) = (self.choices.pop(), self.widths.pop()) {
            if choice + 1 < width {
                self.choices.push(choice + 1);
                self.widths.clear();
                return Some(self);
            }
        }
        None
    }
}

/// The end of a run.
pub(super) struct End<T> {
    pub(super) choices: Vec<u8>,
    pub(super) state: State,
    /// How often the payment provider was searched.
    pub(super) searches: u32,
    /// `None` if the worker died.
    pub(super) result: Option<T>,
}

/// Runs the worker on a state once for each possible sequence of choices.
pub(super) fn all_runs<T, F>(state: &State, run: impl Fn(Steps<World>) -> F) -> Vec<End<T>>
where
    F: Future<Output = T>,
{
    let mut ends = Vec::new();
    let mut script = Some(Script::default());
    while let Some(next) = script {
        let world = World(Arc::new(Mutex::new(Run {
            state: state.clone(),
            script: next,
            is_interrupted: false,
            searches: 0,
        })));
        let result = run(worker(state.rules, world.clone())).now_or_never();
        let run = world.lock();
        ends.push(End {
            choices: run.script.choices.clone(),
            state: run.state.clone(),
            searches: run.searches,
            result,
        });
        script = run.script.clone().next();
    }
    ends
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Run> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self, width: u8) -> u8 {
        self.lock().script.choose(width)
    }

    /// Chooses one of a number of faults, or none. Each fault counts against the run's budget.
    fn fault(&self, faults: u8) -> Option<u8> {
        let mut run = self.lock();
        if run.state.left.faults == 0 {
            return None;
        }
        let fault = run.script.choose(faults + 1).checked_sub(1)?;
        run.state.left.faults -= 1;
        Some(fault)
    }

    /// The worker may die here.
    async fn may_die(&self) {
        if self.fault(1).is_some() {
            pending::<()>().await;
        }
    }

    /// Something else may happen here: the shopper cancels the order, a webhook is received, a
    /// record is compared.
    async fn may_be_interrupted(&self) {
        let interruptions = {
            let run = self.lock();
            if run.is_interrupted {
                return;
            }
            run.state.interruptions()
        };
        if interruptions.is_empty() {
            return;
        }
        let width = u8::try_from(interruptions.len() + 1).unwrap();
        let Some(choice) = self.choose(width).checked_sub(1) else {
            return;
        };
        match &interruptions[usize::from(choice)] {
            Interruption::Cancel => self.lock().state.cancel(),
            other => self.interrupt(other).await,
        }
    }

    /// Runs another environment of the worker. It has no faults of its own. The interrupted run, or
    /// the next one, does what it leaves undone.
    async fn interrupt(&self, interruption: &Interruption) {
        let (before, faults) = {
            let mut run = self.lock();
            run.is_interrupted = true;
            run.state.left.interruptions -= 1;
            (
                run.state.clone(),
                std::mem::take(&mut run.state.left.faults),
            )
        };
        let other = worker(before.rules, self.clone());
        let mut resumes = false;
        match interruption {
            Interruption::Cancel => {}
            Interruption::Webhook(id) => {
                let known = before.known();
                let payment_id = id.parse().unwrap();
                let heard = other.on_authorized(Some(&known), before.order.id, &payment_id);
                resumes = heard.await.unwrap();
            }
            Interruption::Comparison(place) => {
                resumes = compare_record(&before, &other, *place).await;
            }
        }
        let mut run = self.lock();
        run.state.left.faults = faults;
        run.is_interrupted = false;
        if resumes {
            run.state.wake(Provider::Payments);
        }
    }

    /// Makes a call with an effect to the payment provider, with an idempotency key.
    fn call(&self, key: &str, effect: &Effect) -> Result<String, CallError> {
        let faults = effect.faults();
        let is_replayed = {
            let run = self.lock();
            run.state.payments.knows(key, run.state.now)
        };
        let fault = if is_replayed {
            None
        } else {
            self.fault(u8::try_from(faults.len()).unwrap())
        };
        let fault = fault.map(|fault| faults[usize::from(fault)]);
        let mut run = self.lock();
        let now = run.state.now;
        run.state.payments.call(key, effect, fault, now)
    }

    fn label_fault(&self, faults: &[LabelFault]) -> Option<LabelFault> {
        let fault = self.fault(u8::try_from(faults.len()).unwrap())?;
        Some(faults[usize::from(fault)])
    }

    fn record_of(&self, id: &str) -> PaymentIntent {
        let run = self.lock();
        run.state
            .payments
            .intent(id)
            .record(!run.state.rules.lacks(Fix::Rounds))
    }
}

/// What can happen between two accesses to the database.
enum Interruption {
    Cancel,
    /// A webhook about this payment.
    Webhook(String),
    /// A comparison of the record at this index.
    Comparison(usize),
}

#[async_trait]
impl Books for World {
    fn now(&self) -> Timestamp {
        at(self.lock().state.now)
    }

    fn chance(&self) -> f64 {
        0.0
    }

    async fn order(&self, _: OrderId) -> Result<Option<Order>, StoreError> {
        self.may_be_interrupted().await;
        Ok(Some(self.lock().state.order.clone()))
    }

    async fn record(
        &self,
        _: OrderId,
        decide: impl for<'a> Fn(&'a Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError> {
        self.may_be_interrupted().await;
        let events = decide(&self.lock().state.order);
        if !events.is_empty() {
            self.may_die().await;
        }
        let mut run = self.lock();
        for event in events {
            run.state.record(&event)?;
        }
        Ok(run.state.order.clone())
    }

    async fn record_call(&self, _: OrderId) -> Result<(), StoreError> {
        let now = self.now();
        self.lock().state.order.last_call_at = Some(now);
        Ok(())
    }

    async fn update_wait(&self, order: &Order, wait: &Wait) -> Result<(), StoreError> {
        let mut run = self.lock();
        if run.state.order.wait == order.wait {
            run.state.order.wait = Some(wait.clone());
        }
        Ok(())
    }

    async fn has_requested_label(&self, _: OrderId) -> Result<bool, StoreError> {
        Ok(self.lock().state.has_requested_label)
    }

    async fn finish(&self, work: Work) -> Result<(), StoreError> {
        self.may_die().await;
        let mut run = self.lock();
        if let Work::Order(_) = work {
            run.state.unfinished = false;
            run.state.order.wait = None;
        }
        Ok(())
    }

    async fn raise(&self, finding: &NewAttention) -> Result<bool, StoreError> {
        let raised = (finding.subject.clone(), finding.kind.to_string());
        Ok(self.lock().state.raised.insert(raised))
    }

    async fn release_after(&self, _: Duration) -> Result<(), StoreError> {
        // The model releases due work without a command.
        Ok(())
    }
}

#[async_trait]
impl Guarded for World {
    async fn guarded<T: Send, F: Future<Output = Result<T, CallError>> + Send>(
        &self,
        provider: Provider,
        mut attempt: impl FnMut(u32) -> F + Send,
    ) -> Result<T, Failure> {
        if self.lock().state.down == Some(provider) {
            return Err(Failure::Open);
        }
        let mut worst = None;
        for tried in 0..MAX_TRIES {
            self.may_die().await;
            let error = match attempt(tried).await {
                Err(error) if error.is_transient() => worse(worst.take(), error),
                Err(CallError::Rejected { .. } | CallError::AccountError { .. })
                    if worst.is_some() =>
                {
                    break;
                }
                result => return Ok(result?),
            };
            worst = Some(error);
            if tried + 1 < MAX_TRIES && self.choose(2) == 0 {
                break;
            }
        }
        Err(worst.map_or(Failure::Open, Failure::Call))
    }
}

#[async_trait]
impl PaymentCalls for World {
    async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let fate = self.lock().state.rules.fate;
        let effect = Effect::Authorize {
            round: authorization.round,
            status: match fate {
                Fate::Shipped | Fate::GoesNowhere => "requires_capture",
                Fate::Declined => "requires_payment_method",
                Fate::RequiresAction => "requires_action",
            },
        };
        let id = self.call(key, &effect)?;
        if fate == Fate::Declined {
            return Err(CallError::Declined {
                code: "card_declined".to_owned(),
                message: String::new(),
            });
        }
        Ok(self.record_of(&id))
    }

    async fn capture(&self, payment_id: &PaymentId, key: &str) -> Result<PaymentIntent, CallError> {
        self.lock().state.check_capture();
        let id = self.call(key, &Effect::Capture(payment_id.to_string()))?;
        Ok(self.record_of(&id))
    }

    async fn void_payment(
        &self,
        payment_id: &PaymentId,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let effect = Effect::Void {
            id: payment_id.to_string(),
            reason: reason_code(reason),
        };
        let id = self.call(key, &effect)?;
        Ok(self.record_of(&id))
    }

    async fn payment(&self, payment_id: &PaymentId) -> Result<PaymentIntent, CallError> {
        Ok(self.record_of(payment_id.as_str()))
    }

    async fn payments_of(&self, _: &ShopId, _: OrderId) -> Result<Vec<PaymentIntent>, CallError> {
        let (intents, now, rounds) = {
            let mut run = self.lock();
            run.searches += 1;
            let state = &run.state;
            (
                state.payments.intents.clone(),
                state.now,
                !state.rules.lacks(Fix::Rounds),
            )
        };
        // The search may lag and miss the payments of this unit.
        let has_new = intents.iter().any(|intent| intent.created == now);
        let hides_new = has_new && self.choose(2) == 1;
        let found = intents
            .iter()
            .filter(|intent| !hides_new || intent.created < now)
            .map(|intent| intent.record(rounds));
        Ok(found.collect())
    }

    async fn refund(&self, refunding: RefundCall<'_>, key: &str) -> Result<Refund, CallError> {
        let effect = Effect::Refund {
            refund_id: refunding.refund_id,
            cents: refunding.amount.get(),
        };
        let id = self.call(key, &effect)?;
        let run = self.lock();
        let mut made = run.state.payments.refunds.iter();
        let made = made.find(|refund| refund.id == id).unwrap();
        Ok(made.record(refunding.payment_id.as_str()))
    }

    async fn refunds_of(&self, payment_id: &PaymentId) -> Result<Vec<Refund>, CallError> {
        let run = self.lock();
        let made = run.state.payments.refunds.iter();
        Ok(made
            .map(|refund| refund.record(payment_id.as_str()))
            .collect())
    }
}

#[async_trait]
impl ShippingCalls for World {
    async fn shipment_of(&self, _: OrderId) -> Result<ShipmentLookup, CallError> {
        self.lock().state.shipping.shipped()
    }

    async fn buy_label(&self, _: Parcel<'_>) -> Result<BoughtLabel, CallError> {
        if self.lock().state.rules.fate == Fate::GoesNowhere {
            return Err(rejected("invalid_address"));
        }
        let fault = self.label_fault(Shipping::BUY_FAULTS);
        let mut run = self.lock();
        run.state.check_label();
        run.state.shipping.buy(fault).map(|id| bought(&id))
    }

    async fn buy_label_for(&self, _: &ShipmentId) -> Result<BoughtLabel, CallError> {
        let fault = self.label_fault(Shipping::BUY_FAULTS);
        let mut run = self.lock();
        run.state.check_label();
        let label_id = run.state.shipping.buy_for_shipment(fault);
        label_id.map(|id| bought(&id))
    }

    async fn void_label(&self, label_id: &LabelId) -> Result<(), CallError> {
        let fault = self.label_fault(Shipping::VOID_FAULTS);
        self.lock().state.shipping.void(label_id.as_str(), fault)
    }
}

impl State {
    fn interruptions(&self) -> Vec<Interruption> {
        let mut all = Vec::new();
        if self.may_cancel() {
            all.push(Interruption::Cancel);
        }
        if self.left.interruptions > 0 {
            let webhooks = self.told_by_webhooks().into_iter();
            all.extend(webhooks.map(Interruption::Webhook));
            all.extend((0..self.records()).map(Interruption::Comparison));
        }
        all
    }
}
