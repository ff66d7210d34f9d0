//! `cargo xtask bench`: what the guard of the two providers costs, as ratios of one run.

use std::fs;

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    prerequisites,
    process::Processes,
    progress::step,
    stack::{self, Invoker},
    workspace::{Workspace, cargo},
};

/// A figure, and what it should be.
struct Row {
    what: &'static str,
    measured: String,
    target: String,
    met: bool,
}

/// Measures on a stack of its own, prints a table, and keeps the figures.
pub(crate) fn run() -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let home = workspace.dev("bench");
    let _lock = workspace.lock("bench")?;
    let mut processes = Processes::new(&home)?;
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--package", "tests"])
        .args(["--bin", "bench"])
        .current_dir(&workspace.root);
    step("build for speed", || {
        processes.run("cargo-build-release", &mut build)
    })?;
    let mut breaker = cargo();
    breaker
        .args(["bench", "--quiet", "--locked", "--package", "breaker"])
        .args(["--no-default-features", "--bench", "breaker"])
        .current_dir(&workspace.root);
    let breaker = step("the breaker by itself", || {
        read(&processes.output("breaker-bench", &mut breaker)?)
    })?;

    stack::reset(&home)?;
    let description = stack::start(&workspace, &mut processes, &home, Invoker::Emulator)?;
    let file = home.join("stack.json");
    description.write(&file)?;
    let mut driver = std::process::Command::new(workspace.target.join("release/bench"));
    driver.env("CAUCE_STACK", &file);
    let stack = step("guarded calls, and a thousand parked orders", || {
        read(&processes.output("bench", &mut driver)?)
    })?;
    processes.stop();

    let figures = json!({ "breaker": breaker, "stack": stack });
    let kept = home.join("figures.json");
    fs::write(&kept, serde_json::to_string_pretty(&figures)?)?;
    print(&rows(&figures));
    println!("\n  all figures: {}", kept.display());
    Ok(())
}

/// What a driver has to say: its last line.
fn read(said: &str) -> anyhow::Result<Value> {
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("no figures: {line}"))
}

fn rows(figures: &Value) -> Vec<Row> {
    let number = |pointer: &str| {
        let value = figures.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or(f64::NAN)
    };
    let at_most = |what, pointer: &str, most: f64, unit: &str| {
        let value = number(pointer);
        Row {
            what,
            measured: format!("{value:.3} {unit}"),
            target: format!("at most {most} {unit}"),
            met: value <= most,
        }
    };
    let guard = "/stack/guard";
    let time = |kind: &str, quantile: &str| number(&format!("{guard}/{kind}/{quantile}_ms"));
    let spread = |what, kind: &str| Row {
        what,
        measured: format!(
            "{:.3} ms ({:.3} to {:.3})",
            time(kind, "median"),
            time(kind, "lower_quartile"),
            time(kind, "upper_quartile")
        ),
        target: String::new(),
        met: true,
    };
    vec![
        at_most(
            "closed circuit: a call's admission and success",
            "/breaker/closed/median_ns_second_half",
            1_000.0,
            "ns",
        ),
        at_most(
            "a thousand healthy calls: writes",
            "/breaker/healthy/writes",
            0.0,
            "",
        ),
        at_most(
            "a thousand healthy calls: reads",
            "/breaker/healthy/reads",
            number("/breaker/healthy/seconds"),
            "",
        ),
        at_most(
            "open circuit: calls let through",
            "/breaker/open/let_through",
            0.0,
            "",
        ),
        at_most("open circuit: reads", "/breaker/open/reads", 0.0, ""),
        spread("a provider's call, bare", "bare"),
        spread("the same, guarded", "guarded"),
        at_most(
            "the guard adds, at the median",
            "/stack/guard/adds_ms",
            1.0,
            "ms",
        ),
        at_most(
            "parked orders drain: calls that the payment service saw in a second",
            "/stack/drain/most_calls_a_second",
            number("/stack/drain/released_calls_per_second"),
            "",
        ),
        at_most(
            "parked orders drain: the circuit opened again",
            "/stack/drain/opened_again",
            0.0,
            "times",
        ),
    ]
}

fn print(rows: &[Row]) {
    println!();
    for row in rows {
        let mark = if row.met { "" } else { "  MISSED" };
        println!(
            "  {:<52} {:<32} {}{mark}",
            row.what, row.measured, row.target
        );
    }
}
