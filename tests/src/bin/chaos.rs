//! Runs the chaos test on a stack that `cargo xtask chaos` keeps running.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tests::{
    Stack,
    chaos::{Fails, Plan, run},
};

/// The default number of orders per minute.
const ORDERS_A_MINUTE: u32 = 100;

/// Runs the chaos test.
#[derive(Debug, Parser)]
struct Options {
    /// How many orders are placed.
    #[arg(long)]
    orders: u32,
    /// The seed of all random decisions. A new one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The length of the run in minutes. About a hundred orders per minute by default.
    #[arg(long)]
    minutes: Option<u32>,
    /// Let only the primary database fail, once, during an outage of a provider.
    #[arg(long)]
    failover: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Short enough to be copied by hand.
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
    println!("\nfailures by time:");
    for step in plan.schedule() {
        println!("{step}");
    }
    println!("{report}\nrun again with: {again}");
    ExitCode::FAILURE
}
