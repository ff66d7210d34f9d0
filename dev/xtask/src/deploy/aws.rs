//! AWS calls with the Python SDK that SAM depends on. It finds credentials in all the usual ways,
//! and honours `AWS_PROFILE` and `AWS_ENDPOINT_URL`.

use std::{env, process::Command};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{tools::Tools, workspace::Workspace};

/// The program that calls an operation.
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

    /// Calls an operation and returns its output. Names are those of Python: `describe_stacks`.
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
            .configure(&mut python)
            .output()
            .context("cannot run Python")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("cannot parse the output of {operation}"))
    }

    /// SAM, in this region.
    pub(super) fn sam(&self) -> Command {
        let mut sam = self.tools.sam(self.workspace);
        self.configure(&mut sam);
        sam
    }

    /// The account id of the credentials.
    pub(super) fn account(&self) -> anyhow::Result<String> {
        let identity = self
            .call("sts", "get_caller_identity", &json!({}))
            .context("AWS credentials are missing or invalid: run `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-authentication.html")?;
        Ok(text(&identity, "Account")?.to_owned())
    }

    /// Sets the region and the profile in a program's environment.
    fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("AWS_REGION", &self.region)
            .env("AWS_DEFAULT_REGION", &self.region);
        if let Some(profile) = &self.profile {
            command.env("AWS_PROFILE", profile);
        }
        command
    }
}

/// The URL of the emulator that is used instead of AWS, if any.
pub(super) fn emulator() -> Option<String> {
    let url = env::var("AWS_ENDPOINT_URL").ok()?;
    (!url.is_empty()).then(|| url.trim_end_matches('/').to_owned())
}

/// A string in AWS's output.
pub(super) fn text<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    answer[name]
        .as_str()
        .with_context(|| format!("AWS's output has no {name}"))
}
