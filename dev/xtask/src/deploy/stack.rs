//! A `CloudFormation` stack. Each change is first created as a change set, then executed or
//! discarded. So what is shown is what is done, and an invalid change is refused before it starts.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::{
    aws::{Aws, text},
    process::{Processes, interrupted},
    progress::show_activity,
};

/// How often the stack's status is polled.
const POLL: Duration = Duration::from_secs(3);

/// How long a change may take. Creating the database takes about one hour of it.
const CHANGED_WITHIN: Duration = Duration::from_hours(3);

/// The status of a stack with a change set but no resources.
const NOT_CREATED: &str = "REVIEW_IN_PROGRESS";

/// The statuses after a successful change. We do not wait for the cleanup of old resources.
const DONE: [&str; 3] = [
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
];

/// How the reason ends of a resource that was only cancelled because another one failed.
const CANCELLED: &str = "cancelled";

/// A stack, which may not exist yet.
pub(super) struct Stack<'a> {
    pub(super) aws: Aws<'a>,
    pub(super) processes: &'a Processes,
    pub(super) home: &'a Path,
    pub(super) name: String,
    pub(super) template: &'static str,
    /// SAM's configuration, if there is one: the file and the section.
    pub(super) configuration: Option<(PathBuf, String)>,
}

/// The state of an existing stack.
#[derive(Debug)]
pub(crate) struct StackState {
    status: String,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl StackState {
    /// The state of the stack with this name, if it exists.
    pub(crate) fn find(aws: &Aws<'_>, name: &str) -> anyhow::Result<Option<Self>> {
        let input = json!({ "StackName": name });
        match aws.call("cloudformation", "describe_stacks", &input) {
            Ok(answer) => parse_state(&answer["Stacks"][0]).map(Some),
            Err(error) if error.to_string().contains("does not exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn output(&self, name: &str) -> anyhow::Result<&str> {
        let output = self.outputs.get(name).map(String::as_str);
        output.with_context(|| format!("the stack has no output {name}"))
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// A change set of a stack.
pub(super) struct ChangeSet {
    pub(super) id: String,
}

/// The change of one resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    action: String,
    resource: String,
    kind: String,
    replacement: Replacement,
    /// The properties that change.
    properties: Vec<String>,
}

/// Whether a resource is replaced by a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Replacement {
    No,
    Perhaps,
    Yes,
}

impl Stack<'_> {
    /// Its state, if it exists.
    pub(super) fn state(&self) -> anyhow::Result<Option<StackState>> {
        let state = self.describe()?;
        Ok(state.filter(|state| state.status != NOT_CREATED))
    }

    /// Its state, also if it has only a change set.
    fn describe(&self) -> anyhow::Result<Option<StackState>> {
        StackState::find(&self.aws, &self.name)
    }

    /// Returns an error, with a remedy, if the stack cannot be changed in this state.
    pub(super) fn check(&self, state: &StackState) -> anyhow::Result<()> {
        if let Some(remedy) = remedy(&self.name, &self.aws.region, &state.status) {
            bail!(
                "The stack {} has the status {}: {remedy}",
                self.name,
                state.status
            );
        }
        Ok(())
    }

    /// Uploads the template and its artifacts, and creates a change set; `None` if nothing changes.
    /// Parameters that are not given keep their values.
    pub(super) fn propose(
        &self,
        parameters: &BTreeMap<String, String>,
    ) -> anyhow::Result<Option<ChangeSet>> {
        let file = self.home.join(format!("{}-parameters.yaml", self.name));
        write_secret(&file, &serde_json::to_string(parameters)?)?;
        let mut sam = self.aws.sam();
        sam.args(["deploy", "--no-execute-changeset", "--no-progressbar"])
            .args(["--template", self.template, "--stack-name", &self.name])
            .args(["--region", &self.aws.region, "--resolve-s3"])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset"])
            .args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
            // JSON is valid YAML. A file, because process lists would show the secrets.
            .arg("--parameter-overrides")
            .arg(format!("file://{}", file.display()));
        if let Some((path, section)) = &self.configuration {
            sam.arg("--config-file")
                .arg(path)
                .args(["--config-env", section]);
        }
        let output = self
            .processes
            .output(&format!("sam-{}", self.name), &mut sam);
        fs::remove_file(&file)?;
        let output = output?;
        let id = change_set_id(&output);
        ensure!(
            id.is_some() || output.contains("No changes to deploy"),
            "SAM has printed no change set:\n{output}"
        );
        Ok(id.map(|id| ChangeSet { id: id.to_owned() }))
    }

    /// Deletes a change set, and the stack too if it was not created yet.
    pub(super) fn discard(&self, change_set: &ChangeSet) -> anyhow::Result<()> {
        self.call_change_set("delete_change_set", change_set)?;
        let left = self.describe()?;
        if left.is_some_and(|left| left.status == NOT_CREATED) {
            let input = json!({ "StackName": self.name });
            self.aws.call("cloudformation", "delete_stack", &input)?;
        }
        Ok(())
    }

    /// The changes of a change set. Removed and replaced resources come first.
    pub(super) fn changes(&self, change_set: &ChangeSet) -> anyhow::Result<Vec<Change>> {
        changes(&self.call_change_set("describe_change_set", change_set)?)
    }

    /// Executes a change set. If that fails, `CloudFormation` rolls it back, and the error lists
    /// the resources that failed.
    pub(super) fn execute(&self, change_set: &ChangeSet) -> anyhow::Result<()> {
        self.call_change_set("execute_change_set", change_set)?;
        let deadline = Instant::now() + CHANGED_WITHIN;
        let stack = json!({ "StackName": self.name });
        loop {
            sleep(POLL);
            if interrupted() {
                eprintln!(
                    "\nStopped waiting. CloudFormation continues to change the stack {}.",
                    self.name
                );
                bail!("stopped");
            }
            let state = self.describe()?;
            let state = state.context("the stack does not exist any more")?;
            if DONE.contains(&state.status.as_str()) {
                return Ok(());
            }
            if !state.status.ends_with("_IN_PROGRESS") {
                bail!(
                    "{}",
                    failure_message(&self.name, &state.status, &self.failures(&self.name)?)
                );
            }
            ensure!(
                Instant::now() < deadline,
                "the stack {} is still {} after {CHANGED_WITHIN:?}",
                self.name,
                state.status
            );
            let resources = self
                .aws
                .call("cloudformation", "list_stack_resources", &stack)?;
            show_activity(&in_progress(&resources));
        }
    }

    fn call_change_set(&self, operation: &str, change_set: &ChangeSet) -> anyhow::Result<Value> {
        let input = json!({ "StackName": self.name, "ChangeSetName": change_set.id });
        self.aws.call("cloudformation", operation, &input)
    }

    /// The failures of the last change of a stack and of its nested stacks.
    fn failures(&self, stack: &str) -> anyhow::Result<Vec<String>> {
        let input = json!({ "StackName": stack });
        let answer = self
            .aws
            .call("cloudformation", "describe_stack_events", &input)?;
        let mut failures = Vec::new();
        for failure in last_failures(&answer) {
            let nested = match &failure.stack {
                Some(nested) => self.failures(nested).unwrap_or_default(),
                None => Vec::new(),
            };
            // For a nested stack, show its own failures instead.
            if nested.is_empty() {
                failures.push(format!("{}: {}", failure.resource, failure.reason));
            } else {
                let path = |inner| format!("{}/{inner}", failure.resource);
                failures.extend(nested.into_iter().map(path));
            }
        }
        // A resource whose rollback also fails is listed twice.
        failures.dedup();
        Ok(failures)
    }
}

/// A failed resource.
struct Failure<'a> {
    resource: &'a str,
    reason: &'a str,
    /// The id of the nested stack, if the resource is one.
    stack: Option<String>,
}

/// The resources that failed in the last change of a stack, in the order in which they failed.
/// Events are listed newest first.
fn last_failures(answer: &Value) -> Vec<Failure<'_>> {
    let events = answer["StackEvents"].as_array();
    let events = events.into_iter().flatten();
    let of_stack = |event: &Value| event["PhysicalResourceId"] == event["StackId"];
    let status = |event: &Value| {
        event["ResourceStatus"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"];
    let last =
        events.take_while(|event| !(of_stack(event) && begins.contains(&status(event).as_str())));
    let mut failures: Vec<_> = last
        .filter(|event| status(event).ends_with("_FAILED") && !of_stack(event))
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            let stack = text("PhysicalResourceId");
            Failure {
                resource: text("LogicalResourceId"),
                reason: text("ResourceStatusReason"),
                stack: (text("ResourceType") == "AWS::CloudFormation::Stack" && !stack.is_empty())
                    .then(|| stack.to_owned()),
            }
        })
        .filter(|failure| !failure.reason.ends_with(CANCELLED))
        .collect();
    failures.reverse();
    failures
}

