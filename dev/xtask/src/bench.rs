//! `cargo xtask bench`: what the guard of the two providers costs, how parked orders drain, and what an order
//! takes, all of one run.

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
    what: String,
    measured: String,
    target: String,
    met: bool,
}

/// The most that a figure may be.
enum Limit {
    Fixed(f64),
    /// Another figure, at that pointer.
    Figure(&'static str),
}

impl Limit {
    fn among(&self, figures: &Value) -> f64 {
        match self {
            Self::Fixed(most) => *most,
            Self::Figure(pointer) => number(figures, pointer),
        }
    }
}

/// What must be met: what it is, where it is among the figures, its limit and its unit.
const LIMITS: [(&str, &str, Limit, &str); 8] = [
    (
        "closed circuit: a call's admission and success",
        "/breaker/closed/median_ns_second_half",
        Limit::Fixed(1_000.0),
        "ns",
    ),
    (
        "a thousand healthy calls: writes",
        "/breaker/healthy/writes",
        Limit::Fixed(0.0),
        "",
    ),
    (
        "a thousand healthy calls: reads",
        "/breaker/healthy/reads",
        Limit::Figure("/breaker/healthy/seconds"),
        "",
    ),
    (
        "open circuit: calls let through",
        "/breaker/open/let_through",
        Limit::Fixed(0.0),
        "",
    ),
    (
        "open circuit: reads",
        "/breaker/open/reads",
        Limit::Fixed(0.0),
        "",
    ),
    (
        "the circuit breaker adds, at the median",
        "/stack/guard/adds_ms",
        Limit::Fixed(1.0),
        "ms",
    ),
    (
        "parked orders drain: calls that the payment service saw in a second",
        "/stack/drain/most_calls_a_second",
        Limit::Figure("/stack/drain/released_calls_per_second"),
        "",
    ),
    (
        "parked orders drain: the circuit opened again",
        "/stack/drain/opened_again",
        Limit::Fixed(0.0),
        "times",
    ),
];

/// What is shown beside: what it is, and where its times are among the figures.
const TIMES: [(&str, &str); 2] = [
    ("a provider's call, bare", "/stack/guard/bare"),
    (
        "the same, through the circuit breaker",
        "/stack/guard/guarded",
    ),
];

/// What an order takes: what it is, and where it is among the figures.
const COUNTS: [(&str, &str); 8] = [
    ("transitions of the state machine", "/transitions"),
    ("reads of DynamoDB", "/dynamodb_reads"),
    ("writes of DynamoDB", "/dynamodb_writes"),
    ("statements of the database", "/statements"),
    ("requests of SQS", "/sqs_requests"),
    (
        "milliseconds of the API's function",
        "/functions/api/milliseconds",
    ),
    (
        "milliseconds of the worker's",
        "/functions/retry/milliseconds",
    ),
    ("dollars for a million", "/dollars_per_million"),
];

/// What the driver measures on the stack.
const SUITES: [&str; 3] = ["guard", "drain", "cost"];

/// Measures on a stack of its own, prints a table, and keeps the figures. It fails if a target is
/// missed.
pub(crate) fn run() -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?.released();
    let home = workspace.dev("bench");
    let _lock = workspace.lock("bench")?;
    let mut processes = Processes::new(&home)?;
    let mut breaker = cargo();
    breaker
        .args(["bench", "--quiet", "--locked", "--package", "breaker"])
        .args(["--no-default-features", "--bench", "breaker"])
        .current_dir(&workspace.root);
    let breaker = step("the breaker by itself", || {
        read(&processes.output("breaker-bench", &mut breaker)?)
    })?;

    let file = stack::start_afresh(&workspace, &mut processes, &home, Invoker::Host)?;
    let mut driver = std::process::Command::new(workspace.program("bench"));
    driver.args(SUITES).env("CAUCE_STACK", &file);
    let stack = step(
        "guarded calls, a thousand parked orders, two hundred counted ones",
        || read(&processes.output("bench", &mut driver)?),
    )?;
    processes.stop();

    let figures = json!({ "breaker": breaker, "stack": stack });
    let kept = home.join("figures.json");
    fs::write(&kept, serde_json::to_string_pretty(&figures)?)?;
    let rows = rows(&figures);
    print(&rows);
    println!("\n  all figures: {}", kept.display());
    let missed = rows.iter().filter(|row| !row.met).count();
    anyhow::ensure!(missed == 0, "{missed} of the targets were missed");
    Ok(())
}

/// What a driver has to say: its last line.
fn read(said: &str) -> anyhow::Result<Value> {
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("no figures: {line}"))
}

fn rows(figures: &Value) -> Vec<Row> {
    let limits = LIMITS.iter();
    limits
        .map(|(what, pointer, limit, unit)| {
            let value = number(figures, pointer);
            let most = limit.among(figures);
            Row {
                what: (*what).to_owned(),
                measured: format!("{value:.3} {unit}"),
                target: format!("at most {most} {unit}"),
                met: value <= most,
            }
        })
        .chain(TIMES.iter().map(|(what, pointer)| {
            let time = |quantile| number(figures, &format!("{pointer}/{quantile}_ms"));
            let (median, lower, upper) = (
                time("median"),
                time("lower_quartile"),
                time("upper_quartile"),
            );
            Row {
                what: (*what).to_owned(),
                measured: format!("{median:.3} ms ({lower:.3} to {upper:.3})"),
                target: String::new(),
                met: true,
            }
        }))
        .chain(COUNTS.iter().map(|(what, pointer)| Row {
            what: format!("an order: {what}"),
            measured: format!("{:.2}", number(figures, &format!("/stack/cost{pointer}"))),
            target: String::new(),
            met: true,
        }))
        .collect()
}

/// A figure; what is missing is no number, and meets no target.
fn number(figures: &Value, pointer: &str) -> f64 {
    let value = figures.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or(f64::NAN)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_by_what_is_above_its_limit_and_by_what_was_not_measured() {
        let figures = json!({
            "breaker": {
                "closed": { "median_ns_second_half": 1_000.0 },
                "healthy": { "writes": 1, "reads": 2, "seconds": 2.5 },
            },
        });
        let met: Vec<bool> = rows(&figures).iter().map(|row| row.met).collect();
        let limits = [true, false, true, false, false, false, false, false];
        assert_eq!(met[..LIMITS.len()], limits);
    }
}
