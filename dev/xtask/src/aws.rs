//! AWS calls with the Python SDK that SAM depends on. It finds credentials in all the usual ways,
//! and honours `AWS_PROFILE` and `AWS_ENDPOINT_URL`.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{stack::emulator, tools::Tools, workspace::Workspace};

/// The program that calls an operation.
const CALL: &str = include_str!("aws.py");

/// AWS in one region.
#[derive(Clone)]
pub(crate) struct Aws<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) workspace: &'a Workspace,
    pub(crate) region: String,
    pub(crate) profile: Option<String>,
    /// Our own emulator, by its URL, instead of AWS.
    pub(crate) emulator: Option<String>,
}

impl Aws<'_> {
    /// The same, in another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self.clone()
        }
    }

    /// Calls an operation and returns its output. Names are those of Python: `describe_stacks`.
    pub(crate) fn call(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> anyhow::Result<Value> {
        let mut python = self.tools.program("python");
        python
            .args(["-c", CALL, service, operation])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = "cannot run Python";
        let mut child = self.configure(&mut python).spawn().context(failed)?;
        // Python fails first if it does not read its input; its message says more.
        if let Some(mut stdin) = child.stdin.take() {
            _ = stdin.write_all(input.to_string().as_bytes());
        }
        let output = child.wait_with_output().context(failed)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("cannot parse the output of {operation}"))
    }

    /// SAM, in this region.
    pub(crate) fn sam(&self) -> Command {
        let mut sam = self.tools.sam(self.workspace);
        self.configure(&mut sam);
        sam
    }

    /// The account id of the credentials.
    pub(crate) fn account(&self) -> anyhow::Result<String> {
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
        if let Some(url) = &self.emulator {
            command.envs(emulator::environment(url));
        }
        command
    }
}

/// The URL of the emulator that is used instead of AWS, if any.
pub(crate) fn emulator() -> Option<String> {
    let url = env::var("AWS_ENDPOINT_URL").ok()?;
    (!url.is_empty()).then(|| url.trim_end_matches('/').to_owned())
}

/// A string in AWS's output.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    answer[name]
        .as_str()
        .with_context(|| format!("AWS's output has no {name}"))
}