/// The message about a failed change.
fn failure_message(name: &str, status: &str, failures: &[String]) -> String {
    let end = match status {
        "ROLLBACK_COMPLETE" => "was not created: CloudFormation has deleted its resources again",
        "UPDATE_ROLLBACK_COMPLETE" => "is as before: CloudFormation has rolled back the change",
        _ => "could neither be changed nor rolled back",
    };
    let failures: String = failures.iter().flat_map(|line| ["\n    ", line]).collect();
    format!("The stack {name} {end} ({status}).{failures}")
}

/// What to do about a stack that cannot be changed in this status; `None` if it can.
fn remedy(name: &str, region: &str, status: &str) -> Option<String> {
    let arguments = format!("--stack-name {name} --region {region}");
    match status {
        status if DONE.contains(&status) || status == "UPDATE_ROLLBACK_COMPLETE" => None,
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => Some(
            format!("its creation failed and it is empty; delete it: sam delete {arguments}"),
        ),
        "UPDATE_ROLLBACK_FAILED" => Some(format!(
            "fix the cause of the failed rollback, then run: aws cloudformation continue-update-rollback {arguments}"
        )),
        _ => Some("another change is in progress; wait for its end".to_owned()),
    }
}

fn parse_state(stack: &Value) -> anyhow::Result<StackState> {
    let pairs = |list: &str, key: &str, value: &str| {
        let list = stack[list].as_array().into_iter().flatten();
        list.filter_map(|item| {
            let text = |name| Some(item[name].as_str()?.to_owned());
            Some((text(key)?, text(value)?))
        })
        .collect()
    };
    Ok(StackState {
        status: text(stack, "StackStatus")?.to_owned(),
        outputs: pairs("Outputs", "OutputKey", "OutputValue"),
        parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
    })
}

