//! Measures the stack that `cargo xtask bench` runs, and prints the figures as one line of JSON.

#![expect(clippy::expect_used, reason = "a benchmark that fails has no result")]

mod accept;
mod api;
mod catalogue;
mod cold;
mod cost;
mod drain;
mod figures;
mod growth;
mod guard;
mod load;
mod page;
mod processors;
mod read;
mod stand_in;
mod workload;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tests::Stack;

/// Measures a running stack.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure, in this order.
    #[arg(required = true)]
    suites: Vec<Suite>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Suite {
    Accept,
    Catalogue,
    Cold,
    Contention,
    Read,
    Guard,
    Drain,
    Cost,
    Growth,
    Page,
}

// One thread leaves the processors to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let stack = Stack::find();
    let mut figures = Map::new();
    for suite in Options::parse().suites {
        let measured = match suite {
            Suite::Accept => json!(accept::acceptance(&stack).await),
            Suite::Catalogue => json!(catalogue::catalogue_growth(&stack).await),
            Suite::Cold => json!(cold::cold_starts(&stack).await),
            Suite::Contention => json!(accept::contention(&stack).await),
            Suite::Read => json!(read::reading(&stack).await),
            Suite::Guard => json!(guard::guard_costs(&stack).await),
            Suite::Drain => json!(drain::drain(&stack).await),
            Suite::Page => json!(page::pages(&stack).await),
            Suite::Growth => json!(growth::growth(&stack).await),
            Suite::Cost => json!(cost::cost(&stack).await),
        };
        let name = json!(suite).as_str().unwrap_or_default().to_owned();
        figures.insert(name, measured);
    }
    println!("{}", Value::Object(figures));
}
