//! The functions' programs, built for Lambda; and the one of them that is run at each deployment.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{
    aws::{Aws, text},
    stack::{ChangeSet, Stack},
};
use crate::{process::Processes, tools::Tools, workspace::Workspace};

/// What rustc calls the processors of our Lambdas.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// How an ELF file begins, where it names its processor, and how it names that of our Lambdas.
const ELF: &[u8] = b"\x7fELF";
const ELF_MACHINE: std::ops::Range<usize> = 18..20;
const ELF_AARCH64: [u8; 2] = [183, 0];

/// How often Lambda is asked whether it has the new code, and for how long.
const POLL: Duration = Duration::from_secs(1);
const UPDATED_WITHIN: Duration = Duration::from_mins(2);

/// For which processor the programs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processor {
    /// Lambda's.
    Arm64,
    /// This machine's, where an emulator runs them.
    Own,
}

impl Processor {
    /// What is missing for building the programs, if anything is. The linker, zig, comes with
    /// cargo-lambda.
    pub(super) fn missing(self) -> Option<&'static str> {
        if self == Self::Own {
            return None;
        }
        let mut rustc = Command::new("rustc");
        let output = rustc.args(["--print", "target-libdir", "--target", TARGET]);
        let folder = output.output().ok().and_then(|output| {
            let folder = String::from_utf8(output.stdout).ok()?;
            Some(PathBuf::from(folder.trim()))
        });
        folder.is_none_or(|folder| !folder.is_dir()).then_some(
            "Rust's standard library for arm64 is missing: rustup target add aarch64-unknown-linux-gnu",
        )
    }
}

/// Where the template looks for the programs.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/lambda")
}

/// Builds the programs to where the template looks for them.
pub(super) fn build(
    workspace: &Workspace,
    tools: &Tools,
    processes: &Processes,
    programs: &[&str],
    processor: Processor,
) -> anyhow::Result<()> {
    let mut build = tools.program("cargo-lambda");
    build
        .args(["lambda", "build", "--release", "--locked"])
        .args(["--output-format", "binary", "--lambda-dir"])
        .arg(folder(workspace))
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .current_dir(&workspace.root)
        .env("PATH", tools.path()?)
        .env("CARGO_TARGET_DIR", &workspace.target);
    if processor == Processor::Arm64 {
        build.arg("--arm64");
    }
    processes.run("cargo-lambda-build", &mut build)
}

/// Makes sure that the programs are there, and that Lambda can run them: what was built for a laptop
/// lies in the same place.
pub(super) fn check(
    workspace: &Workspace,
    programs: &[&str],
    processor: Processor,
) -> anyhow::Result<()> {
    for program in programs {
        let file = folder(workspace).join(program).join("bootstrap");
        let begin = begin(&file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(
            processor == Processor::Own || is_for_arm64(&begin),
            "{} is not for arm64: leave out --skip-build",
            file.display()
        );
    }
    Ok(())
}

fn begin(file: &Path) -> std::io::Result<[u8; ELF_MACHINE.end]> {
    let mut begin = [0; ELF_MACHINE.end];
    File::open(file)?.read_exact(&mut begin)?;
    Ok(begin)
}

fn is_for_arm64(begin: &[u8]) -> bool {
    begin.starts_with(ELF) && begin.get(ELF_MACHINE) == Some(&ELF_AARCH64)
}

/// Gives the function that migrates the database the code that is proposed, ahead of everything else.
pub(super) fn bring_migrations(
    stack: &Stack,
    change_set: &ChangeSet,
    function: &str,
) -> anyhow::Result<()> {
    let input = json!({
        "StackName": stack.name,
        "ChangeSetName": change_set.id,
        "TemplateStage": "Processed",
    });
    let template = stack.aws.call("cloudformation", "get_template", &input)?;
    let code = code_of(&template["TemplateBody"], "MigrationsFunction")
        .context("the proposed template does not say where the migrations' code is")?;
    let mut input = json!({ "FunctionName": function });
    for name in ["S3Bucket", "S3Key"] {
        input[name] = text(&code, name)?.into();
    }
    let aws = &stack.aws;
    aws.call("lambda", "update_function_code", &input)?;
    let deadline = Instant::now() + UPDATED_WITHIN;
    loop {
        let input = json!({ "FunctionName": function });
        let now = aws.call("lambda", "get_function_configuration", &input)?;
        match now["LastUpdateStatus"].as_str() {
            Some("Successful") => return Ok(()),
            Some("InProgress") if Instant::now() < deadline => sleep(POLL),
            status => bail!(
                "{function} did not take the new code ({}): {}",
                status.unwrap_or_default(),
                now["LastUpdateStatusReason"].as_str().unwrap_or_default()
            ),
        }
    }
}

/// Where the code of a function is. A template comes parsed, or as the JSON that it is.
fn code_of(template: &Value, function: &str) -> Option<Value> {
    let parsed = match template.as_str() {
        Some(text) => serde_json::from_str(text).ok()?,
        None => template.clone(),
    };
    let code = &parsed["Resources"][function]["Properties"]["Code"];
    code.is_object().then(|| code.clone())
}

/// Has the database brought up to the function's schema.
pub(super) fn migrate(aws: &Aws, function: &str) -> anyhow::Result<()> {
    let event = json!({ "migrate": {} }).to_string();
    let input = json!({ "FunctionName": function, "Payload": event });
    let answer = aws.call("lambda", "invoke", &input)?;
    succeeded(&answer)
        .with_context(|| format!("the database could not be migrated; see the log of {function}"))
}

/// Refuses the answer of a function that has failed.
fn succeeded(answer: &Value) -> anyhow::Result<()> {
    if answer["FunctionError"].is_null() {
        return Ok(());
    }
    let payload = answer["Payload"].as_str().unwrap_or_default();
    let error: Option<Value> = serde_json::from_str(payload).ok();
    let message = error
        .as_ref()
        .and_then(|error| error["errorMessage"].as_str());
    bail!("{}", message.unwrap_or(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_processor() {
        let mut program = [0; 20];
        program[..4].copy_from_slice(ELF);
        program[18] = 62;
        assert!(!is_for_arm64(&program));
        program[18] = 183;
        assert!(is_for_arm64(&program));
        assert!(!is_for_arm64(b"#!/bin/sh"));
    }

    #[test]
    fn the_code_is_found_in_either_form() {
        let code = json!({ "S3Bucket": "b", "S3Key": "k" });
        let template = json!({ "Resources": { "F": { "Properties": { "Code": code } } } });
        assert_eq!(code_of(&template, "F"), Some(code.clone()));
        assert_eq!(code_of(&template.to_string().into(), "F"), Some(code));
        assert_eq!(code_of(&template, "G"), None);
    }

    #[test]
    fn a_failed_function_says_why() {
        assert!(succeeded(&json!({ "StatusCode": 200, "Payload": "null" })).is_ok());
        let failed = |payload: &str| {
            let answer = json!({ "FunctionError": "Unhandled", "Payload": payload });
            succeeded(&answer).map_err(|error| error.to_string())
        };
        let told = failed(r#"{"errorType":"Error","errorMessage":"no database"}"#);
        assert_eq!(told, Err("no database".to_owned()));
        assert_eq!(failed("gone"), Err("gone".to_owned()));
    }
}
