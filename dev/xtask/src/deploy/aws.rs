//! AWS, by the SDK that SAM brings along: it finds whatever credentials the person has, and its variables
//! `AWS_PROFILE` and `AWS_ENDPOINT_URL` hold here, too.

use std::{env, process::Command};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{tools::Tools, workspace::Workspace};

/// One call of any of AWS's APIs.
const CALL: &str = include_str!("aws.py");

/// AWS in one region.
#[derive(Clone)]
pub(super) struct Aws<'a> {
    pub(super) tools: &'a Tools,
    pub(super) workspace: &'a Workspace,
    pub(super) region: String,
    pub(super) profile: Option<String>,
}

impl Aws<'_> {
    /// The same, in another region.
    pub(super) fn in_region(&self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self.clone()
        }
    }

    /// Calls an operation, and gives its answer. Names are as in Python: `describe_stacks`.
    pub(super) fn call(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> anyhow::Result<Value> {
        let mut python = self.tools.program("python");
        python
            .args(["-c", CALL, service, operation])
            .arg(input.to_string());
        let output = self
            .lead(&mut python)
            .output()
            .context("cannot run Python")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the answer of {operation} cannot be read"))
    }

    /// SAM, in this region.
    pub(super) fn sam(&self) -> Command {
        let mut sam = self.tools.sam(self.workspace);
        self.lead(&mut sam);
        sam
    }

    /// The number of the account that the credentials are of.
    pub(super) fn account(&self) -> anyhow::Result<String> {
        let identity = self
            .call("sts", "get_caller_identity", &json!({}))
            .context("AWS credentials are missing or refused: run `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-authentication.html")?;
        Ok(text(&identity, "Account")?.to_owned())
    }

    /// Tells a program which region and whose credentials.
    fn lead<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("AWS_REGION", &self.region)
            .env("AWS_DEFAULT_REGION", &self.region);
        if let Some(profile) = &self.profile {
            command.env("AWS_PROFILE", profile);
        }
        command
    }
}

/// The emulator that stands in for AWS, if one does.
pub(super) fn emulator() -> Option<String> {
    let url = env::var("AWS_ENDPOINT_URL").ok()?;
    (!url.is_empty()).then(|| url.trim_end_matches('/').to_owned())
}

/// A text in an answer.
pub(super) fn text<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    answer[name]
        .as_str()
        .with_context(|| format!("AWS's answer has no {name}"))
}
