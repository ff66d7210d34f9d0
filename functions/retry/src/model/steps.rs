//! The actions that are possible in a state.

use std::{collections::HashSet, fmt};

use orders::Provider;

use super::{
    Budget, END, Fix, ORDER, OUTAGES_END, REFUNDS,
    machine::Place,
    state::State,
    world::{End, World, all_runs},
};
use crate::{Outcome, StepError, Steps};

/// An action, and the state that it leads to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Action {
    name: String,
    pub(super) next: Box<State>,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Collects the actions of one state. Each resulting state is collected once.
pub(super) struct Collector<'a> {
    from: &'a State,
    seen: HashSet<State>,
    actions: &'a mut Vec<Action>,
}

impl<'a> Collector<'a> {
    /// Collects all actions that are possible in a state.
    pub(super) fn collect(from: &'a State, actions: &'a mut Vec<Action>) {
        let mut steps = Collector {
            from,
            seen: HashSet::new(),
            actions,
        };
        steps.run_tasks();
        steps.resume();
        steps.happen();
        steps.compare();
    }

    fn add(&mut self, name: impl Into<String>, next: State) {
        if next != *self.from && self.seen.insert(next.clone()) {
            self.actions.push(Action {
                name: name.into(),
                next: Box::new(next),
            });
        }
    }

    fn change(&mut self, name: impl Into<String>, change: impl FnOnce(&mut State)) {
        let mut next = self.from.clone();
        change(&mut next);
        self.add(name, next);
    }

    /// Runs the current task of the order's execution, and of its refund's.
    fn run_tasks(&mut self) {
        let from = self.from;
        let machine = from.rules.machine();
        if let Place::Task(name) = &from.execution.place {
            let step = machine.step(name).unwrap();
            let runs = all_runs(from, |worker| async move { worker.run(ORDER, step).await });
            self.add_runs(name, runs, |state, outcome| {
                state.execution = machine.after(&from.execution, outcome);
            });
        }
        if let Some(refund) = &from.refund
            && let Place::Task(name) = &refund.place
        {
            let id = from.order.refunds[0].id;
            let runs = all_runs(
                from,
                |worker| async move { worker.run_refund(ORDER, id).await },
            );
            self.add_runs(name, runs, |state, outcome| {
                state.refund = Some(REFUNDS.after(refund, outcome));
            });
        }
    }

    /// Adds the results of a task's runs. A task that died, or whose result is lost, runs again.
    fn add_runs(
        &mut self,
        name: &str,
        runs: Vec<End<Result<Outcome, StepError>>>,
        go_on: impl Fn(&mut State, &Outcome),
    ) {
        for End {
            choices,
            mut state,
            result,
            ..
        } in runs
        {
            let Some(Ok(outcome)) = result else {
                self.add(format!("{name} {choices:?} dies"), state);
                continue;
            };
            if state.left.faults > 0 {
                let mut lost = state.clone();
                lost.left.faults -= 1;
                self.add(format!("{name} {choices:?}, its result is lost"), lost);
            }
            go_on(&mut state, &outcome);
            self.add(format!("{name} {choices:?}: {outcome:?}"), state);
        }
    }

    /// Resumes the parked executions that are due, and an order that is to be undone.
    fn resume(&mut self) {
        let from = self.from;
        if from.is_due(&from.execution) {
            self.change("the order resumes", |state| {
                state.execution = from.rules.machine().resumed(&from.execution);
            });
        }
        if let Some(refund) = from.refund.as_ref().filter(|refund| from.is_due(refund)) {
            self.change("the refund resumes", |state| {
                state.refund = Some(REFUNDS.resumed(refund));
            });
        }
        if from.undo_is_asked {
            self.undo();
        }
    }

    /// Receives the command to undo a cancelled order.
    fn undo(&mut self) {
        let machine = self.from.rules.machine();
        match &self.from.execution.place {
            // The command is delivered again after the task has ended.
            Place::Task(_) => {}
            place @ Place::Parked { .. } if !place.waits_to_undo() => {
                self.change("the cancelled order resumes", |state| {
                    state.undo_is_asked = false;
                    state.execution = machine.resumed(&state.execution);
                });
            }
            _ => self.change("nothing is left to undo", |state| {
                state.undo_is_asked = false;
            }),
        }
    }

