//! `cargo xtask bench`: how fast it is beside what it could be, and what it costs, all of one run.

mod table;

use std::fs;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    prerequisites,
    process::Processes,
    progress::step,
    stack::{self, Invoker},
    tools::{Python, npm_packages},
    workspace::{Workspace, cargo},
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What is measured on the stack, in this order.
    #[arg(default_values = ["accept", "cold", "contention", "read", "page", "guard", "drain", "cost", "catalogue", "growth"])]
    suites: Vec<String>,
}

/// Measures on a stack of its own, prints a table, and keeps the figures. It fails if a target is missed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?.released();
    let home = workspace.dev("bench");
    let _lock = workspace.lock("bench")?;
    let mut processes = Processes::new(&home)?;
    let by_itself = |what: &str, package: &[&str], bench: &str| {
        let mut program = cargo();
        program
            .args(["bench", "--quiet", "--locked", "--package"])
            .args(package)
            .args(["--bench", bench])
            .current_dir(&workspace.root);
        step(what, || {
            read(&processes.output(&format!("{bench}-bench"), &mut program)?)
        })
    };
    let breaker = by_itself(
        "the breaker by itself",
        &["cauce-breaker", "--no-default-features"],
        "breaker",
    )?;
    let authorization = by_itself("authorisation by itself", &["api"], "authorization")?;

    let python = Python::for_a_handler(&workspace, &processes)?;
    npm_packages(&workspace, &processes, "tests/handlers/node")?;
    let file = stack::start_afresh(&workspace, &mut processes, &home, Invoker::Host)?;
    let mut driver = std::process::Command::new(workspace.program("bench"));
    driver
        .args(&options.suites)
        .env("CAUCE_STACK", &file)
        .env("PGBENCH", stack::pgbench(&workspace, &processes)?)
        .env("PYTHON", python.path("python"));
    let stack = step(&options.suites.join(", "), || {
        read(&processes.output("bench", &mut driver)?)
    })?;
    processes.stop();

    let figures = json!({ "authorization": authorization, "breaker": breaker, "stack": stack });
    let kept = home.join("figures.json");
    fs::write(&kept, serde_json::to_string_pretty(&figures)?)?;
    let missed = table::print(&figures);
    println!("\n  all figures: {}", kept.display());
    anyhow::ensure!(missed == 0, "{missed} of the targets were missed");
    Ok(())
}

/// What a driver has to say: its last line.
fn read(said: &str) -> anyhow::Result<Value> {
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("no figures: {line}"))
}
