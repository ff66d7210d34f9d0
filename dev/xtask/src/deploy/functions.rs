//! Builds the functions' programs for Lambda, and runs the migrations function.

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

/// The Rust target of our Lambdas.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The first bytes of an ELF file, the place of its processor, and the value for arm64.
const ELF: &[u8] = b"\x7fELF";
const ELF_MACHINE: std::ops::Range<usize> = 18..20;
const ELF_AARCH64: [u8; 2] = [183, 0];

/// How often and how long Lambda is polled for the update of a function's code.
const POLL: Duration = Duration::from_secs(1);
const UPDATED_WITHIN: Duration = Duration::from_mins(2);

/// The processor that the programs are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processor {
    /// Lambda's.
    Arm64,
    /// This machine's, for an emulator.
    Own,
}

impl Processor {
    /// A message about the toolchain that is missing to build the programs, if any. The linker,
    /// zig, comes with cargo-lambda.
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
            "Rust's standard library for arm64 is missing: run rustup target add aarch64-unknown-linux-gnu",
        )
    }
}

/// The folder that the template reads the programs from.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/lambda")
}

/// Builds the programs into that folder.
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

/// Checks that the programs exist and that Lambda can run them: programs that were built for a
/// laptop are in the same folder.
pub(super) fn check(
    workspace: &Workspace,
    programs: &[&str],
    processor: Processor,
) -> anyhow::Result<()> {
    for program in programs {
        let file = folder(workspace).join(program).join("bootstrap");
        let header = header(&file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(
            processor == Processor::Own || is_for_arm64(&header),
            "{} is not built for arm64: run without --skip-build",
            file.display()
        );
    }
    Ok(())
}

fn header(file: &Path) -> std::io::Result<[u8; ELF_MACHINE.end]> {
    let mut header = [0; ELF_MACHINE.end];
    File::open(file)?.read_exact(&mut header)?;
    Ok(header)
}

fn is_for_arm64(header: &[u8]) -> bool {
    header.starts_with(ELF) && header.get(ELF_MACHINE) == Some(&ELF_AARCH64)
}

/// Updates the migrations function to the code of the change set, before anything else is changed.
pub(super) fn update_migrations_code(
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
        .context("the change set's template has no code of the migrations function")?;
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
                "the code of {function} was not updated ({}): {}",
                status.unwrap_or_default(),
                now["LastUpdateStatusReason"].as_str().unwrap_or_default()
            ),
        }
    }
}

/// The location of a function's code. The template is either parsed or a string of JSON.
fn code_of(template: &Value, function: &str) -> Option<Value> {
    let parsed = match template.as_str() {
        Some(text) => serde_json::from_str(text).ok()?,
        None => template.clone(),
    };
    let code = &parsed["Resources"][function]["Properties"]["Code"];
    code.is_object().then(|| code.clone())
}

/// Invokes the migrations function, which migrates the database to its schema.
pub(super) fn migrate(aws: &Aws, function: &str) -> anyhow::Result<()> {
    let event = json!({ "migrate": {} }).to_string();
    let input = json!({ "FunctionName": function, "Payload": event });
    let answer = aws.call("lambda", "invoke", &input)?;
    check_succeeded(&answer)
        .with_context(|| format!("the database was not migrated; see the log of {function}"))
}

/// Returns the error of a function that has failed.
fn check_succeeded(answer: &Value) -> anyhow::Result<()> {
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
    fn the_processor_of_a_program_is_recognized() {
        let mut program = [0; 20];
        program[..4].copy_from_slice(ELF);
        program[18] = 62;
        assert!(!is_for_arm64(&program));
        program[18] = 183;
        assert!(is_for_arm64(&program));
        assert!(!is_for_arm64(b"#!/bin/sh"));
    }

    #[test]
    fn the_code_is_found_in_both_forms_of_a_template() {
        let code = json!({ "S3Bucket": "b", "S3Key": "k" });
        let template = json!({ "Resources": { "F": { "Properties": { "Code": code } } } });
        assert_eq!(code_of(&template, "F"), Some(code.clone()));
        assert_eq!(code_of(&template.to_string().into(), "F"), Some(code));
        assert_eq!(code_of(&template, "G"), None);
    }

    #[test]
    fn the_error_of_a_failed_function_is_returned() {
        assert!(check_succeeded(&json!({ "StatusCode": 200, "Payload": "null" })).is_ok());
        let failed = |payload: &str| {
            let answer = json!({ "FunctionError": "Unhandled", "Payload": payload });
            check_succeeded(&answer).map_err(|error| error.to_string())
        };
        let error = failed(r#"{"errorType":"Error","errorMessage":"no database"}"#);
        assert_eq!(error, Err("no database".to_owned()));
        assert_eq!(failed("gone"), Err("gone".to_owned()));
    }
}
