//! Measures on the stack that `cargo xtask bench` runs: what the guard of a provider costs, how parked orders
//! drain, what an order costs. Writes one line of JSON.

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tests::Stack;

/// What to measure.
#[derive(Debug, Parser)]
struct Options {
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

// One thread, which leaves the processors to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let stack = Stack::find();
    let mut figures = Map::new();
    for suite in Options::parse().suites {
        let measured = match suite {
            Suite::Accept => json!(bench::acceptance(&stack).await),
            Suite::Catalogue => json!(bench::catalogue_growth(&stack).await),
            Suite::Cold => json!(bench::cold_starts(&stack).await),
            Suite::Contention => json!(bench::contention(&stack).await),
            Suite::Read => json!(bench::reading(&stack).await),
            Suite::Guard => json!(bench::guard_costs(&stack).await),
            Suite::Drain => json!(bench::drain(&stack).await),
            Suite::Page => json!(bench::pages(&stack).await),
            Suite::Growth => json!(bench::growth(&stack).await),
            Suite::Cost => json!(bench::cost(&stack).await),
        };
        let name = json!(suite).as_str().unwrap_or_default().to_owned();
        figures.insert(name, measured);
    }
    println!("{}", Value::Object(figures));
}
