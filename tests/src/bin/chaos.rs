//! Drives the chaos test against a stack that `cargo xtask chaos` keeps running.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tests::{
    Stack,
    chaos::{Fails, Plan, run},
};

/// How many orders are placed each minute, if nothing else is said.
const ORDERS_A_MINUTE: u32 = 100;

/// What to run.
#[derive(Debug, Parser)]
struct Options {
    /// How many orders are placed.
    #[arg(long)]
    orders: u32,
    /// Where all chance comes from; a new one, if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Over how many minutes; about a hundred orders each, if not given.
    #[arg(long)]
    minutes: Option<u32>,
    /// Have nothing fail but the primary database, once, while a provider is out.
    #[arg(long)]
    failover: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Short enough to be read out.
    let seed = options.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let minutes = options
        .minutes
        .unwrap_or_else(|| options.orders.div_ceil(ORDERS_A_MINUTE).max(1));
    let again = format!(
        "cargo xtask chaos --orders {} --seed {seed} --minutes {minutes}{}",
        options.orders,
        if options.failover { " --failover" } else { "" }
    );
    println!("run again with: {again}");
    let plan = Plan {
        seed,
        orders: options.orders,
        length: Duration::from_mins(minutes.into()),
        fails: if options.failover {
            Fails::PrimaryDatabase
        } else {
            Fails::Everything
        },
    };
    let report = run(Stack::find(), plan).await;
    if report.violations.is_empty() {
        println!("{report}");
        return ExitCode::SUCCESS;
    }
    println!("\nwhat went wrong, and when:");
    for step in plan.schedule() {
        println!("{step}");
    }
    println!("{report}\nrun again with: {again}");
    ExitCode::FAILURE
}
