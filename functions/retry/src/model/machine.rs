//! The state machines of `statemachines/`, as far as they are used there: tasks, choices, and waits for a
//! token. What this does not know, it refuses.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Outcome, Step};

/// A state machine.
pub(super) struct Machine {
    definition: Value,
}

/// Where an execution is, and what it has assigned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Execution {
    pub(super) place: Place,
    variables: BTreeMap<String, String>,
}

/// Where an execution is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// It runs the task of this state.
    Task(String),
    /// It waits for its token in this state. The hold is what it was parked with, as JSON.
    Parked { state: String, hold: String },
    /// It has ended.
    Ended,
}

impl Machine {
    /// Reads a definition in Amazon States Language.
    pub(super) fn new(definition: &str) -> Self {
        let definition = serde_json::from_str(definition).unwrap();
        Self { definition }
    }

    /// The same machine in which these states follow on those.
    pub(super) fn with_next(mut self, changes: &[(&str, &str)]) -> Self {
        for (state, next) in changes {
            let state = &mut self.definition["States"][state];
            let key = if state["Type"] == "Choice" {
                "Default"
            } else {
                "Next"
            };
            state[key] = (*next).into();
        }
        self
    }

    /// An execution that has just been started.
    pub(super) fn start(&self) -> Execution {
        Execution {
            place: Place::Task(text(&self.definition["StartAt"])),
            variables: BTreeMap::new(),
        }
    }

    /// Which step of the worker a task runs. None, if the machine is a refund's, which has only one.
    pub(super) fn step(&self, state: &str) -> Option<Step> {
        let arguments = &self.state(state)["Arguments"];
        let step = arguments.get("step")?;
        Some(serde_json::from_value(step.clone()).unwrap())
    }

    /// Whether what waits in this state undoes what was begun for a cancelled order.
    pub(super) fn undoes(&self, state: &str) -> bool {
        let item = &self.state(state)["Arguments"]["Item"];
        matches!(
            item["step"]["S"].as_str(),
            Some("VoidPayment" | "VoidLabel")
        )
    }

    /// The execution after the task that it runs has ended so.
    pub(super) fn after(&self, execution: &Execution, outcome: &Outcome) -> Execution {
        let Place::Task(name) = &execution.place else {
            panic!("{execution:?} runs no task");
        };
        let result = serde_json::to_value(outcome).unwrap();
        let state = self.state(name);
        let mut variables = execution.variables.clone();
        if let Some(Value::Object(assigned)) = state.get("Assign") {
            for (variable, value) in assigned {
                if value == "{% $states.result %}" {
                    variables.insert(variable.clone(), result.to_string());
                }
            }
        }
        let place = self.follow(state, &result, &variables);
        Execution { place, variables }
    }

    /// The execution after its token was sent.
    pub(super) fn resumed(&self, execution: &Execution) -> Execution {
        let Place::Parked { state, .. } = &execution.place else {
            panic!("{execution:?} is not parked");
        };
        self.at(execution, &self.state(state)["Next"])
    }

    /// The execution after it has waited for so many seconds. One that has no way on then is parked anew.
    pub(super) fn timed_out(&self, execution: &Execution, seconds: u64) -> Execution {
        let Place::Parked { state, .. } = &execution.place else {
            return execution.clone();
        };
        let state = self.state(state);
        let limit = state["TimeoutSeconds"].as_u64().unwrap();
        match state.pointer("/Catch/0") {
            Some(catch) if catch["ErrorEquals"][0] == "States.Timeout" && seconds > limit => {
                self.at(execution, &catch["Next"])
            }
            _ => execution.clone(),
        }
    }

    fn at(&self, execution: &Execution, name: &Value) -> Execution {
        let place = self.enter(&text(name), &Value::Null, &execution.variables);
        let variables = execution.variables.clone();
        Execution { place, variables }
    }

    fn follow(&self, state: &Value, input: &Value, variables: &BTreeMap<String, String>) -> Place {
        if state.get("End").is_some() {
            return Place::Ended;
        }
        self.enter(&text(&state["Next"]), input, variables)
    }

    /// Enters a state, and follows choices to a task, a wait or the end.
    fn enter(&self, name: &str, input: &Value, variables: &BTreeMap<String, String>) -> Place {
        let state = self.state(name);
        match state["Type"].as_str() {
            Some("Succeed") => Place::Ended,
            Some("Choice") => {
                let choices = state["Choices"].as_array().unwrap();
                let chosen = choices
                    .iter()
                    .find(|choice| holds(&text(&choice["Condition"]), input, variables));
                let next = chosen.map_or(&state["Default"], |choice| &choice["Next"]);
                self.enter(&text(next), input, variables)
            }
            Some("Task") if text(&state["Resource"]).ends_with(".waitForTaskToken") => {
                let provider = text(&state["Arguments"]["Item"]["provider"]["S"]);
                let path = expression(&provider).strip_suffix(".provider").unwrap();
                let hold = value(path, input, variables);
                assert!(hold.is_object(), "{name} is parked without a hold");
                Place::Parked {
                    state: name.to_owned(),
                    hold: hold.to_string(),
                }
            }
            Some("Task") => Place::Task(name.to_owned()),
            other => panic!("{name} is of an unknown type: {other:?}"),
        }
    }

    fn state(&self, name: &str) -> &Value {
        &self.definition["States"][name]
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What stands between `{%` and `%}`.
fn expression(jsonata: &str) -> &str {
    let inner = jsonata.strip_prefix("{% ").unwrap();
    inner.strip_suffix(" %}").unwrap()
}

/// Whether all of the comparisons of a condition hold.
fn holds(condition: &str, input: &Value, variables: &BTreeMap<String, String>) -> bool {
    expression(condition).split(" and ").all(|comparison| {
        let (path, expected) = comparison.split_once(" = ").unwrap();
        value(path, input, variables) == expected.trim_matches('\'')
    })
}

/// What is at a path that begins with a variable or with the state's input.
fn value(path: &str, input: &Value, variables: &BTreeMap<String, String>) -> Value {
    let (root, rest) = if let Some(rest) = path.strip_prefix("$states.input") {
        (input.clone(), rest)
    } else {
        let (name, rest) = path[1..].split_at(path[1..].find('.').unwrap());
        let assigned = variables.get(name).map_or("null", String::as_str);
        (serde_json::from_str(assigned).unwrap(), rest)
    };
    let found = root.pointer(&rest.replace('.', "/"));
    found.cloned().unwrap_or_default()
}
