//! `cargo xtask chaos`: orders flow while everything fails, and in the end the books must agree.

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

/// What the driver ends, and is started again.
const RESTARTABLE: [&str; 5] = [
    "emulator",
    "payments-simulator",
    "shipping-simulator",
    stack::FRONTENDS[0],
    stack::FRONTENDS[1],
];

/// How long and how hard a run is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many orders are placed.
    #[arg(long, default_value_t = 300)]
    orders: u32,
    /// Where all chance comes from; a new one, if not given. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Over how many minutes; about a hundred orders each, if not given.
    #[arg(long)]
    minutes: Option<u32>,
    /// Have nothing fail but the primary database, once, while a provider is out.
    #[arg(long)]
    failover: bool,
}

impl Options {
    /// The run that is among the tests.
    pub(crate) const SHORT: Self = Self {
        orders: 300,
        seed: None,
        minutes: None,
        failover: false,
    };

    /// The run among the tests in which the standby takes over.
    pub(crate) const FAILOVER: Self = Self {
        orders: 600,
        failover: true,
        minutes: Some(1),
        ..Self::SHORT
    };
}

/// Runs the chaos test on a stack of its own, with nothing in it but the seed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let home = workspace.dev("chaos");
    let _lock = workspace.lock("chaos")?;
    let mut processes = Processes::new(&home)?;
    let file = stack::start_afresh(&workspace, &mut processes, &home, Invoker::Emulator)?;
    let output = Stdio::inherit();
    let result = drive(&workspace, &mut processes, &home, &file, options, output);
    step("stop", || {
        processes.stop();
        Ok(())
    })?;
    result
}

/// Runs the driver against the stack in `home`, which the file describes, and keeps it running.
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
    processes.run_watching("chaos", &mut driver, |processes| {
        stack::keep_database(workspace, processes, home)?;
        processes.restart(&RESTARTABLE)
    })
}
