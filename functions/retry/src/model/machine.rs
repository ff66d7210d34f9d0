//! Interprets the state machines of `statemachines/`. It supports what they use (tasks, choices,
//! and waits for a token) and panics at anything else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Outcome, Step};

/// A state machine, with its definition in Amazon States Language.
pub(super) struct Machine {
    definition: Value,
}

/// An execution: the state that it is in, and its variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Execution {
    pub(super) place: Place,
    variables: BTreeMap<String, String>,
}

/// The state that an execution is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// It runs the task of the state with this name.
    Task(String),
    /// It waits for its token.
    Parked {
        state: String,
        /// The input of the state, as JSON.
        input: String,
        /// The step that it is parked at.
        step: String,
        /// The wait that it was parked with, as JSON.
        wait: String,
    },
    /// It has ended.
    Ended,
}

impl Place {
    /// Whether it is parked while it undoes a cancelled order.
    pub(super) fn waits_to_undo(&self) -> bool {
        matches!(self, Self::Parked { step, .. } if step == "VoidPayment" || step == "VoidLabel")
    }
}

impl Machine {
    /// Reads a definition in Amazon States Language.
    pub(super) fn new(definition: &str) -> Self {
        let definition = serde_json::from_str(definition).unwrap();
        Self { definition }
    }

    /// Changes transitions of the machine. Each pair is a state and the state that follows it.
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

    /// Starts an execution.
    pub(super) fn start(&self) -> Execution {
        Execution {
            place: Place::Task(text(&self.definition["StartAt"])),
            variables: BTreeMap::new(),
        }
    }

    /// The worker's step that a task runs. `None` for the refunds' machine, which has only one
    /// step.
    pub(super) fn step(&self, state: &str) -> Option<Step> {
        let arguments = &self.state(state)["Arguments"];
        let step = arguments.get("step")?;
        Some(serde_json::from_value(step.clone()).unwrap())
    }

    /// The execution after its task has ended with this outcome.
    pub(super) fn after(&self, execution: &Execution, outcome: &Outcome) -> Execution {
        let Place::Task(name) = &execution.place else {
            panic!("{execution:?} runs no task");
        };
        let result = serde_json::to_value(outcome).unwrap();
        let state = self.state(name);
        assert!(state.get("Output").is_none(), "{name} has an output");
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
        let Place::Parked { state, input, .. } = &execution.place else {
            panic!("{execution:?} is not parked");
        };
        let state = self.state(state);
        let input = serde_json::from_str(input).unwrap();
        let token_result = Value::Object(Map::new());
        let output = output(state, &input, &token_result, &execution.variables);
        self.at(execution, &state["Next"], &output)
    }

    /// The execution after it has waited for so many seconds. One that does not catch the timeout
    /// is parked again.
    pub(super) fn timed_out(&self, execution: &Execution, seconds: u64) -> Execution {
        let Place::Parked { state, .. } = &execution.place else {
            return execution.clone();
        };
        let state = self.state(state);
        let limit = state["TimeoutSeconds"].as_u64().unwrap();
        match state.pointer("/Catch/0") {
            Some(catch) if catch["ErrorEquals"][0] == "States.Timeout" && seconds > limit => {
                self.at(execution, &catch["Next"], &Value::Null)
            }
            _ => execution.clone(),
        }
    }

    fn at(&self, execution: &Execution, name: &Value, input: &Value) -> Execution {
        let place = self.enter(&text(name), input, &execution.variables);
        let variables = execution.variables.clone();
        Execution { place, variables }
    }

    fn follow(&self, state: &Value, input: &Value, variables: &BTreeMap<String, String>) -> Place {
        if state.get("End").is_some() {
            return Place::Ended;
        }
        self.enter(&text(&state["Next"]), input, variables)
    }

    /// Enters a state, and follows choices until a task, a wait or the end.
    fn enter(&self, name: &str, input: &Value, variables: &BTreeMap<String, String>) -> Place {
        let state = self.state(name);
        match state["Type"].as_str() {
            Some("Succeed") => Place::Ended,
            Some("Choice") => {
                let choices = state["Choices"].as_array().unwrap();
                let chosen = choices
                    .iter()
                    .find(|choice| holds(&text(&choice["Condition"]), input, variables));
                let Some(choice) = chosen else {
                    return self.enter(&text(&state["Default"]), input, variables);
                };
                let output = output(choice, input, input, variables);
                self.enter(&text(&choice["Next"]), &output, variables)
            }
            Some("Task") if text(&state["Resource"]).ends_with(".waitForTaskToken") => {
                let item = &state["Arguments"]["Item"];
                let provider = text(&item["provider"]["S"]);
                let path = expression(&provider).strip_suffix(".provider").unwrap();
                let wait = value(path, input, variables);
                assert!(wait.is_object(), "{name} is parked without a wait");
                Place::Parked {
                    state: name.to_owned(),
                    input: input.to_string(),
                    step: text(&evaluated(&item["step"]["S"], input, variables)),
                    wait: wait.to_string(),
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

/// The `JSONata` expression between `{%` and `%}`.
fn expression(jsonata: &str) -> &str {
    let inner = jsonata.strip_prefix("{% ").unwrap();
    inner.strip_suffix(" %}").unwrap()
}

/// The output of a state or a choice: its `Output` if it has one, else `otherwise`.
fn output(
    state: &Value,
    input: &Value,
    otherwise: &Value,
    variables: &BTreeMap<String, String>,
) -> Value {
    let output = state.get("Output");
    output.map_or(otherwise.clone(), |it| evaluated(it, input, variables))
}

/// A value of the definition, with its expressions evaluated.
fn evaluated(template: &Value, input: &Value, variables: &BTreeMap<String, String>) -> Value {
    match template {
        Value::Object(fields) => {
            let fields = fields.iter();
            let evaluated =
                fields.map(|(name, it)| (name.clone(), evaluated(it, input, variables)));
            Value::Object(evaluated.collect())
        }
        Value::String(jsonata) if jsonata.starts_with("{%") => {
            value(expression(jsonata), input, variables)
        }
        literal => literal.clone(),
    }
}

/// Whether all comparisons of a condition are true.
fn holds(condition: &str, input: &Value, variables: &BTreeMap<String, String>) -> bool {
    expression(condition).split(" and ").all(|comparison| {
        let (path, expected) = comparison.split_once(" = ").unwrap();
        value(path, input, variables) == expected.trim_matches('\'')
    })
}

/// The value of a variable or of the state's input, or the value at a path in it.
fn value(path: &str, input: &Value, variables: &BTreeMap<String, String>) -> Value {
    let (root, rest) = if let Some(rest) = path.strip_prefix("$states.input") {
        (input.clone(), rest)
    } else {
        let (name, rest) = path.split_at(path.find('.').unwrap_or(path.len()));
        assert_ne!(name, "$states", "{path} is not known");
        let assigned = variables.get(&name[1..]).map_or("null", String::as_str);
        (serde_json::from_str(assigned).unwrap(), rest)
    };
    let found = root.pointer(&rest.replace('.', "/"));
    found.cloned().unwrap_or_default()
}