/// The id of the change set in SAM's output.
fn change_set_id(output: &str) -> Option<&str> {
    output
        .split_whitespace()
        .find(|word| word.starts_with("arn:") && word.contains(":changeSet/"))
}

fn changes(answer: &Value) -> anyhow::Result<Vec<Change>> {
    let changes = answer["Changes"].as_array();
    let changes = changes.into_iter().flatten();
    let changes: anyhow::Result<Vec<Change>> = changes
        .map(|change| {
            let change = &change["ResourceChange"];
            let details = change["Details"].as_array().into_iter().flatten();
            let mut properties: Vec<String> = details
                .filter_map(|detail| {
                    let target = &detail["Target"];
                    let name = target["Name"].as_str().or(target["Attribute"].as_str())?;
                    Some(name.to_owned())
                })
                .collect();
            properties.sort();
            properties.dedup();
            Ok(Change {
                action: text(change, "Action")?.to_owned(),
                resource: text(change, "LogicalResourceId")?.to_owned(),
                kind: text(change, "ResourceType")?.to_owned(),
                replacement: match change["Replacement"].as_str() {
                    Some("True") => Replacement::Yes,
                    Some("Conditional") => Replacement::Perhaps,
                    _ => Replacement::No,
                },
                properties,
            })
        })
        .collect();
    let mut changes = changes?;
    changes.sort_by_cached_key(|change| {
        let loss = (change.action == "Remove", change.replacement);
        let is_added = change.action == "Add";
        (Reverse(loss), is_added, change.resource.clone())
    });
    Ok(changes)
}