    /// Adds what happens outside tasks: acts of shoppers and providers, outages, lost executions,
    /// and time.
    fn happen(&mut self) {
        let from = self.from;
        if from.may_cancel() {
            self.change("the shopper cancels", State::cancel);
        }
        if from.left.refunds > 0 && from.order.is_paid() {
            self.change("a refund is asked for", State::ask_for_refund);
        }
        for (place, effect) in from.payments.late.iter().enumerate() {
            self.change(format!("late: {effect:?}"), |state| {
                let effect = state.payments.late.remove(place);
                // A refused effect changes nothing.
                let _ = state.payments.take_effect(&effect, state.now);
            });
        }
        if !from.shipping.is_settled() {
            self.change("a label is made late", |state| state.shipping.settle_one());
        }
        match from.down {
            Some(provider) => self.change(format!("{provider} is up"), |state| state.down = None),
            None if from.left.outages > 0 && from.now < OUTAGES_END => {
                for provider in [Provider::Payments, Provider::Shipping] {
                    self.change(format!("{provider} is down"), |state| {
                        state.down = Some(provider);
                        state.left.outages -= 1;
                    });
                }
            }
            None => {}
        }
        if from.left.faults > 0 && from.unfinished {
            self.change("the execution is lost, and another is started", |state| {
                state.left.faults -= 1;
                state.execution = state.rules.machine().start();
            });
        }
        if from.now < END && !from.is_over() {
            self.pass();
        }
    }

    /// Lets time pass if no execution can continue, or if all of them are delayed.
    fn pass(&mut self) {
        let from = self.from;
        let executions = [Some(&from.execution), from.refund.as_ref()];
        let mut executions = executions.into_iter().flatten();
        if !executions.any(|execution| from.can_go_on(execution)) {
            self.change("time passes", State::pass);
        } else if from.left.delays > 0 {
            self.change("everything is delayed", |state| {
                state.left.delays -= 1;
                state.pass();
            });
        }
    }

    /// Receives webhooks, and compares the providers' records with ours.
    fn compare(&mut self) {
        let from = self.from;
        for id in from.told_by_webhooks() {
            let known = from.known();
            let mut start = from.clone();
            start.left.interruptions -= 1;
            let runs = all_runs(&start, |worker| {
                let (known, id) = (known.clone(), id.clone());
                async move {
                    worker
                        .on_authorized(Some(&known), ORDER, &id.parse().unwrap())
                        .await
                }
            });
            for End {
                mut state, result, ..
            } in runs
            {
                if matches!(result, Some(Ok(true))) {
                    state.wake(Provider::Payments);
                }
                self.add(format!("the webhook of {id}"), state);
            }
        }
        for place in 0..from.records() {
            let runs = all_runs(from, |worker| async move {
                compare_record(from, &worker, place).await
            });
            for run in runs {
                let End {
                    choices,
                    mut state,
                    result,
                    ..
                } = run;
                if result == Some(true) {
                    state.wake(Provider::Payments);
                }
                self.add(format!("record {place} is compared {choices:?}"), state);
            }
        }
    }
}

/// Compares one of the providers' records with the order. Returns whether the order's execution may
/// resume.
pub(super) async fn compare_record(state: &State, worker: &Steps<World>, mut place: usize) -> bool {
    let known = state.known();
    if let Some(intent) = state.payments.intents.get(place) {
        let record = intent.record(!state.rules.lacks(Fix::Rounds));
        let settled = worker.settle_payment(Some(&known), &record).await;
        return settled.unwrap_or(false);
    }
    place -= state.payments.intents.len();
    if let Some(refund) = state.payments.refunds.get(place) {
        let payment_id = state.order.payment.id().unwrap().as_str();
        let record = refund.record(payment_id);
        worker.settle_refund(Some(&known), &record).await.unwrap();
        return false;
    }
    place -= state.payments.refunds.len();
    let record = state.shipping.labels[place].record();
    let _ = worker.settle_label(Some(&known), &record).await;
    false
}

impl State {
    /// The state after all outages have ended and all of the providers' records were compared.
    pub(super) fn compared(&self) -> Self {
        let calm = Self {
            left: Budget::default(),
            down: None,
            ..self.clone()
        };
        (0..self.records()).fold(calm, |state, place| {
            let runs = all_runs(&state, |worker| {
                let state = &state;
                async move { compare_record(state, &worker, place).await }
            });
            runs.into_iter().next().unwrap().state
        })
    }
}
