//! `cargo xtask bench`: measures performance, next to the limits of the platform, and costs.

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

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The suites to run on the stack, in this order.
    #[arg(default_values = ["accept", "cold", "contention", "read", "page", "guard", "drain", "cost", "catalogue", "growth"])]
    suites: Vec<String>,
}

/// Measures on a stack of its own, prints a table and writes the figures to a file. Fails if a
/// target is missed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?.with_release_profile();
    let home = workspace.dev("bench");
    let _lock = workspace.lock("bench")?;
    let mut processes = Processes::new(&home)?;
    let run_alone = |what: &str, package: &[&str], bench: &str| {
        let mut program = cargo();
        program
            .args(["bench", "--quiet", "--locked", "--package"])
            .args(package)
            .args(["--bench", bench])
            .current_dir(&workspace.root);
        step(what, || {
            parse_figures(&processes.output(&format!("{bench}-bench"), &mut program)?)
        })
    };
    let breaker = run_alone(
        "the breaker alone",
        &["cauce-breaker", "--no-default-features"],
        "breaker",
    )?;
    let authorization = run_alone("authorization alone", &["api"], "authorization")?;

    let python = Python::for_a_handler(&workspace, &processes)?;
    npm_packages(&workspace, &processes, "dev/bench/handlers/node")?;
    let file = stack::start_empty(&workspace, &mut processes, &home, Invoker::Host)?;
    let mut driver = std::process::Command::new(workspace.program("bench"));
    driver
        .args(&options.suites)
        .env("CAUCE_STACK", &file)
        .env("PGBENCH", stack::pgbench(&workspace, &processes)?)
        .env("PYTHON", python.path("python"));
    let stack = step(&options.suites.join(", "), || {
        parse_figures(&processes.output("bench", &mut driver)?)
    })?;
    processes.stop();

    let figures = json!({ "authorization": authorization, "breaker": breaker, "stack": stack });
    let file = home.join("figures.json");
    fs::write(&file, serde_json::to_string_pretty(&figures)?)?;
    let missed = table::print(&figures);
    println!("\n  all figures: {}", file.display());
    anyhow::ensure!(missed == 0, "{missed} targets were missed");
    Ok(())
}

/// Parses the figures of a driver: the last line of its output.
fn parse_figures(output: &str) -> anyhow::Result<Value> {
    let line = output.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the driver printed no figures: {line}"))
}