/// The changes as a table, one line for each.
pub(super) fn table(changes: &[Change]) -> String {
    let width = |of: fn(&Change) -> &str| {
        let widths = changes.iter().map(|change| of(change).len());
        widths.max().unwrap_or_default()
    };
    let resources = width(|change| &change.resource);
    let kinds = width(|change| &change.kind);
    let line = |change: &Change| {
        let Change {
            action,
            resource,
            kind,
            replacement,
            properties,
        } = change;
        let replaced = match replacement {
            Replacement::No => "",
            Replacement::Perhaps => "perhaps replaced",
            Replacement::Yes => "REPLACED",
        };
        let line = format!(
            "  {action:<7}  {resource:<resources$}  {kind:<kinds$}  {replaced:<16}  {}",
            properties.join(", ")
        );
        line.trim_end().to_owned()
    };
    let lines: Vec<String> = changes.iter().map(line).collect();
    lines.join("\n")
}

/// The resources that are being changed, as many as fit into a line.
fn in_progress(answer: &Value) -> String {
    const SHOWN: usize = 4;
    let resources = answer["StackResourceSummaries"].as_array();
    let names: Vec<&str> = resources
        .into_iter()
        .flatten()
        .filter(|resource| {
            let status = resource["ResourceStatus"].as_str();
            status.is_some_and(|status| status.ends_with("_IN_PROGRESS"))
        })
        .filter_map(|resource| resource["LogicalResourceId"].as_str())
        .collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let others = names.len().saturating_sub(SHOWN);
    if others > 0 {
        format!("{shown} and {others} more")
    } else {
        shown
    }
}

