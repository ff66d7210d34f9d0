//! `cargo xtask chaos`: places orders while everything fails, then checks that all records agree.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use clap::Args;

use crate::{
    prerequisites,
    process::Processes,
    progress::step,
    stack::{self, Invoker},
    workspace::Workspace,
};

/// The programs that the driver kills. They are started again.
const RESTARTABLE: [&str; 5] = [
    "emulator",
    "payments-simulator",
    "shipping-simulator",
    stack::FRONTENDS[0],
    stack::FRONTENDS[1],
];

/// The length and the faults of a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many orders are placed.
    #[arg(long, default_value_t = 300)]
    orders: u32,
    /// The seed of all random choices; a new one by default. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// The length in minutes; by default, about one minute for each hundred orders.
    #[arg(long)]
    minutes: Option<u32>,
    /// Only fail the primary database, once, during an outage of a provider.
    #[arg(long)]
    failover: bool,
}

impl Options {
    /// The run of `cargo xtask test`.
    pub(crate) const SHORT: Self = Self {
        orders: 300,
        seed: None,
        minutes: None,
        failover: false,
    };

    /// The run of `cargo xtask test` in which the standby takes over.
    pub(crate) const FAILOVER: Self = Self {
        orders: 600,
        failover: true,
        minutes: Some(1),
        ..Self::SHORT
    };
}

/// Runs the chaos test on a new stack that contains only the seed data.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let home = workspace.dev("chaos");
    let _lock = workspace.lock("chaos")?;
    let mut processes = Processes::new(&home)?;
    let file = stack::start_empty(&workspace, &mut processes, &home, Invoker::Emulator)?;
    let output = Stdio::inherit();
    let result = drive(&workspace, &mut processes, &home, &file, options, output);
    step("stop", || {
        processes.stop();
        Ok(())
    })?;
    result
}

/// Runs the driver against the stack in `home`, and restarts the programs that it kills. `stack` is
/// the file that describes the stack.
pub(crate) fn drive(
    workspace: &Workspace,
    processes: &mut Processes,
    home: &Path,
    stack: &Path,
    options: &Options,
    output: Stdio,
) -> anyhow::Result<()> {
    let mut driver = Command::new(workspace.program("chaos"));
    driver
        .args(["--orders", &options.orders.to_string()])
        .env("CAUCE_STACK", stack)
        .stdout(output);
    if let Some(seed) = options.seed {
        driver.args(["--seed", &seed.to_string()]);
    }
    if let Some(minutes) = options.minutes {
        driver.args(["--minutes", &minutes.to_string()]);
    }
    if options.failover {
        driver.arg("--failover");
    }
    processes.run_while("chaos", &mut driver, |processes| {
        stack::fail_over_if_needed(workspace, processes, home)?;
        processes.restart(&RESTARTABLE)
    })
}