/// Writes a file that only this user can read.
fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_set_is_found_in_the_output_of_sam() {
        let id = "arn:aws:cloudformation:eu-west-1:1:changeSet/samcli-deploy1/a-b";
        let output = format!("\nChangeset created successfully. {id}\n\nVisit arn:aws:s3:::b");
        assert_eq!(change_set_id(&output), Some(id));
        assert_eq!(
            change_set_id("No changes to deploy. Stack a is up to date"),
            None
        );
    }

    #[test]
    fn removed_and_replaced_resources_are_shown_first() -> anyhow::Result<()> {
        let change =
            |action: &str, resource: &str, kind: &str, replacement: &str, names: &[&str]| {
                let details: Vec<Value> = names
                    .iter()
                    .map(|name| json!({ "Target": { "Attribute": "Properties", "Name": name } }))
                    .collect();
                json!({ "Type": "Resource", "ResourceChange": {
                "Action": action, "LogicalResourceId": resource, "ResourceType": kind,
                "Replacement": replacement, "Details": details,
            } })
            };
        let mut tagged = change("Modify", "Api", "AWS::ApiGatewayV2::Api", "False", &[]);
        tagged["ResourceChange"]["Details"] = json!([{ "Target": { "Attribute": "Tags" } }]);
        let answer = json!({ "Changes": [
            { "Type": "Resource", "ResourceChange": {
                "Action": "Add", "LogicalResourceId": "Alarm", "ResourceType": "AWS::CloudWatch::Alarm" } },
            tagged,
            change("Modify", "Table", "AWS::DynamoDB::Table", "True", &["KeySchema", "KeySchema"]),
            change("Modify", "Queue", "AWS::SQS::Queue", "Conditional", &["B", "A"]),
            { "Type": "Resource", "ResourceChange": {
                "Action": "Remove", "LogicalResourceId": "Old", "ResourceType": "AWS::SQS::Queue" } },
        ] });
        let expected = "  \
  Remove   Old    AWS::SQS::Queue
  Modify   Table  AWS::DynamoDB::Table    REPLACED          KeySchema
  Modify   Queue  AWS::SQS::Queue         perhaps replaced  A, B
  Modify   Api    AWS::ApiGatewayV2::Api                    Tags
  Add      Alarm  AWS::CloudWatch::Alarm";
        assert_eq!(table(&changes(&answer)?), expected);
        assert!(changes(&json!({ "Changes": [{ "Type": "Hook" }] })).is_err());
        Ok(())
    }

    fn event(resource: &str, physical: &str, kind: &str, status: &str, reason: &str) -> Value {
        json!({ "StackId": "us", "LogicalResourceId": resource, "PhysicalResourceId": physical,
            "ResourceType": kind, "ResourceStatus": status, "ResourceStatusReason": reason })
    }

    #[test]
    fn only_failures_of_the_last_change_are_reported() {
        let stack = "AWS::CloudFormation::Stack";
        let answer = json!({ "StackEvents": [
            event("us", "us", stack, "UPDATE_ROLLBACK_COMPLETE", ""),
            event("us", "us", stack, "UPDATE_ROLLBACK_IN_PROGRESS", "[A, Inner] failed"),
            event("B", "b", "AWS::SQS::Queue", "UPDATE_FAILED", "Resource update cancelled"),
            event("Inner", "inner", stack, "UPDATE_FAILED", "Embedded stack inner failed"),
            event("A", "a", "AWS::SQS::Queue", "UPDATE_FAILED", "no such key"),
            event("us", "us", stack, "UPDATE_IN_PROGRESS", "User Initiated"),
            event("A", "a", "AWS::SQS::Queue", "CREATE_FAILED", "long ago"),
        ] });
        let failures: Vec<_> = last_failures(&answer)
            .into_iter()
            .map(|failure| (failure.resource, failure.reason, failure.stack))
            .collect();
        let expected = [
            ("A", "no such key", None),
            (
                "Inner",
                "Embedded stack inner failed",
                Some("inner".to_owned()),
            ),
        ];
        assert_eq!(failures, expected);
        assert_eq!(
            failure_message(
                "us",
                "UPDATE_ROLLBACK_COMPLETE",
                &["A: no such key".to_owned()]
            ),
            "The stack us is as before: CloudFormation has rolled back the change \
             (UPDATE_ROLLBACK_COMPLETE).\n    A: no such key"
        );
    }

    #[test]
    fn a_stack_that_cannot_be_changed_has_a_remedy() {
        let remedy = |status| remedy("us", "eu-west-1", status).unwrap_or_default();
        assert_eq!(remedy("UPDATE_ROLLBACK_COMPLETE"), "");
        assert_eq!(remedy("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), "");
        assert!(remedy("ROLLBACK_COMPLETE").contains("sam delete --stack-name us"));
        assert!(remedy("UPDATE_ROLLBACK_FAILED").contains("continue-update-rollback"));
        assert!(remedy("UPDATE_IN_PROGRESS").contains("wait"));
    }

    #[test]
    fn resources_in_progress_are_listed_in_a_line() {
        let resource = |name: &str, status: &str| json!({ "LogicalResourceId": name, "ResourceStatus": status });
        let line =
            |resources: &[Value]| in_progress(&json!({ "StackResourceSummaries": resources }));
        let busy = |name| resource(name, "CREATE_IN_PROGRESS");
        assert_eq!(line(&[busy("A"), resource("B", "CREATE_COMPLETE")]), "A");
        assert_eq!(
            line(&["A", "B", "C", "D", "E"].map(busy)),
            "A, B, C, D and 1 more"
        );
    }
}
